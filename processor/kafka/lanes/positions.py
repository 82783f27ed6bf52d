"""A lane's positions in its sources, checked before they are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import OffsetAndMetadata

from processor.errors import NewerFormat, PositionRefused
from processor.kafka.lanes.position_rules import (
    Doubt,
    Log,
    NewerNote,
    Position,
    diverged,
    doubt,
    position_of,
)
from processor.kafka.lanes.read_ahead import ReadAhead
from processor.kafka.lanes.source_reader import Reading
from processor.kafka.offset_protocol import epoch_ends, log_ends, log_starts
from processor.kafka.protocol import topic_ids

Committed = Mapping[TopicPartition, OffsetAndMetadata]


class Positions:
    """The positions of one lane.

    Args:
        client: a started aiokafka client, for requests about the topics.
        sources: one partition of each source topic.
        outputs: the topics that only lanes of this group write; records in them show that the
            group was here before.
    """

    def __init__(
        self, client: AIOKafkaClient, sources: Sequence[TopicPartition], outputs: Sequence[str]
    ) -> None:
        self._client = client
        self._sources = sources
        self._outputs = [TopicPartition(topic, sources[0].partition) for topic in outputs]
        self._at: dict[TopicPartition, Position] = {}
        self.new: set[TopicPartition] = set()  # sources that had no committed offset

    @property
    def topic_ids(self) -> dict[str, str | None]:
        """The ids of the source topics, by their names."""
        return {tp.topic: position.topic_id for tp, position in self._at.items()}

    async def take(self, committed: Committed) -> dict[TopicPartition, Position]:
        """The positions to continue from, by source.

        Args:
            committed: fresh from the broker.

        Raises:
            PositionRefused: a position is not credible.
            NewerFormat: a newer version committed it.
            aiokafka.errors.KafkaError: a broker does not answer.
        """
        positions = positions_in(committed)
        logs = await logs_of(self._client, self._sources, positions)
        has_outputs = len(positions) < len(self._sources) and await holds_any(
            self._client, self._outputs
        )
        for tp in self._sources:
            if doubted := doubt(positions.get(tp), logs[tp], has_outputs=has_outputs):
                raise refused(tp, doubted)
        self.new = set(self._sources) - positions.keys()
        self._at = {
            tp: replace(positions.get(tp, Position(log.start)), topic_id=log.topic_id)
            for tp, log in logs.items()
        }
        return self._at

    async def follow(
        self, reading: Reading | ReadAhead, sources: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """The offsets after the last records read.

        A log may lose records that were read, and then fill up with as many others. A new leader
        epoch is the only sign of that.

        Raises:
            PositionRefused: the log is not the log that was read before.
            aiokafka.errors.KafkaError: a broker does not answer.
        """
        ends = {}
        for tp in sources:
            before = self._at[tp]
            end = ends[tp] = reading.position(tp)
            now = before.read_on(end, reading.leader_epoch(tp))
            if now.leader_epoch != before.leader_epoch is not None:
                await self._refuse_diverged(tp, before)
            self._at[tp] = now
        return ends

    async def _refuse_diverged(self, tp: TopicPartition, before: Position) -> None:
        ends = await epoch_ends(self._client, {tp: before.leader_epoch or 0})
        if doubted := diverged(before, ends[tp]):
            raise refused(tp, doubted)

    def to_commit(
        self, tp: TopicPartition, offset: int, stage_note: str, writer: str | None = None
    ) -> OffsetAndMetadata:
        """An offset to commit, with a note by which the next owner can check it.

        Args:
            tp: the source.
            offset: of the next record.
            stage_note: see ``Batch``.
            writer: the relay that may write for the partition from now on.
        """
        at = self._at[tp]
        position = replace(
            at, offset=offset, stage_note=stage_note, read_to=at.furthest, writer=writer
        )
        return OffsetAndMetadata(offset, position.note)


def positions_in(committed: Committed) -> dict[TopicPartition, Position]:
    """The committed positions, with their notes read.

    Raises:
        NewerFormat: a newer version committed them.
    """
    try:
        return {tp: position_of(one.offset, one.metadata) for tp, one in committed.items()}
    except NewerNote:
        raise NewerFormat("a newer version committed the offsets: update this worker") from None


def writers_in(committed: Committed) -> set[str]:
    """The relays that notes name.

    Raises:
        NewerFormat: a newer version committed them.
    """
    return {one.writer for one in positions_in(committed).values() if one.writer}


def freed(committed: Committed) -> dict[TopicPartition, OffsetAndMetadata]:
    """The same offsets, and notes that name no relay any more."""
    return {
        tp: OffsetAndMetadata(one.offset, replace(position, writer=None).note)
        for tp, one in committed.items()
        for position in [position_of(one.offset, one.metadata)]
    }


async def logs_of(
    client: AIOKafkaClient,
    sources: Sequence[TopicPartition],
    positions: Mapping[TopicPartition, Position],
) -> dict[TopicPartition, Log]:
    """The logs of partitions as the brokers have them now.

    Args:
        client: a started aiokafka client.
        sources: the partitions.
        positions: look up the ends of their leader epochs.

    Raises:
        aiokafka.errors.KafkaError: a broker does not answer.
    """
    ids = await topic_ids(client, {tp.topic for tp in sources})
    starts = await log_starts(client, sources)
    ends = await log_ends(client, sources)
    epochs = {
        tp: position.leader_epoch
        for tp in sources
        if (position := positions.get(tp))
        and position.leader_epoch is not None
        and position.topic_id == ids[tp.topic]
    }
    epoch_end = await epoch_ends(client, epochs)
    return {tp: Log(ids[tp.topic], starts[tp], ends[tp], epoch_end.get(tp)) for tp in sources}


async def holds_any(client: AIOKafkaClient, outputs: Sequence[TopicPartition]) -> bool:
    """Whether any of the partitions contains a record, or ever contained one."""
    return any((await log_ends(client, outputs)).values())


def refused(tp: TopicPartition, doubted: Doubt) -> PositionRefused:
    """The error of a lane whose position is not credible."""
    return PositionRefused(
        f"{tp.topic}[{tp.partition}]: {doubted.text}; `optout offsets show` says more, "
        "`optout offsets set` mends it"
    )
