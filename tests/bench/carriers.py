"""How many requests of providers a second one `optout carriers` stores, and how long each takes.

    make bench-carriers

Every request is signed, verified, stored by Kafka with `acks=all`, and only then answered. The load
comes from this process over connections that stay open. Connections that send again once they are
answered give the rate. Then requests are due at a fixed rate, each timed from when it was due.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import click
import uvloop

from processor import config
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.bench import report
from tests.bench.asking import Load, bytes_of
from tests.builders import KEY
from tests.carrier_serving import store, with_carriers
from tests.carriers import (
    HOST,
    a_document,
    a_request,
    twilio_text,
    whatsapp_event,
    whatsapp_message,
)

_DISTINCT = 2_000  # requests that are signed before the clock runs
_AT = re.compile(rb"carriers at http://([0-9.]+):(\d+)/")
_BATCH = 50  # messages in a request of WhatsApp
_PACE = 1_000  # requests a second, whose time is measured


def _singles() -> Iterator[bytes]:
    for number in range(_DISTINCT):
        recipient = f"+1555765{number:04}"
        text = "stop" if number % 50 == 0 else f"text {number}"
        yield bytes_of(a_request("twilio", twilio_text(text, f"SM{number}", From=recipient)))


def _batches() -> Iterator[bytes]:
    for number in range(_DISTINCT // 10):
        texts = []
        for index in range(_BATCH):
            text = whatsapp_message("text", {"body": f"text {index}"}, f"wamid.{number}.{index}")
            texts.append({**text, "from": f"1555766{(number * _BATCH + index) % 10_000:04}"})
        yield bytes_of(a_request("whatsapp", whatsapp_event(texts)))


def _cpu_s(process: int) -> float:
    """The CPU that a process has used, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second, and the CPU of each."""

    a_second: float
    cpu_us: float
    load_cpu_us: float

    def __str__(self) -> str:
        """It in words."""
        return (
            f"{self.a_second:,.0f}; CPU of each {self.cpu_us:.0f} µs, and {self.load_cpu_us:.0f} µs"
            " of the load"
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its bound."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        """It in words."""
        low, high = self.at_least, self.at_most
        is_met = (low is None or self.value >= low) and (high is None or self.value <= high)
        bound = f"at most {high:,.0f}" if low is None else f"at least {low:,.0f}"
        return f"{'met' if is_met else 'NOT MET':<9}{self.name} {bound}: {self.value:,.0f}"


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[tuple[tuple[str, int], int]]:
    given = {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_PARTITIONS": str(settings.partitions),
        "OPTOUT_SECRET_KEYS": KEY,
        "OPTOUT_CARRIERS_URL": HOST,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processor", "carriers", "--quiet"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | given,
    )
    assert process.stdout is not None
    try:
        said = _AT.match(await process.stdout.readline())
        assert said
        place = said[1].decode(), int(said[2])
        await _ready(place)
        yield place, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _ready(place: tuple[str, int]) -> None:
    deadline_s = time.monotonic() + 60
    load = Load([bytes_of(a_request("twilio", twilio_text("hello")))])
    while time.monotonic() < deadline_s:
        try:
            async with load.connected(place, 1):
                await load.rate(0.01)
                return
        except (OSError, RuntimeError):
            await asyncio.sleep(0.2)
    raise RuntimeError("the carriers' server is not ready")


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True, help="Of each of three measurements.")
@click.option("--connections", default=64, show_default=True)
def main(seconds: float, connections: int) -> None:
    """Measure, and print the figures."""
    began = datetime.now(UTC)
    print(f"load before it {os.getloadavg()[0]:.1f}, {began:%Y-%m-%d %H:%M} UTC")
    for name, value in report.machine().items():
        print(f"{name}: {value}")
    uvloop.run(_measure(seconds, connections))


async def _measure(seconds: float, connections: int) -> None:
    settings = with_carriers(
        config.load(topic_prefix=f"bench-{uuid.uuid4().hex[:8]}.", partitions=12)
    )
    await topic_admin.create(settings)
    await store(settings, a_document("twilio"), a_document("whatsapp"))
    singles, batches = list(_singles()), list(_batches())
    async with _serving(settings) as (place, process):
        single = await _rate(place, process, singles, connections, seconds)
        print(f"requests a second, a message in each: {single}")
        whole = await _rate(place, process, batches, connections // 4, seconds)
        print(f"requests a second, {_BATCH} messages in each: {whole}")
        load = Load(singles)
        async with load.connected(place, connections):
            await load.times(_PACE, 2)
            found = sorted(await load.times(_PACE, seconds))
    p50, p99 = (1_000 * quantiles(found, n=100)[index] for index in (49, 98))
    print(f"at {_PACE:,} requests a second: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    print()
    for goal in (
        Goal("requests a second", single.a_second, at_least=2_000),
        Goal(f"messages a second, {_BATCH} in a request", whole.a_second * _BATCH, at_least=5_000),
        Goal(f"ms of p99 at {_PACE:,} requests a second", p99, at_most=100),
    ):
        print(goal)


async def _rate(
    place: tuple[str, int],
    process: int,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
) -> Rate:
    load = Load(requests)
    async with load.connected(place, connections):
        await load.rate(2)
        before_s, own_s = _cpu_s(process), time.process_time()
        a_second = await load.rate(seconds)
        each = 1e6 / (a_second * seconds)
        return Rate(
            a_second, each * (_cpu_s(process) - before_s), each * (time.process_time() - own_s)
        )


if __name__ == "__main__":
    main()
