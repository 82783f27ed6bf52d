"""A Redis Cluster of three masters with two replicas each.

Nodes announce proxies, so that one worker alone can be cut off from all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from deploy.local import stack
from tests.chaos.network import Network
from tests.chaos.redis_nodes import FailingOver, Node, OnThread, node, options_of
from tests.installation import until

_MASTERS, _REPLICAS = 3, 2
_SLOTS = 16_384
_NODE_TIMEOUT_MS = 4_000  # longer than a master serves without replicas


class ClusterRedis(FailingOver):
    """Nodes by the port that they announce."""

    def __init__(self, by_port: Mapping[int, Node], on_thread: OnThread, replicas: int) -> None:
        super().__init__(list(by_port.values()), on_thread, replicas)
        ports = list(by_port)[:_MASTERS]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)
        self._by_port = by_port

    async def masters(self) -> Sequence[Node]:
        """Those that have slots and answer, as most masters see it."""
        views = [view for one in self.nodes if (view := await self._counted_on_by(one)) is not None]
        return [
            self._by_port[port]
            for port in self._by_port
            if sum(port in view for view in views) > len(views) / 2
        ]

    async def _counted_on_by(self, asked: Node) -> set[int] | None:
        """The ports of the masters that a node counts on; None where it does not answer."""
        try:
            async with asked.client(1) as redis:
                told = await redis.execute_command("CLUSTER NODES")
        except (RedisError, OSError, TimeoutError):
            return None
        serving = set()
        for address, one in told.items():
            flags = one["flags"].split(",")
            if "master" in flags and one["slots"] and not {"fail", "noaddr"} & {*flags}:
                serving.add(int(address.rpartition(":")[2]))
        return serving

    async def usable(self) -> bool:
        """Whether three masters serve, each with the replicas that it needs."""
        masters = await self.masters()
        has_all = [await self.has_replicas(one) for one in masters]
        return len(masters) == _MASTERS and all(has_all)

    async def push(self, master: Node) -> None:
        """CLUSTER FAILOVER FORCE: the others hear a master that is paused."""
        port = next(port for port, one in self._by_port.items() if one is master)
        for one in self.nodes:
            info = await one.replication()
            if info.get("role") == "slave" and info.get("master_port") == port:
                async with one.client() as redis:
                    await redis.execute_command("CLUSTER FAILOVER", "FORCE")
                return

    @property
    def pause_s(self) -> float:
        """Until the others have voted for its replica."""
        return 2 * _NODE_TIMEOUT_MS / 1000


@asynccontextmanager
async def cluster_redis(
    directory: Path, net: Network, on_thread: OnThread, replicas: int
) -> AsyncIterator[ClusterRedis]:
    """Start the nodes, and wait until they are a Cluster."""
    async with AsyncExitStack() as held:
        by_port: dict[int, Node] = {}
        buses: dict[int, int] = {}
        for number in range(_MASTERS * (1 + _REPLICAS)):
            port = held.enter_context(stack.free_port(17_000))
            bus = held.enter_context(stack.free_port(27_000))
            front = await net.front(port)
            home = directory / f"redis{number}"
            options = [*options_of(port, home, replicas), "--cluster-enabled", "yes"]
            options += ["--cluster-port", str(bus), "--cluster-announce-ip", "127.0.0.1"]
            options += ["--cluster-announce-port", str(front.port)]
            options += ["--cluster-announce-bus-port", str(bus)]
            options += ["--cluster-node-timeout", str(_NODE_TIMEOUT_MS)]
            by_port[front.port] = held.enter_context(node(home, port, *options))
            buses[front.port] = bus
        made = ClusterRedis(by_port, on_thread, replicas)
        await _form(made, buses)
        yield made


async def _form(made: ClusterRedis, buses: Mapping[int, int]) -> None:
    clients: list[Any] = [one.client() for one in made.nodes]
    masters = clients[:_MASTERS]
    try:
        for number, client in enumerate(masters):
            first, end = (_SLOTS * one // _MASTERS for one in (number, number + 1))
            await client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for client in clients:
            for port, bus in buses.items():
                await client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)

        ids = [(await client.execute_command("CLUSTER MYID")).decode() for client in clients]

        async def formed() -> bool:
            # A node that was just met has a name that is not its own yet.
            nodes = [await client.execute_command("CLUSTER NODES") for client in clients]
            return all({one["node_id"] for one in known.values()} == {*ids} for known in nodes)

        await until(formed, "nodes that know each other")
        await asyncio.gather(
            *(
                client.execute_command("CLUSTER REPLICATE", ids[number % _MASTERS])
                for number, client in enumerate(clients[_MASTERS:])
            )
        )
    finally:
        for client in clients:
            await client.aclose()
    await until(made.usable, "Cluster that serves")
