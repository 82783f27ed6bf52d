"""How long a rebalance lasts where nobody died: `python -m tests.bench.rebalance`.

A second worker joins and leaves again. *Assigned* is when every partition has one owner in the new
generation of the group, *running* when every lane has taken its partition and works.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local import stack
from processor.app import Runtime
from processor.config import Settings
from processor.kafka import topic_admin
from tests.installation import Installation, running, until
from tests.integration.test_flow import a_send, a_text

ROUNDS = 5
BURST = 200  # records a topic, written again and again


def _is_assigned(runtimes: Sequence[Runtime]) -> bool:
    """Whether every partition has one owner, and every worker some."""
    return all(
        sorted(state.partition for runtime in runtimes for state in runtime.states()[role])
        == list(range(runtimes[0].settings.partitions))
        and all(runtime.states()[role] for runtime in runtimes)
        for role in runtimes[0].lanes
    )


def _is_running(runtimes: Sequence[Runtime]) -> bool:
    return _is_assigned(runtimes) and not any(runtime.unready() for runtime in runtimes)


async def _seconds(began: float, condition: Callable[[], bool]) -> float:
    while not condition():
        assert time.monotonic() < began + 60, "a rebalance that does not end"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


@asynccontextmanager
async def _load(at: Installation) -> AsyncIterator[None]:
    """Texts, a tenth of them keywords, and sends, as fast as they are taken."""

    async def write() -> None:
        for burst in itertools.count():
            names = [f"{burst}x{one}" for one in range(BURST)]
            people = [f"+1555{(burst * BURST + one) % 10_000:07d}" for one in range(BURST)]
            bodies = ["stop" if one % 10 == 0 else "hello" for one in range(BURST)]
            texts = zip(names, bodies, people, strict=True)
            await at.texts(*(a_text(f"M{sid}", body, **{"from": who}) for sid, body, who in texts))
            await at.sends(
                *(a_send(f"S{sid}", to=who) for sid, who in zip(names, people, strict=True))
            )

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


async def _measure(what: str, settings: Settings, paused: stack.Server | None = None) -> None:
    took: dict[str, list[float]] = {}
    async with running(settings) as first:
        await until(_ready([first]), "first worker")
        for _ in range(ROUNDS):
            if paused:
                paused.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(0.2)  # until every lane waits for it
            second = Runtime(settings)
            following = asyncio.create_task(second.follow())
            began = time.monotonic()
            lanes = [asyncio.create_task(one.run()) for one in second.lanes.values()]
            both = [first, second]
            took.setdefault("joins: assigned", []).append(
                await _seconds(began, lambda both=both: _is_assigned(both))  # type: ignore[misc]
            )
            if not paused:
                took.setdefault("joins: running", []).append(
                    await _seconds(began, lambda both=both: _is_running(both))  # type: ignore[misc]
                )
            began = time.monotonic()
            for one in second.lanes.values():
                one.stop()
            took.setdefault("leaves: assigned", []).append(
                await _seconds(began, lambda: _is_assigned([first]))
            )
            if paused:
                paused.process.send_signal(signal.SIGCONT)
                await until(_ready([first]), "first worker")
            else:
                took.setdefault("leaves: running", []).append(
                    await _seconds(began, lambda: _is_running([first]))
                )
            await asyncio.gather(*lanes)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await second.store.close()
    for step, seconds in took.items():
        print(f"{what:<14} {step:<17} {statistics.median(seconds):6.2f} {max(seconds):6.2f}")


def _ready(runtimes: Sequence[Runtime]) -> Callable[[], object]:
    async def ready() -> bool:
        return _is_running(runtimes)

    return ready


async def _installation(redis_url: str) -> Settings:
    settings = Settings(
        topic_prefix=f"b{uuid.uuid4().hex[:12]}.", redis_url=redis_url, roles=("match", "gate")
    )
    await topic_admin.create(settings)
    return settings


async def main() -> None:
    """Print median and longest of each, in seconds."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # rebalances are what it is about
    with tempfile.TemporaryDirectory() as directory, stack.valkey(Path(directory)) as redis:
        url = f"redis://{redis.address}/0"
        print(f"{'workers':<14} {'a second one':<17} median    max")
        await _measure("idle", await _installation(url))
        busy = await _installation(url)
        async with _load(Installation(busy)):
            await _measure("busy", busy)
        await _measure("Redis paused", await _installation(url), paused=redis)


if __name__ == "__main__":
    asyncio.run(main())
