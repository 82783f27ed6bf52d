"""Brokers, Redis servers, and every worker's own way to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from tests.chaos.broker_start import brokers
from tests.chaos.brokers import Brokers
from tests.chaos.certificates import Authorities
from tests.chaos.clock import Clock
from tests.chaos.cluster_redis import ClusterRedis, cluster_redis
from tests.chaos.network import Network, WayThere, network
from tests.chaos.one_redis import OneRedis, one_redis
from tests.chaos.plan import RedisKind
from tests.chaos.sentinel_redis import SentinelRedis, sentinel_redis

SLOTS = 4  # workers there can be at once
SECURE = 0  # the slot whose worker comes to the brokers over TLS

AnyRedis = OneRedis | SentinelRedis | ClusterRedis


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker's place: its own way to the brokers and to Redis, and its clock."""

    number: int
    kafka: WayThere
    redis: WayThere
    clock: Clock
    environment: dict[str, str] = field(default_factory=dict)  # where its worker finds the servers


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that workers need."""

    network: Network
    kafka: Brokers
    redis: AnyRedis
    slots: Sequence[Slot]
    authorities: Authorities

    @property
    def secure_slot(self) -> Slot:
        """The process whose worker connects to the brokers over TLS."""
        return self.slots[SECURE]


@asynccontextmanager
async def servers(
    directory: Path,
    *,
    redis: RedisKind,
    brokers_count: int,
    min_replicas: int,
    prefix: str,
    broker_clocks_step: bool,
) -> AsyncIterator[Servers]:
    """Start everything.

    Args:
        directory: of data, logs, clocks and certificates.
        redis: the servers of the block list.
        brokers_count: 1 or 3.
        min_replicas: replicas that a replaceable Redis master needs to accept writes.
        prefix: of the installation's topics.
        broker_clocks_step: see ``brokers``.
    """
    # A server is killed with the thread that started it: one thread, to the end.
    with ThreadPoolExecutor(1) as thread:

        async def on_thread(work: Callable[[], Any]) -> None:
            await asyncio.get_running_loop().run_in_executor(thread, work)

        async with AsyncExitStack() as held:
            net = await held.enter_async_context(network())
            slots = [
                Slot(n, net.way(f"kafka{n}"), net.way(f"redis{n}"), Clock(directory / f"clock{n}"))
                for n in range(SLOTS)
            ]
            authorities = Authorities(directory / "certificates")
            ways = [slot.redis for slot in slots]
            served: AnyRedis
            match redis:
                case "one":
                    served = await held.enter_async_context(
                        one_redis(directory, net, ways, on_thread, min_replicas)
                    )
                case "sentinel":
                    served = await held.enter_async_context(
                        sentinel_redis(directory, net, on_thread, min_replicas)
                    )
                case "cluster":
                    served = await held.enter_async_context(
                        cluster_redis(directory, net, on_thread, min_replicas)
                    )
                case _:
                    assert_never(redis)
            ways = [slot.kafka for slot in slots]
            kafka, bootstraps = await held.enter_async_context(
                brokers(
                    directory,
                    brokers_count,
                    net,
                    ways,
                    authorities,
                    prefix,
                    on_thread,
                    clocks_step=broker_clocks_step,
                )
            )
            for slot, bootstrap in zip(slots, bootstraps, strict=True):
                slot.environment.update(_environment(slot, bootstrap, served, authorities))
            yield Servers(net, kafka, served, slots, authorities)


def _environment(
    slot: Slot, bootstrap: str, redis: AnyRedis, authorities: Authorities
) -> Mapping[str, str]:
    tls = authorities.environment() if slot.number == SECURE else {}
    return {
        "OPTOUT_KAFKA_BOOTSTRAP": bootstrap,
        "OPTOUT_REDIS_URL": redis.url_of(slot.number),
        **tls,
    }
