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
from itertools import cycle
from pathlib import Path
from statistics import quantiles

import click

from processor import config
from processor.carriers.adapter import Request
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.bench import report
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


def _bytes_of(request: Request) -> bytes:
    path = request.url.removeprefix(HOST)
    lines = [f"{request.method} {path} HTTP/1.1", "host: sms.example.com"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"content-length: {len(request.body)}", "", ""]
    return "\r\n".join(lines).encode() + request.body


def _singles() -> Iterator[bytes]:
    for number in range(_DISTINCT):
        recipient = f"+1555765{number:04}"
        text = "stop" if number % 50 == 0 else f"text {number}"
        yield _bytes_of(a_request("twilio", twilio_text(text, f"SM{number}", From=recipient)))


def _batches() -> Iterator[bytes]:
    for number in range(_DISTINCT // 10):
        texts = []
        for index in range(_BATCH):
            text = whatsapp_message("text", {"body": f"text {index}"}, f"wamid.{number}.{index}")
            texts.append({**text, "from": f"1555766{(number * _BATCH + index) % 10_000:04}"})
        yield _bytes_of(a_request("whatsapp", whatsapp_event(texts)))


class _Connection:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> None:
        """Make a request, and read the response.

        Raises:
            RuntimeError: it is not 200.
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if length and int(length[1]):
            await self._reader.readexactly(int(length[1]))


async def _connections(place: tuple[str, int], count: int) -> list[_Connection]:
    opened = await asyncio.gather(*(asyncio.open_connection(*place) for _ in range(count)))
    return [_Connection(*one) for one in opened]


async def rate(
    connections: Sequence[_Connection], requests: Sequence[bytes], seconds: float
) -> float:
    """Requests a second that are answered when each connection asks again at once."""
    left, done = cycle(requests), 0
    deadline = time.monotonic() + seconds

    async def work(connection: _Connection) -> None:
        nonlocal done
        while time.monotonic() < deadline:
            await connection.ask(next(left))
            done += 1

    began = time.monotonic()
    await asyncio.gather(*map(work, connections))
    return done / (time.monotonic() - began)


async def times(
    connections: Sequence[_Connection], requests: Sequence[bytes], pace: float, seconds: float
) -> list[float]:
    """The seconds from when each request was due to its answer, at a fixed rate."""
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)
    found: list[float] = []
    began = time.perf_counter()

    async def ask(request: bytes, due_s: float) -> None:
        connection = await free.get()
        await connection.ask(request)
        found.append(time.perf_counter() - due_s)
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for number, request in zip(range(int(pace * seconds)), cycle(requests), strict=False):
            due_s = began + number / pace
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            group.create_task(ask(request, due_s))
    return found


def _cpu_s(process: int) -> float:
    """The CPU that a process has used, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    deadline = time.monotonic() + 60
    probe = _bytes_of(a_request("twilio", twilio_text("hello")))
    while time.monotonic() < deadline:
        try:
            [connection] = await _connections(place, 1)
            return await connection.ask(probe)
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.2)
    raise RuntimeError("the carriers' server is not ready")


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True)
def main(seconds: float) -> None:
    """Measure, and print the figures."""
    asyncio.run(_main(seconds))


async def _main(seconds: float) -> None:
    settings = with_carriers(
        config.load(topic_prefix=f"bench-{uuid.uuid4().hex[:8]}.", partitions=12)
    )
    await topic_admin.create(settings)
    await store(settings, a_document("twilio"), a_document("whatsapp"))
    singles, batches = list(_singles()), list(_batches())
    for name, value in report.machine().items():
        print(f"{name}: {value}")
    async with _serving(settings) as (place, process):
        connections = await _connections(place, 64)
        await rate(connections, singles, 2)
        before_s = _cpu_s(process)
        single = await rate(connections, singles, seconds)
        cpu_us = 1e6 * (_cpu_s(process) - before_s) / (single * seconds)
        print(f"requests a second, a message in each: {single:,.0f}; CPU of each {cpu_us:.0f} µs")
        whole = await rate(connections[:16], batches, seconds)
        print(f"messages a second, {_BATCH} in a request: {whole * _BATCH:,.0f}")
        connections = await _connections(place, 64)  # the others were idle, and are closed
        found = sorted(await times(connections, singles, 1_000, seconds))
        cuts = [1_000 * one for one in quantiles(found, n=100)]
        print(f"at 1,000 requests a second: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms")


if __name__ == "__main__":
    main()
