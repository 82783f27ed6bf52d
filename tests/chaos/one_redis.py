"""A Redis that serves, and a replica that is promoted by hand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from deploy.local import stack
from tests.chaos.network import FrontThere, Network, WayThere
from tests.chaos.redis_nodes import Node, OnThread, RedisServers, node, options_of
from tests.installation import until


class OneRedis(RedisServers):
    """Two servers; workers reach the serving one over proxies that can be pointed to the other."""

    def __init__(
        self,
        nodes: Sequence[Node],
        on_thread: OnThread,
        replicas: int,
        fronts: Sequence[FrontThere],
        replication: FrontThere,
        replicating: WayThere,
    ) -> None:
        super().__init__(nodes, on_thread, replicas)
        self._master, self._replica = nodes
        self._fronts = fronts
        self._replication, self._replicating = replication, replicating

    @property
    def url(self) -> str:  # type: ignore[override]
        """Of the server that serves now."""
        return f"redis://{self._master.server.address}/0"

    def url_of(self, slot: int) -> str:
        """The URL that a worker uses."""
        return f"redis://127.0.0.1:{self._fronts[slot].port}/0"

    async def masters(self) -> Sequence[Node]:
        """The one."""
        return [self._master]

    async def usable(self) -> bool:
        """Whether it answers."""
        return await self.has_replicas(self._master)

    async def freeze(self, for_s: float) -> None:
        """SIGSTOP, later SIGCONT."""
        process = self._master.server.process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(for_s)
        process.send_signal(signal.SIGCONT)

    async def pause(self, for_s: float) -> None:
        """CLIENT PAUSE."""
        async with self._master.client() as redis:
            await redis.execute_command("CLIENT PAUSE", round(1000 * for_s), "ALL")
        await asyncio.sleep(for_s)

    async def restart_from_snapshot(self, age_s: float) -> None:
        """Save Redis, let it go on, kill it and start it with what was saved."""
        await self.follow()  # a replica that syncs has it save, too: it does not save twice at once
        async with self._master.client() as redis:
            await redis.save()
        await asyncio.sleep(age_s)
        await self._on_thread(self._master.server.kill)
        await self._on_thread(self._master.server.start)
        self._master.forget()

    async def promote_replica(self, behind_s: float) -> None:
        """Cut the replica off, let Redis go on, kill it; the replica takes its place."""
        await self.follow()
        self._replicating.cut()
        await asyncio.sleep(behind_s)
        await self._on_thread(self._master.server.kill)
        async with self._replica.client() as redis:
            await redis.replicaof("NO", "ONE")
        self._master, self._replica = self._replica, self._master
        for front in (*self._fronts, self._replication):
            front.lead_to(self._master.server.port)
        self._replicating.heal()
        self._replica.forget()
        await self._on_thread(self._replica.server.start)
        await self.follow()

    async def follow(self) -> None:
        """Have the replica follow the master, and wait until it has all of it."""
        async with self._replica.client() as redis:
            await redis.replicaof("127.0.0.1", self._replication.port)
        await until(self._replica.follows, "replica that follows")


@asynccontextmanager
async def one_redis(
    directory: Path, net: Network, ways: Sequence[WayThere], on_thread: OnThread, replicas: int
) -> AsyncIterator[OneRedis]:
    """Start a server and its replica, with a proxy in front for every worker."""
    async with AsyncExitStack() as held:
        nodes = []
        for number in (0, 1):
            home = directory / f"redis{number}"
            port = held.enter_context(stack.free_port(16_379))
            nodes.append(held.enter_context(node(home, port, *options_of(port, home, replicas))))
        target, replicating = nodes[0].server.port, net.way("replication")
        fronts = [await net.front(target, way) for way in ways]
        replication = await net.front(target, replicating)
        made = OneRedis(nodes, on_thread, replicas, fronts, replication, replicating)
        await made.follow()
        yield made
