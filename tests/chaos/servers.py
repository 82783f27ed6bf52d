"""The broker, two Redis servers and the network between them and the workers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from deploy.local import stack
from tests.chaos.clock import Clock
from tests.chaos.proxy import Proxy, proxy
from tests.installation import until

SLOTS = 4  # workers there can be at once
_SNAPSHOT = "dump.rdb"


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker's place: its own way to the broker and to Redis, and its clock."""

    number: int
    kafka: Proxy
    redis: Proxy
    clock: Clock


@dataclass(frozen=True, slots=True)
class Node:
    """One of the two Redis servers."""

    server: stack.Server
    home: Path
    clock: Clock

    def client(self) -> Any:
        """A client of it, to be closed."""
        return Redis(port=self.server.port, socket_timeout=60)

    def forget(self) -> None:
        """Lose what it would read at its next start."""
        (self.home / _SNAPSHOT).unlink(missing_ok=True)


class Servers:
    """What the workers need, and how it is harmed."""

    def __init__(
        self, broker: stack.Server, nodes: list[Node], replication: Proxy, slots: list[Slot]
    ) -> None:
        self.broker = broker
        self.slots = slots
        self._master, self._replica = nodes
        self._replication = replication
        # A server is killed with the thread that started it: one thread, to the end.
        self._thread = ThreadPoolExecutor(1)

    async def _on_thread(self, work: Callable[[], Any]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @property
    def master(self) -> Node:
        """The Redis that the workers use."""
        return self._master

    async def restart_broker(self, down_s: float) -> None:
        """Kill the broker; start it again on the same data."""
        await self._on_thread(self.broker.kill)
        await asyncio.sleep(down_s)
        await self._on_thread(self.broker.start)

    async def empty_redis(self) -> None:
        """FLUSHALL."""
        async with self._master.client() as redis:
            await redis.flushall()

    async def restart_redis_empty(self, down_s: float) -> None:
        """Kill Redis; start it again without data."""
        await self._on_thread(self._master.server.kill)
        self._master.forget()
        await asyncio.sleep(down_s)
        await self._on_thread(self._master.server.start)

    async def freeze_redis(self, for_s: float) -> None:
        """SIGSTOP, later SIGCONT."""
        process = self._master.server.process
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(for_s)
        process.send_signal(signal.SIGCONT)

    async def pause_redis(self, for_s: float) -> None:
        """CLIENT PAUSE."""
        async with self._master.client() as redis:
            await redis.execute_command("CLIENT PAUSE", round(1000 * for_s), "ALL")
        await asyncio.sleep(for_s)

    async def slow_redis(self, delay_s: float, for_s: float) -> None:
        """Every answer of Redis comes late."""
        for slot in self.slots:
            slot.redis.delay_s = delay_s
        await asyncio.sleep(for_s)
        for slot in self.slots:
            slot.redis.delay_s = 0

    async def restart_redis_from_snapshot(self, age_s: float) -> None:
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
        self._replication.cut()
        await asyncio.sleep(behind_s)
        await self._on_thread(self._master.server.kill)
        async with self._replica.client() as redis:
            await redis.replicaof("NO", "ONE")
        self._master, self._replica = self._replica, self._master
        for slot in self.slots:
            slot.redis.lead_to(self._master.server.port)
        self._replication.lead_to(self._master.server.port)
        self._replication.heal()
        self._replica.forget()
        await self._on_thread(self._replica.server.start)
        await self.follow()

    async def follow(self) -> None:
        """Have the replica follow the master, and wait until it has all of it."""
        async with self._replica.client() as redis:
            await redis.replicaof("127.0.0.1", self._replication.port)

            async def follows() -> bool:
                info = await redis.info("replication")
                return (info.get("role"), info.get("master_link_status")) == ("slave", "up")

            await until(follows, "replica that follows")

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown()


@contextmanager
def _node(home: Path) -> Iterator[Node]:
    home.mkdir()
    clock = Clock(home / "clock")
    with stack.free_port(16_379) as port:
        command = [*clock.command, stack.valkey_binary(), "--port", str(port), "--dir", str(home)]
        command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"]
        server = stack.Server(port, home / "valkey.log", command, b"PING\r\n", b"+PONG")
        with stack.running(server):
            yield Node(server, home, clock)


@asynccontextmanager
async def servers(directory: Path) -> AsyncIterator[Servers]:
    """Start everything; the broker has a listener for each worker, which leads through a proxy."""
    async with AsyncExitStack() as proxies:
        with ExitStack() as running:
            nodes = [running.enter_context(_node(directory / f"redis{n}")) for n in (0, 1)]
            ports = [running.enter_context(stack.free_port(19_092)) for _ in range(SLOTS)]
            redis_port = nodes[0].server.port
            slots = []
            for number, port in enumerate(ports):
                kafka = await proxies.enter_async_context(proxy(port))
                redis = await proxies.enter_async_context(proxy(redis_port))
                slots.append(Slot(number, kafka, redis, Clock(directory / f"clock{number}")))
            replication = await proxies.enter_async_context(proxy(redis_port))
            broker = running.enter_context(stack.kafka(directory, _properties(ports, slots)))
            made = Servers(broker, nodes, replication, slots)
            running.callback(made.close)
            await made.follow()
            yield made


def _properties(ports: list[int], slots: list[Slot]) -> str:
    names = [f"WORKER{slot.number}" for slot in slots]
    listens = [f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)]
    leads = [
        f"{name}://127.0.0.1:{slot.kafka.port}" for name, slot in zip(names, slots, strict=True)
    ]
    plain = "PLAINTEXT://127.0.0.1:{port}"
    protocols = [f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names)]
    return "\n".join(
        (
            "",
            f"listeners={','.join((plain, 'CONTROLLER://127.0.0.1:{controller_port}', *listens))}",
            f"advertised.listeners={','.join((plain, *leads))}",
            f"listener.security.protocol.map={','.join(protocols)}",
            "inter.broker.listener.name=PLAINTEXT",
            "num.recovery.threads.per.data.dir=8",  # killed, it reads every log again
            "",
        )
    )
