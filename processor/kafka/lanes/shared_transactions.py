"""One relay of transactional producers for the lanes of a role in this process.

A transaction costs brokers and this process the same requests, for one partition or for twelve. So
lanes hand in what they have, and a transaction has all that is there when it begins.

A lane's own producer fences by the partition's transactional id, and a shared one cannot. Here, the
note beside a partition's offsets names the one relay that may write for it. Only the holder of the
partition's own id changes that name, and the next owner fences the relay that it finds there; see
`processor/DESIGN.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from uuid import uuid4

from aiokafka import TopicPartition

from processor.config import Settings
from processor.errors import BrokerUnavailable, Fenced, RetryableError
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes.positions import writers_in
from processor.kafka.lanes.relay import Relay, fence_relay, started
from processor.kafka.lanes.transactions import Part
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

_LEAVE_S = 1.0  # for a lane's last part


class Seat:
    """A lane's right to commit with the others, until another lane takes its partition.

    Args:
        partition: of the lane.
        name: of the relay, which the lane's notes name.
    """

    def __init__(self, partition: int, name: str) -> None:
        self.partition = partition
        self.name = name
        self.ended: Exception | None = None  # why it cannot commit any more

    def check(self) -> None:
        """Raise the reason if it cannot commit any more."""
        if self.ended is not None:
            raise self.ended


class SharedTransactions:
    """Commits the parts of many lanes together.

    Args:
        settings: of the producers.
        group: the consumer group whose offsets are committed.
        metrics: of the role.
        behind: has work done that no partition should wait for.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        metrics: LaneMetrics,
        behind: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self._settings = settings
        self._group = group
        self._metrics = metrics
        self._behind = behind
        self._starting = asyncio.Lock()
        self._relay: Relay | None = None
        self._turns: dict[int, int] = {}  # how often each partition was taken in this process
        self._seats: dict[int, Seat] = {}
        self._leaving: set[asyncio.Future[None]] = set()
        self._fencing = asyncio.Lock()  # many lanes find the same name
        self._fenced: set[str] = set()
        self._had: set[str] = set()

    async def name(self) -> str:
        """The name of the relay, which is started now if there is none.

        After a failure there is another relay with another name: the outcome of the last
        transactions is not known, and whoever takes a partition fences the old one.

        Raises:
            aiokafka.errors.KafkaError: no broker answers.
        """
        async with self._starting:
            if self._relay is None:
                name = f"{self._group}-shared-{uuid4().hex[:12]}"
                self._relay = Relay(
                    name,
                    await started(self._settings, name),
                    wait_s=self._settings.batch_wait_ms / 1000,
                    group=self._group,
                    metrics=self._metrics,
                    behind=self._behind,
                    failed=self._failed,
                )
                self._had.add(name)
            return self._relay.name

    async def take(self, partition: int) -> int:
        """Keep older lanes of this process from committing; wait for what they have handed in.

        Returns:
            The turn, for ``seat``.
        """
        turn = self._turns[partition] = self._turns.get(partition, 0) + 1
        if sent := self._end(partition, _taken()):
            await asyncio.wait(sent)
        return turn

    def seat(self, partition: int, turn: int, name: str) -> Seat:
        """A seat for a lane whose committed note names the relay."""
        seat = Seat(partition, name)
        if turn != self._turns[partition]:
            seat.ended = _taken()
        elif self._relay is None or name != self._relay.name:
            seat.ended = BrokerUnavailable("Kafka: the shared producers failed meanwhile")
        else:
            self._seats[partition] = seat
        return seat

    def leave(self, seat: Seat, last: Part | None) -> None:
        """Give a seat back, behind a last part if there is one."""
        if last is None or seat.ended is not None:
            self._left(seat)
        else:
            gone = asyncio.get_running_loop().create_future()
            self._leaving.add(gone)
            self._behind(self._leave(seat, last, gone))

    async def _leave(self, seat: Seat, last: Part, gone: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self.commit(seat, last)
        except (TimeoutError, Fenced, RetryableError) as error:
            logger.info("lane.not_freed", extra={"why": type(error).__name__})
        finally:
            self._left(seat)
            self._leaving.discard(gone)
            gone.set_result(None)

    def _left(self, seat: Seat) -> None:
        if self._seats.get(seat.partition) is seat:
            self._end(seat.partition, Fenced("the lane has ended"))

    def _end(self, partition: int, why: Exception) -> list[asyncio.Future[bool]]:
        """End a partition's seat; returns the fates of what it has sent."""
        if seat := self._seats.pop(partition, None):
            seat.ended = why
        return self._relay.withdraw(partition, why) if self._relay is not None else []

    async def commit(self, seat: Seat, part: Part) -> bool:
        """Commit a part with those of other lanes; False if it no longer holds.

        Raises:
            Fenced, RetryableError: it is not committed, or its outcome is not known.
        """
        seat.check()
        assert self._relay is not None  # or the seat had ended
        return await self._relay.commit(seat.partition, part)

    def _failed(self, why: Exception) -> None:
        """All lanes begin again at their first step."""
        self._relay = None
        for seat in self._seats.values():
            seat.ended = why
        self._seats = {}

    def is_settled(self, name: str | None) -> bool:
        """Whether the relay that a note names writes nothing that a lane here does not know of."""
        own = None if self._relay is None else self._relay.name
        return name in (None, own) or name in self._fenced

    def had(self, names: Iterable[str]) -> bool:
        """Whether the relays were all of this process."""
        return self._had.issuperset(names)

    async def fence(self, name: str) -> None:
        """Fence the relay that a note names, unless it is this process's own or fenced already.

        Raises:
            aiokafka.errors.KafkaError: no broker answers.
        """
        async with self._fencing:
            if not self.is_settled(name):
                await fence_relay(self._settings, name)
                self._fenced.add(name)

    async def close(self) -> None:
        """End the producers, as soon as the lanes have left; those that still work fail."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_LEAVE_S)
        if self._relay is not None:
            self._relay.end(BrokerUnavailable("Kafka: this process leaves the group"))


def _taken() -> Fenced:
    return Fenced("another lane of this process took the partition")


async def fence_writers(settings: Settings, group: str, sources: Sequence[TopicPartition]) -> None:
    """Fence the relays that the notes of partitions name.

    Args:
        settings: of the clients.
        group: the consumer group that committed the notes.
        sources: of partitions whose own transactional ids the caller holds.

    Raises:
        BrokerUnavailable, aiokafka.errors.KafkaError: no broker answers.
        NewerFormat: a newer version committed the notes.
    """
    fenced: set[str] = set()
    is_stable = False  # a stable answer waits for the very transactions that must be settled first
    async with group_view(settings, group) as view:
        while True:
            committed = await committed_of(view, sources, stable=is_stable)
            names = writers_in(committed) - fenced
            if is_stable and not names:
                return
            for name in sorted(names):
                await fence_relay(settings, name)
            fenced |= names
            is_stable = True
