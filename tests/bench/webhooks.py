"""Webhooks of one worker: deliveries a second, and what others wait while one endpoint hangs.

`.venv/bin/python deploy/local/stack.py -- .venv/bin/python -m tests.bench.webhooks`; the
application is a process of its own on the same machine.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import click
import orjson
from aiohttp import web

from processor import config
from processor.config import Settings
from processor.kafka.client import Outgoing, writer
from processor.kafka.topics import topic_admin
from processor.wire.topics import Topics
from tests.installation import running

_RECIPIENTS = 5_000
_MINUTES_S = 300.0


async def _serve() -> None:
    """The application: it answers at once or never, and counts and times its requests."""
    times: list[tuple[float, float]] = []  # written, told

    async def told(request: web.Request) -> web.Response:
        form = await request.post()
        times.append((float(str(form["Body"])), time.time()))
        return web.Response()

    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def stats(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(times))

    app = web.Application()
    app.add_routes(
        [web.post("/told", told), web.post("/hang", hang), web.get("/stats", stats)],
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@asynccontextmanager
async def _application() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.webhooks", "--serve"), stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


async def _times(base: str, count: int) -> list[tuple[float, float]]:
    """The times when deliveries were written and made, once a number of them were made."""
    deadline = time.monotonic() + _MINUTES_S
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{base}/stats") as response:
                times: list[tuple[float, float]] = orjson.loads(await response.read())
            if len(times) >= count:
                return times
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(times):,} of {count:,} told after {_MINUTES_S:.0f} s")
            await asyncio.sleep(0.1)


def _deliveries(topic: str, base: str, path: str, account: str, count: int) -> Iterator[Outgoing]:
    for number in range(count):
        recipient = f"+1555{number % _RECIPIENTS:07}"
        value = {
            "delivery_id": f"{account}{uuid.uuid4().hex}",
            "account_sid": account,
            "message_sid": f"SM{number}",
            "url": base + path,
            "parameters": {
                "From": recipient,
                "To": "+15551234567",
                "Body": str(time.time()),
                "SmsStatus": "received",
                "MessageSid": f"SM{number}",
                "AccountSid": account,
            },
        }
        yield Outgoing(topic, recipient.encode(), orjson.dumps(value))


async def _installation(settings: Settings) -> Settings:
    made = settings.model_copy(
        update={"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}.", "roles": ("webhooks",)}
    )
    await topic_admin.create(made)
    return made


async def _throughput(settings: Settings, count: int) -> None:
    made = await _installation(settings)
    topic = Topics.under(made.topic_prefix).webhook_deliveries
    async with _application() as base:
        async with writer(made) as out:
            await out.send_all(_deliveries(topic, base, "/told", "AC1", count))
        async with running(made) as runtime:
            told = sorted(at for _, at in await _times(base, count))
            retried = runtime.webhook_counts["retried"]
    print(
        f"{count:,} deliveries of one endpoint, {made.webhook_concurrency} at once:"
        f" {count / (told[-1] - told[0]):,.0f} a second; {retried:,} put off"
    )


async def _latency(settings: Settings, rate: int, seconds: int, *, hanging: int) -> None:
    made = await _installation(settings)
    topic = Topics.under(made.topic_prefix).webhook_deliveries
    async with _application() as base, running(made) as runtime, writer(made) as out:
        lanes = runtime.lanes["webhooks"]
        while len(lanes.states()) < made.partitions or runtime.unready():
            await asyncio.sleep(0.1)
        began = time.monotonic()
        for tick in range(10 * seconds):
            await asyncio.sleep(max(0.0, began + tick / 10 - time.monotonic()))
            for account in range(hanging):
                slow = _deliveries(topic, base, "/hang", f"ACslow{account}", rate // 10)
                await out.send_all(slow)
            await out.send_all(_deliveries(topic, base, "/told", "AC1", rate // 10))
        times = await _times(base, rate // 10 * 10 * seconds)
        retried = runtime.webhook_counts["retried"]
    waits = sorted(1000 * (told - written) for written, told in times)
    p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(
        f"{rate} a second, {hanging} other endpoints that hang with as many each: told after"
        f" p50 {p50:,.0f}, p99 {p99:,.0f}, worst {waits[-1]:,.0f} ms; {retried:,} put off"
    )


async def _measure(deliveries: int, rate: int, seconds: int) -> None:
    settings = config.Settings.model_validate(
        config.load().model_dump() | {"webhook_allow_networks": "127.0.0.0/8"}
    )
    await _throughput(settings, deliveries)
    for hanging in (0, 1, 5):
        await _latency(settings, rate, seconds, hanging=hanging)


@click.command()
@click.option("--serve", is_flag=True, hidden=True)
@click.option("--deliveries", type=int, default=20_000, show_default=True)
@click.option("--rate", type=int, default=200, show_default=True, help="A second, each endpoint.")
@click.option("--seconds", type=int, default=20, show_default=True)
def main(serve: bool, deliveries: int, rate: int, seconds: int) -> None:
    """Measure on this machine, and print what was found."""
    asyncio.run(_serve() if serve else _measure(deliveries, rate, seconds))


if __name__ == "__main__":
    main()
