"""The only way to change services, accounts, numbers and carriers: each update runs as if alone.

A writer first starts the installation's one transactional producer, which fences every other writer
and settles its open transaction. It then reads to the end, decides, and commits. If another writer
started in between, the commit is refused and all begins again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from processor.config import Settings
from processor.configuration.edits import Edit, Kind, write_change
from processor.errors import BrokerUnavailable, ConfigError, Problem
from processor.kafka.failures import TRANSACTION_ERRORS, ended_by
from processor.kafka.reading import reader
from processor.kafka.starting import start, stop
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.carriers_topic import CarriersView
from processor.kafka.topics.compacted import CompactedTopic
from processor.kafka.topics.holdings import Holdings
from processor.kafka.topics.numbers_topic import NumbersView
from processor.kafka.topics.services_topic import StoredServices
from processor.kafka.topics.writer_turns import Turns
from processor.metrics import Metrics
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_DEADLINE_S = 30.0
_PAUSE_S = 0.1
_LOAD_S = 60.0
_TIMEOUT_S = 10.0  # of a try; its outcome is then unknown, which the next one settles


Decide = Callable[[], Sequence[Edit]]


class _View(Protocol):
    topic: CompactedTopic[Any]

    def value_of(self, sid: str) -> bytes | None: ...


class Configuration:
    """The stored configuration as this process sees it, and the way to change it."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        topics = Topics.under(settings.topic_prefix)
        self.services = StoredServices(settings, topics.messaging_services, metrics)
        self.accounts = AccountsView(settings, topics.accounts, metrics)
        self.numbers = NumbersView(settings, topics.numbers, metrics)
        self.carriers = CarriersView(settings, topics.carriers, metrics)
        self.holdings = Holdings(settings, self.services, self.accounts, self.numbers)
        self._changes = topics.configuration_changes
        self._views: Mapping[Kind, _View] = {
            "service": self.services,
            "account": self.accounts,
            "number": self.numbers,
            "carrier": self.carriers,
        }
        self._producer: AIOKafkaProducer = None
        self._turns = Turns()

    @property
    def loaded(self) -> bool:
        """Whether everything that was there at the start has been read."""
        return all(view.topic.loaded for view in self._views.values())

    async def follow(self) -> None:
        """Read for ever; see ``CompactedTopic``."""
        async with asyncio.TaskGroup() as group:
            for view in self._views.values():
                group.create_task(view.topic.follow())

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        for view in self._views.values():
            await view.topic.wait_loaded()

    async def reach(self) -> None:
        """Find that the broker and the topics are there.

        Raises:
            BrokerUnavailable: where they are not.
        """
        await self._ends()

    async def update(self, decide: Decide, *, actor: str) -> Sequence[Edit]:
        """Change the configuration, and wait until this process sees it changed.

        Args:
            decide: says what to store, from the views as they are when it is called; it may be
                called again, and what it raises ends the update with nothing changed.
            actor: the caller that asks for it.

        Returns:
            The edits that were stored.

        Raises:
            BrokerUnavailable: where the broker does not take it; whether it is stored is unknown.
            EditRefused: where an account would have more than it may, or another's number.
            ConfigError: where something is too large to be stored.
        """
        account = self.accounts.of_key(actor)
        async with self._turns.of(account.sid if account else actor):
            return await self._update(decide, actor)

    async def _update(self, decide: Decide, actor: str) -> Sequence[Edit]:
        tried: Sequence[Edit] = ()
        failure = ""
        deadline = time.monotonic() + _DEADLINE_S
        while time.monotonic() < deadline:
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    await self._take_over()
                    if tried and all(self._is_stored(edit) for edit in tried):
                        return tried  # the last try's commit went through after all
                    tried = await self._decided(decide)
                    await self._store(tried, actor)
                    return tried
            except MessageSizeTooLargeError:
                await self._let_go()
                problem = Problem((), "too_large", "the service is too large to be stored")
                raise ConfigError([problem]) from None
            except (*TRANSACTION_ERRORS, TimeoutError, AssertionError) as error:
                failure = type(error).__name__  # fenced, most likely
                await self._let_go()
                await asyncio.sleep(random.uniform(0, _PAUSE_S))
            except asyncio.CancelledError:
                await self._let_go()
                raise
        raise BrokerUnavailable(f"Kafka at {self._settings.kafka_bootstrap}: {failure}")

    async def _decided(self, decide: Decide) -> Sequence[Edit]:
        """The edits to store; a decision to store nothing is made again on current data.

        A commit would find that another writer took over since the views were read. Where there is
        nothing to commit, nothing would.
        """
        with suppress(Exception):
            if edits := self._checked(decide):
                return edits
        await self._read_to_the_end()
        return self._checked(decide)

    def _checked(self, decide: Decide) -> Sequence[Edit]:
        edits = decide()
        self.holdings.check(edits)
        return edits

    def _is_stored(self, edit: Edit) -> bool:
        return self._views[edit.kind].value_of(edit.sid) == edit.value

    async def _take_over(self) -> None:
        """Be the only writer, with everything read that any other has written."""
        if self._producer is not None:
            return  # still: another producer with this id would have fenced ours
        producer = AIOKafkaProducer(
            **self._settings.kafka(),
            transactional_id=f"{self._settings.topic_prefix}configuration",
            max_batch_size=1 << 19,
            max_request_size=1 << 21,
            retry_backoff_ms=20,
        )
        try:
            await start(producer)
            await self._read_to_the_end()
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer

    async def _read_to_the_end(self) -> None:
        for kind, end in (await self._ends()).items():
            await self._views[kind].topic.wait_until(end)

    async def _ends(self) -> dict[Kind, int]:
        """The uncommitted ends: the last stable offsets may lag behind the last commit."""
        names = {kind: view.topic.full_name for kind, view in self._views.items()}
        async with reader(
            self._settings,
            list(names.values()),
            at_end=True,
            partitions=[0],
            isolation="read_uncommitted",
            paused=True,
        ) as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
        return {kind: ends[TopicPartition(name, 0)] for kind, name in names.items()}

    async def _store(self, edits: Sequence[Edit], actor: str) -> None:
        if not edits:
            return
        at = datetime.now(UTC)
        behind: dict[Kind, int] = {}
        async with self._producer.transaction():
            fates = []
            for edit in edits:
                key, topic = edit.sid.encode(), self._views[edit.kind].topic.full_name
                if edit.is_noted:
                    change = write_change(edit, change_id=uuid.uuid4().hex, actor=actor, at=at)
                    fates.append(await self._send(self._changes, key, change))
                fates.append(await self._send(topic, key, edit.value))
                behind[edit.kind] = len(fates) - 1
            written = await asyncio.gather(*fates)
        for kind, last in behind.items():
            await self._views[kind].topic.wait_until(written[last].offset + 1)

    async def _send(self, topic: str, key: bytes, value: bytes | None) -> RecordMetadata:
        return await self._producer.send(topic, value, key=key, partition=0)

    async def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def close(self) -> None:
        """Let go of the connection that writes."""
        await self._let_go()


async def _stop(producer: AIOKafkaProducer) -> None:
    """Let go of a producer, a fenced one too."""
    try:
        await stop(producer)
    finally:
        ended_by(producer)  # seen, or asyncio logs it


@asynccontextmanager
async def configuration(settings: Settings) -> AsyncIterator[Configuration]:
    """The configuration, followed and loaded, for a command.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    made = Configuration(settings)
    await made.reach()
    following = asyncio.create_task(made.follow())
    try:
        await asyncio.wait_for(made.wait_loaded(), _LOAD_S)
        yield made
    finally:
        following.cancel()
        try:
            await asyncio.gather(following, return_exceptions=True)
        finally:  # given up here as well
            await made.close()
