"""Redis servers of a run, and the faults that every topology of them can suffer."""

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
_MAX_LAG_S = 2  # shorter than the failover of Sentinels or a Cluster
OnThread = Callable[[Callable[[], Any]], Any]  # runs a call on the thread that starts servers


@dataclass(frozen=True, slots=True)
class Node:
    """One Redis server."""

    server: stack.Server
    home: Path
    clock: Clock

    def client(self, timeout_s: float = 60) -> Any:
        """A client for it; the caller closes it."""
        return Redis(port=self.server.port, socket_timeout=timeout_s)

    def forget(self) -> None:
        """Delete the data that it would read at its next start."""
        (self.home / SNAPSHOT).unlink(missing_ok=True)

    async def replication(self) -> dict[str, Any]:
        """INFO replication; empty if it does not answer."""
        try:
            async with self.client(1) as redis:
                return dict(await redis.info("replication"))
        except (RedisError, OSError, TimeoutError):
            return {}

    async def follows(self) -> bool:
        """Whether it is a replica that has all of its master's data."""
        info = await self.replication()
        return (info.get("role"), info.get("master_link_status")) == ("slave", "up")


class RedisServers(ABC):
    """The servers of the block list.

    Args:
        nodes: the servers with data.
        on_thread: runs blocking calls on the thread that starts servers.
        replicas: how many a master needs to accept writes.
    """

    url: str  # for clients other than workers; never cut

    def __init__(self, nodes: Sequence[Node], on_thread: OnThread, replicas: int) -> None:
        self.nodes = nodes
        self._on_thread = on_thread
        self._replicas = replicas

    def url_of(self, slot: int) -> str:
        """A worker's URL for them."""
        return self.url

    @abstractmethod
    async def masters(self) -> Sequence[Node]:
        """The serving masters; fewer than usual during a failover."""

    @abstractmethod
    async def usable(self) -> bool:
        """Whether everything is served, by masters with the replicas that they need."""

    async def one(self, chance: float) -> Node:
        """A random master, when everything is served."""
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
        """Kill a master, and restart it without data before another master takes its place."""
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
    """Masters with replicas that take over from them."""

    @abstractmethod
    async def push(self, master: Node) -> None:
        """Let a replica replace a master that still answers."""

    @property
    @abstractmethod
    def pause_s(self) -> float:
        """How long to pause a master, so that it is certainly replaced."""

    async def kill_master(
        self, chance: float, hold_s: float, reachable: Callable[[], None]
    ) -> None:
        """Kill a master; restart it without data after it was replaced."""
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
        """SIGSTOP; SIGCONT after it was replaced."""
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
        """CLIENT PAUSE, with a failover meanwhile."""
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
    """The command-line options of a server with data.

    Args:
        port: its port.
        home: of its data; it is created.
        replicas: how many must follow, or it accepts no writes as a master.
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
