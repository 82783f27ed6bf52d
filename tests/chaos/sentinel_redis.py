"""A Redis with two replicas and three Sentinels that put one of them in its place.

Servers announce proxies, so that one worker alone can be cut off from all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local import stack
from tests.chaos.network import Network
from tests.chaos.redis_nodes import FailingOver, Node, OnThread, node, options_of
from tests.installation import until

_DATA, _SENTINELS, _QUORUM = 3, 3, 2
_NAME = "optout"
_DOWN_S = 4.0  # longer than a master serves without replicas


class SentinelRedis(FailingOver):
    """A master by the name that Sentinels know it by.

    Args:
        by_port: the servers by the port that they announce.
        sentinels: ports of the Sentinels.
        url: for everybody.
    """

    def __init__(
        self,
        by_port: Mapping[int, Node],
        sentinels: Sequence[int],
        url: str,
        on_thread: OnThread,
        replicas: int,
    ) -> None:
        super().__init__(list(by_port.values()), on_thread, replicas)
        self.url = url
        self._by_port = by_port
        self._sentinels = sentinels

    async def masters(self) -> Sequence[Node]:
        """The master that most Sentinels name."""
        named: Counter[int] = Counter()
        for port in self._sentinels:
            try:
                async with _client(port) as sentinel:
                    address = await sentinel.sentinel_get_master_addr_by_name(_NAME)
            except (RedisError, OSError):
                continue
            named[int(address[1])] += 1
        return [self._by_port[port] for port, count in named.items() if count >= _QUORUM]

    async def usable(self) -> bool:
        """Whether there is one, with the replicas that it needs."""
        masters = await self.masters()
        return bool(masters) and await self.has_replicas(masters[0])

    async def push(self, master: Node) -> None:
        """Wait: a master that is paused answers no Sentinel."""

    @property
    def pause_s(self) -> float:
        """Wait until the Sentinels have agreed that it is down and promoted another master."""
        return 3 * _DOWN_S


@asynccontextmanager
async def sentinel_redis(
    directory: Path, net: Network, on_thread: OnThread, replicas: int
) -> AsyncIterator[SentinelRedis]:
    """Start servers and Sentinels, and wait until all know each other."""
    async with AsyncExitStack() as held:
        by_port: dict[int, Node] = {}
        first = 0
        for number in range(_DATA):
            port = held.enter_context(stack.free_port(16_379))
            front = await net.front(port)
            first = first or front.port
            home = directory / f"redis{number}"
            options = options_of(port, home, replicas)
            options += ["--replica-announce-ip", "127.0.0.1"]
            options += ["--replica-announce-port", str(front.port)]
            if front.port != first:
                options += ["--replicaof", f"127.0.0.1 {first}"]
            # A file, which is rewritten as Sentinel gives it another part.
            file = _as_file(home / "redis.conf", options)
            by_port[front.port] = held.enter_context(node(home, port, file))
        fronts, ports = [], []
        for number in range(_SENTINELS):
            port = held.enter_context(stack.free_port(26_379))
            home = directory / f"sentinel{number}"
            home.mkdir()
            watching = (
                f"sentinel monitor {_NAME} 127.0.0.1 {first} {_QUORUM}\n"
                f"sentinel down-after-milliseconds {_NAME} {round(1000 * _DOWN_S)}\n"
                f"sentinel failover-timeout {_NAME} 10000\n"
                f"sentinel parallel-syncs {_NAME} {_DATA}\n"
            )
            options = ["--port", str(port), "--dir", str(home), "--bind", "127.0.0.1"]
            file = _as_file(home / "sentinel.conf", options, watching)
            command = [stack.valkey_binary(), file, "--sentinel"]
            log = home / "sentinel.log"
            held.enter_context(
                stack.running(stack.Server(port, log, command, b"PING\r\n", b"+PONG"))
            )
            ports.append(port)
            fronts.append(await net.front(port))
        url = ",".join(f"127.0.0.1:{front.port}" for front in fronts)
        made = SentinelRedis(
            by_port, ports, f"redis+sentinel://{url}/{_NAME}/0", on_thread, replicas
        )

        async def all_know() -> bool:
            for port in ports:
                async with _client(port) as sentinel:
                    known = await sentinel.sentinel_master(_NAME)
                others = known["num-slaves"], known["num-other-sentinels"]
                if others != (_DATA - 1, _SENTINELS - 1):
                    return False
            return await made.usable()

        await until(all_know, "Sentinels that know each other")
        yield made


def _client(port: int) -> Any:
    return Redis(port=port, socket_timeout=1)


def _as_file(file: Path, options: Sequence[str], more: str = "") -> str:
    """Options of a command line, and more, as a configuration file."""
    pairs = zip(options[::2], options[1::2], strict=True)
    file.write_text("".join(f"{name[2:]} {value or chr(34) * 2}\n" for name, value in pairs) + more)
    return str(file)
