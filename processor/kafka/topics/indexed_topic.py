"""A topic that is a history: the newest records about one subject, wherever they are in it.

An index says where. Records that it does not have yet are read from the topic itself. So an answer
never misses a record that was written before the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass

import orjson
from pydantic import BaseModel

from processor.config import Settings
from processor.errors import BrokerUnavailable, StoreUnavailable
from processor.kafka.fetched import readable
from processor.kafka.topics.follower import Follower
from processor.kafka.topics.index_follower import Indexing, RecordIndex
from processor.kafka.topics.topic_reader import TopicReader
from processor.metrics import Metrics
from processor.wire.record_index import NOTHING_KNOWN, About, Known
from processor.wire.records import Record

_DEADLINE_S = 10.0
_FETCH_BYTES = 1 << 16  # of a record that is looked up, and what is beside it
_MOST_BEHIND = 10_000  # records behind the index that are read for an answer
_AT_ONCE = 250  # records that are read at once: some 2 ms of this process
_IN_A_TURN = 10  # records that are looked up before the next caller gets the partition

AboutOf = Callable[[bytes | None, bytes | None], About]
"""Says what a record is about, by its key and value; it may raise."""


@dataclass(frozen=True, slots=True)
class Newest:
    """Some records about a subject."""

    records: Sequence[Record]  # the newest first
    below: int | None  # older records are below this offset; None: there are none
    read: int  # records that were read for it


class History:
    """Finds a topic's records by what they are about, and keeps the index of it.

    Args:
        settings: of the installation.
        topic: full name.
        name: of its follower, in logs and metrics.
        partitions: of the topic.
        model: of its values.
        about_of: says what a record is about.
        index: of the topic.
        metrics: of the process; None in a command.
        patient: read all that the index does not know yet, however much that is.
        refuse: is given each record that is passed over, and why; None: the log says so.
        share: is entered around each few look-ups, so that other work has its share of the process.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        name: str,
        partitions: int,
        model: type[BaseModel],
        about_of: AboutOf,
        index: RecordIndex,
        metrics: Metrics | None = None,
        patient: bool = False,
        refuse: Callable[[Record, Exception], None] | None = None,
        share: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self._topic = topic
        self._model = model
        self._about_of = about_of
        self._index = index
        self._patient = patient
        self._share = share
        few = settings if patient else settings.model_copy(update={"fetch_bytes": _FETCH_BYTES})
        self._reader = TopicReader(few, topic)
        self._follower = Follower(name, metrics)
        self._refuse = refuse or self._follower.refuse
        self._indexing = Indexing(
            settings,
            topic,
            partitions=partitions,
            about=self._about,
            index=index,
            follower=self._follower,
        )

    async def newest(
        self,
        partition: int,
        subject: str,
        part: str | None,
        *,
        most: int,
        below: int | None = None,
        since_ms: int | None = None,
        skip: int = 0,
    ) -> Newest:
        """The newest records about a subject.

        Args:
            partition: where the subject's records are.
            subject: see ``About``.
            part: see ``About``; None: any.
            most: how many at most.
            below: only those at lower offsets.
            since_ms: only those written from this time on, UTC.
            skip: how many of the newest to leave out.

        Raises:
            BrokerUnavailable: Kafka does not answer in time, or the index is being made.
            StoreUnavailable: Redis does not answer.
        """
        try:
            async with asyncio.timeout(None if self._patient else _DEADLINE_S):
                return await self._newest(
                    partition, subject, part, most=most, below=below, since_ms=since_ms, skip=skip
                )
        except TimeoutError:
            raise BrokerUnavailable(
                f"Kafka: {self._topic} was not read within {_DEADLINE_S:.0f} s"
            ) from None

    async def _newest(
        self,
        partition: int,
        subject: str,
        part: str | None,
        *,
        most: int,
        below: int | None,
        since_ms: int | None,
        skip: int,
    ) -> Newest:
        first = await self._reader.start_of(partition)
        end = await self._reader.end_of(partition, committed=False)
        known = await self._known(partition, subject, part, below, skip + most + 1)
        behind = max(known.extent.next, first)
        late: list[Record] = []
        read = 0
        if behind < end and (below is None or behind < below):
            late, read = await self._late(partition, behind, end, subject, part)
            late = [one for one in late if below is None or one.offset < below]
        older = [one for one in known.offsets if first <= one < min(behind, end)]
        there = [*(one.offset for one in late), *older]
        shown = there[skip : skip + most]
        asked = sorted(set(shown) & set(older))
        early: list[Record] = []
        for at in range(0, len(asked), _IN_A_TURN):
            async with self._share():
                early += await self._reader.at(partition, asked[at : at + _IN_A_TURN])
        records = {one.offset: one for one in [*late, *self._wanted(early, subject, part)]}
        found = [records[offset] for offset in shown if offset in records]
        is_over = since_ms is not None and any(one.timestamp < since_ms for one in found)
        return Newest(
            records=[one for one in found if since_ms is None or one.timestamp >= since_ms],
            below=None if is_over or len(there) <= skip + most else shown[-1],
            read=read + len(early),
        )

    async def _late(
        self, partition: int, behind: int, end: int, subject: str, part: str | None
    ) -> tuple[list[Record], int]:
        """The wanted records that the index does not have, and how many records were read."""
        if end - behind > _MOST_BEHIND and not self._patient:
            raise BrokerUnavailable(
                f"{self._topic}[{partition}]: its index is being made, {end - behind} offsets to go"
            )
        found: list[Record] = []
        read = 0
        batches = self._reader.between(partition, behind, end, at_once=_AT_ONCE)
        async with aclosing(batches):
            async for batch in batches:
                read += len(batch)
                found += self._wanted(batch, subject, part)
                await asyncio.sleep(0)  # others are served meanwhile
        return found[::-1], read

    def _wanted(self, records: Iterable[Record], subject: str, part: str | None) -> list[Record]:
        sought, found = subject.encode(), []
        for one in readable(records):
            if sought in (one.key or b"") or sought in (one.value or b""):  # of few it is so
                about = self._about(one)
                if about and about.subject == subject and part in (None, about.part):
                    found.append(one)
        return found

    async def _known(
        self, partition: int, subject: str, part: str | None, below: int | None, most: int
    ) -> Known:
        try:
            known = await self._index.find(partition, subject, part, below=below, most=most)
        except StoreUnavailable:
            if self._patient:
                return NOTHING_KNOWN
            raise
        is_of_it = known.extent.topic_id == await self._reader.id()
        return known if is_of_it else NOTHING_KNOWN

    def _about(self, record: Record) -> About | None:
        try:
            return self._about_of(record.key, record.value)
        except MemoryError:
            raise
        except Exception as error:
            self._refuse(record, error)
            return None

    def values(self, records: Iterable[Record]) -> list[dict[str, object]]:
        """The stored values of records; values that the model refuses are left out."""
        found = []
        for record in records:
            try:
                self._model.model_validate_json(record.value)
                found.append(orjson.loads(record.value))
            except MemoryError:
                raise
            except Exception as error:
                self._refuse(record, error)
        return found

    async def follow(self) -> None:
        """Keep the index, for ever."""
        await self._indexing.follow()

    async def close(self) -> None:
        """Drop the connections."""
        await self._reader.close()
