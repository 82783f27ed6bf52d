"""Redis servers of a run, in any topology, and the faults that all can have."""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local import stack
from tests.chaos.clock import Clock
from tests.installation import until

SNAPSHOT = "dump.rdb"
_MAX_LAG_S = 2  # less than it takes Sentinels or a Cluster to replace a master
OnThread = Callable[[Callable[[], Any]], Any]  # runs it on the thread that starts servers


@dataclass(frozen=True, slots=True)
class Node:
    """One Redis server."""

    server: stack.Server
    home: Path
    clock: Clock

    def client(self, timeout_s: float = 60) -> Any:
        """A client of it, to be closed."""
        return Redis(port=self.server.port, socket_timeout=timeout_s)

    def forget(self) -> None:
        """Lose what it would read at its next start."""
        (self.home / SNAPSHOT).unlink(missing_ok=True)

    async def replication(self) -> dict[str, Any]:
        """INFO replication; empty where it does not answer."""
        try:
            async with self.client(1) as redis:
                return dict(await redis.info("replication"))
        except (RedisError, OSError, TimeoutError):
            return {}

    async def follows(self) -> bool:
        """Whether it is a replica that has all of its master."""
        info = await self.replication()
        return (info.get("role"), info.get("master_link_status")) == ("slave", "up")


class RedisServers(ABC):
    """The server of the block list.

    Args:
        nodes: the servers with data.
        on_thread: runs what blocks, on the thread that starts servers.
        replicas: how many a master needs to take writes.
    """

    url: str  # never cut for those that are no worker

    def __init__(self, nodes: Sequence[Node], on_thread: OnThread, replicas: int) -> None:
        self.nodes = nodes
        self._on_thread = on_thread
        self._replicas = replicas

    def url_of(self, slot: int) -> str:
        """The URL that a worker uses."""
        return self.url

    @abstractmethod
    async def masters(self) -> Sequence[Node]:
        """Those that serve; fewer than there should be while a master is being replaced."""

    @abstractmethod
    async def usable(self) -> bool:
        """Whether everything is served, by masters with the replicas that they need."""

    async def one(self, chance: float) -> Node:
        """One of the masters, once everything is served."""
        masters = await self._serving()
        return masters[int(chance * len(masters))]

    async def _serving(self) -> Sequence[Node]:
        await until(self.usable, "Redis that can be used")
        return await self.masters()

    async def empty(self) -> None:
        """FLUSHALL, on every master."""
        for node in await self._serving():
            async with node.client() as redis:
                await redis.flushall()

    async def restart_empty(self, chance: float, down_s: float) -> None:
        """Kill a master; start it again without data, before another one takes its place."""
        node = await self.one(chance)
        await self._on_thread(node.server.kill)
        node.forget()
        await asyncio.sleep(down_s)
        await self._on_thread(node.server.start)
        await until(self.usable, "Redis that can be used")

    async def has_replicas(self, node: Node) -> bool:
        """Whether a server is a master with the replicas that it needs."""
        info = await node.replication()
        replicas = info.get("min_slaves_good_slaves", info.get("connected_slaves", 0))
        return info.get("role") == "master" and int(replicas) >= self._replicas


class FailingOver(RedisServers):
    """Masters that are replaced by replicas."""

    @abstractmethod
    async def push(self, master: Node) -> None:
        """Have a replica take a master's place although it can be heard."""

    @property
    @abstractmethod
    def pause_s(self) -> float:
        """How long a master is paused until another one has its place for certain."""

    async def kill_master(
        self, chance: float, hold_s: float, reachable: Callable[[], None]
    ) -> None:
        """Kill a master; start it again once it was replaced, without data."""
        node = await self.one(chance)
        await self._on_thread(node.server.kill)
        try:
            await self._replaced(node)
            reachable()
            await asyncio.sleep(hold_s / 4)
        finally:
            node.forget()
            await self._on_thread(node.server.start)
        await until(node.follows, "killed master that follows")

    async def freeze_master(
        self, chance: float, hold_s: float, reachable: Callable[[], None]
    ) -> None:
        """SIGSTOP; SIGCONT once it was replaced."""
        node = await self.one(chance)
        node.server.process.send_signal(signal.SIGSTOP)
        try:
            await self._replaced(node)
            reachable()
            await asyncio.sleep(hold_s / 4)
        finally:
            node.server.process.send_signal(signal.SIGCONT)
        await until(node.follows, "frozen master that follows")

    async def pause_master(self, chance: float, reachable: Callable[[], None]) -> None:
        """CLIENT PAUSE, and have it replaced meanwhile."""
        node = await self.one(chance)
        async with node.client() as redis:
            await redis.execute_command("CLIENT PAUSE", round(1000 * self.pause_s), "ALL")
        await self.push(node)
        await self._replaced(node)
        reachable()
        await until(node.follows, "paused master that follows")

    async def lose_replica(self, chance: float, hold_s: float) -> None:
        """Kill a replica; start it again later."""
        masters = await self._serving()
        replicas = [node for node in self.nodes if node not in masters]
        node = replicas[int(chance * len(replicas))]
        await self._on_thread(node.server.kill)
        await asyncio.sleep(hold_s)
        await self._on_thread(node.server.start)
        await until(node.follows, "replica that follows")

    async def _replaced(self, node: Node) -> None:
        async def replaced() -> bool:
            return node not in await self.masters() and await self.usable()

        await until(replaced, "master in another's place")


def options_of(port: int, home: Path, replicas: int) -> list[str]:
    """The command of a server with data.

    Args:
        port: it answers on.
        home: of its data; it is made.
        replicas: how many must follow, or it takes no writes as a master.
    """
    home.mkdir()
    options = ["--port", str(port), "--dir", str(home), "--bind", "127.0.0.1"]
    options += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    options += ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
    options += ["--min-replicas-to-write", str(replicas)]
    return [*options, "--min-replicas-max-lag", str(_MAX_LAG_S)]


@contextmanager
def node(home: Path, port: int, *arguments: str) -> Iterator[Node]:
    """Start a server in a directory that exists."""
    clock = Clock(home / "clock")
    command = [*clock.command, stack.valkey_binary(), *arguments]
    server = stack.Server(port, home / "valkey.log", command, b"PING\r\n", b"+PONG")
    with stack.running(server):
        yield Node(server, home, clock)
