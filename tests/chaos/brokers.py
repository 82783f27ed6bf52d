"""One Kafka broker or three, and how they are harmed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from deploy.local import stack
from tests.chaos.clock import Clock
from tests.installation import until

LAGGING = 3  # of three brokers, the one that falls behind where the others are to die
_ANSWERS_MS = 2_000


@dataclass(frozen=True, slots=True)
class Place:
    """A partition, as a broker describes it."""

    topic: str
    number: int
    leader: int  # -1: none
    in_sync: frozenset[int]


class Brokers:
    """The brokers of a run, numbered from 1.

    Args:
        servers: of each number, not started.
        extra: a separate controller, if there is one.
        clocks: of each number.
        prefix: of the topics to look at.
        on_thread: runs what blocks, on the thread that starts servers.
    """

    def __init__(
        self,
        servers: Mapping[int, stack.Server],
        extra: stack.Server | None,
        clocks: Mapping[int, Clock],
        prefix: str,
        on_thread: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self.servers = servers
        self.clocks = clocks
        self.refused_elections = 0
        self.unclean_elections = 0
        self._extra = extra
        self._prefix = prefix
        self._on_thread = on_thread

    @property
    def bootstrap(self) -> str:
        """Addresses that are never cut."""
        return ",".join(server.address for server in self.servers.values())

    def one(self, chance: float) -> int:
        """One of the brokers."""
        return 1 + int(chance * len(self.servers))

    def start(self) -> None:
        """Start all of them, and wait until they answer."""
        for server in (self._extra, *self.servers.values()):
            if server:
                server.launch()
        for server in self.servers.values():
            server.wait()

    def kill(self) -> None:
        """End all of them: in good order, the last would wait for a quorum in vain."""
        for server in (*self.servers.values(), self._extra):
            if server and hasattr(server, "process"):
                server.kill()

    async def restart(self, number: int, down_s: float, reachable: Callable[[], None]) -> None:
        """Kill a broker; start it again on the same data.

        Args:
            number: of the broker.
            down_s: how long it is down.
            reachable: called once every partition has a leader that runs.
        """
        await self._on_thread(self.servers[number].kill)
        try:
            await self._without(number, down_s, reachable)
        finally:
            await self._back()
        await self._all_led(None)
        reachable()

    async def freeze(self, number: int, for_s: float, reachable: Callable[[], None]) -> None:
        """SIGSTOP, later SIGCONT; ``reachable`` is called as by ``restart``."""
        process = self.servers[number].process
        process.send_signal(signal.SIGSTOP)
        try:
            await self._without(number, for_s, reachable)
        finally:
            process.send_signal(signal.SIGCONT)
        await self._all_led(None)
        reachable()

    async def _without(self, number: int, for_s: float, reachable: Callable[[], None]) -> None:
        async def led() -> None:
            await self._all_led(number)
            reachable()

        if len(self.servers) == 1:
            await asyncio.sleep(for_s)
            return
        await asyncio.gather(asyncio.sleep(for_s), led())

    async def refuse_unclean_election(self, hold_s: float, reachable: Callable[[], None]) -> None:
        """Have a broker fall behind, lose the others, and leave it alone: it must not lead.

        Args:
            hold_s: how long the broker that lags is alone.
            reachable: called once every partition has a leader again.
        """
        lagging = LAGGING
        others = [number for number in self.servers if number != lagging]

        async def lags() -> bool:
            places = await self.places(others[0])
            return bool(places) and not any(lagging in place.in_sync for place in places)

        async def is_alone() -> bool:
            places = await self.places(lagging)
            return bool(places) and all(place.leader not in others for place in places)

        try:
            await self._on_thread(self.servers[lagging].kill)
            await until(lags, "broker that is in sync with nobody")
            await asyncio.sleep(hold_s / 2)  # what is written now, it does not have
            for number in others:
                await self._on_thread(self.servers[number].kill)
            await self._on_thread(self.servers[lagging].launch)
            await until(is_alone, "broker that knows it is alone")
            await asyncio.sleep(hold_s)
            places = await self.places(lagging)
            self.refused_elections += sum(place.leader == -1 for place in places)
            self.unclean_elections += sum(place.leader == lagging for place in places)
        finally:
            await self._back()
        await self._all_led(None)
        reachable()

    async def _back(self) -> None:
        """Start every broker that does not run."""
        for server in self.servers.values():
            if server.process.poll() is not None:
                await self._on_thread(server.launch)
        for server in self.servers.values():
            await self._on_thread(server.wait)

    async def _all_led(self, away: int | None) -> None:
        asked = next(number for number in self.servers if number != away)

        async def led() -> bool:
            places = await self.places(asked)
            return bool(places) and all(place.leader not in (-1, away) for place in places)

        await until(led, "partitions with leaders")

    async def places(self, number: int) -> Sequence[Place]:
        """Our partitions as one broker knows them; none where it does not answer."""
        with suppress(KafkaError, OSError, TimeoutError):
            connection = await create_conn(
                "127.0.0.1", self.servers[number].port, request_timeout_ms=_ANSWERS_MS
            )
            try:
                answer = await connection.send(MetadataRequest(None))
            finally:
                connection.close()
            return [
                Place(topic, partition, leader, frozenset(in_sync))
                for _, topic, _, partitions in (row[:4] for row in answer.topics)
                if topic.startswith(self._prefix)
                for _, partition, leader, _, in_sync, *_ in partitions
            ]
        return []
