"""How many requests a second one API process answers, and how long each takes.

    make bench-api

The load comes from this process, over connections that stay open. Each connection sends its next
request after the last response. At the end, checks run at a fixed rate without waiting for
responses, each timed from when it was due.

Then the same checks run while another account does its worst, in a separate process. The last
figure is the time of a recipient's history in a partition of many changes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import aiohttp
import click
from pydantic import SecretStr

from processor import config
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import edit_of_account
from processor.errors import ConfigError, RetryableError
from processor.kafka.topics import topic_admin
from processor.kafka.topics.configuration_writer import configuration
from processor.wire.credentials import new_token
from processor.wire.topics import Topics
from tests.bench import report, worst
from tests.lag import group_lag

_READY_S = 60.0
_CHECK = "check 10"
_PACE = 500  # checks a second, without waiting for responses
_WARM_UP = 200
_ACCOUNT = f"AC{0:032x}"
_SENDER, _RECIPIENT = "+15005550006", "+15005550009"
SEALING_KEY = "5eed" * 16
_TEN = {"recipients": [f"+1500555{index:04}" for index in range(10)], "from": _SENDER}
_CALM_PACE = 200  # checks a second, while another account reads

Call = Callable[[], Awaitable[aiohttp.ClientResponse]]


class Broken(Exception):
    """The API gave a wrong response."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The results of one call."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the API's process, for each request


@click.command()
@click.option("--requests", type=click.IntRange(1_000), default=5_000, show_default=True)
@click.option("--connections", type=click.IntRange(1, 200), default=8, show_default=True)
@click.option(
    "--checks",
    type=click.IntRange(100),
    default=3_000,
    show_default=True,
    help="Beside each reading of another account.",
)
@click.option("--only", type=click.Choice(["calls", "worst"]), help="Measure a part of it.")
def main(requests: int, connections: int, checks: int, only: str | None) -> None:
    """Measure each call of the API on this machine, and beside an account that does its worst."""
    try:
        asyncio.run(_run(config.load(), requests, connections, checks, only))
    except (Broken, ConfigError, RetryableError) as error:
        print(f"broken: {error}", file=sys.stderr)
        sys.exit(1)


async def _run(
    settings: Settings, requests: int, connections: int, checks: int, only: str | None
) -> None:
    settings = settings.model_copy(
        update={
            "topic_prefix": f"bench-{uuid.uuid4().hex[:8]}.",
            "secret_keys": SecretStr(SEALING_KEY),
        }
    )
    await topic_admin.create(settings)
    token = new_token()
    account = new_account(settings, _ACCOUNT, token, "Bench")
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_account(None, account)], actor="bench")
    for name, value in (await report.versions(settings)).items():
        click.echo(f"{name:<9} {value}")
    login = {"Authorization": aiohttp.encode_basic_auth(_ACCOUNT, token)}
    if only != "worst":
        await _each_call(settings, login, requests, connections)
    if only != "calls":
        await _worst(settings, login, checks)


async def _each_call(
    settings: Settings, login: dict[str, str], requests: int, connections: int
) -> None:
    click.echo(f"setting   one process, {connections} connections, load and broker beside it\n")
    click.echo(f"{'call':<18}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us each':>13}")
    async with (
        _served(settings) as (base, pid),
        aiohttp.ClientSession(base, headers=login) as session,
    ):
        first = await _first(session)
        calls = await _calls(session)
        for name, call in calls.items():
            few = requests // 10 if name == "update service" else requests
            figure = await _measure(name, call, few, connections, pid)
            click.echo(
                f"{figure.name:<18}{figure.per_second:>10,.0f}"
                f"{figure.p50_ms:>9.1f}{figure.p99_ms:>9.1f}{figure.cpu_us:>13,.0f}"
            )
        paced = await _paced(calls[_CHECK], requests, pid, _PACE)
    click.echo(
        f"\n{_CHECK} at {_PACE} a second: p50 {paced.p50_ms:.1f} ms, p99 {paced.p99_ms:.1f} ms, "
        f"CPU {paced.cpu_us:,.0f} us each"
    )
    click.echo(f"a credential's first request (its slow hash): {first:.0f} ms")


async def _worst(settings: Settings, login: dict[str, str], checks: int) -> None:
    """Measure an account's checks while another account reads all it can."""
    async with (
        _served(settings, rate=str(settings.api_rate)) as (base, pid),
        aiohttp.ClientSession(base, headers=login) as session,
    ):
        await _list_is_whole(session)  # and the lanes have committed their first offsets
        other = await worst.prepare(settings)
        topics = Topics.under(settings.topic_prefix)
        async with asyncio.timeout(4 * _READY_S):
            while await group_lag(
                settings, f"{settings.topic_prefix}match", topics.sources("match")
            ):
                await asyncio.sleep(0.5)

        async def check() -> aiohttp.ClientResponse:
            return await session.post("/v1/OptOuts/Check", json=_TEN)

        for line in await worst.history(base, other):
            click.echo(line)
        click.echo(
            f"\n{_CHECK} at {_CALM_PACE} a second while another account, without a pause, …\n\n"
            f"{'asks for':<24}{'p50 ms':>8}{'p99 ms':>8}{'of alone':>10}{'answered':>10}"
            f"{'refused':>9}"
        )
        await _paced(check, _WARM_UP, pid, _CALM_PACE)
        alone = await _paced(check, checks, pid, _CALM_PACE)
        click.echo(f"{'nothing':<24}{alone.p50_ms:>8.1f}{alone.p99_ms:>8.1f}{'1.0':>10}")
        for name, paths in worst.READINGS.items():
            async with worst.asking(base, other, paths) as said:
                # Warm up, as the server closed idle connections.
                await _paced(check, _WARM_UP, pid, _CALM_PACE)
                figure = await _paced(check, checks, pid, _CALM_PACE)
            click.echo(
                f"{name:<24}{figure.p50_ms:>8.1f}{figure.p99_ms:>8.1f}"
                f"{figure.p99_ms / alone.p99_ms:>10.1f}{said.answered:>10,}{said.refused:>9,}"
            )


@asynccontextmanager
async def _served(settings: Settings, rate: str = "0") -> AsyncIterator[tuple[str, int]]:
    environment = os.environ | {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_API_RATE": rate,
        "OPTOUT_API_HOST": "127.0.0.1",
        "OPTOUT_SECRET_KEYS": SEALING_KEY,
    }
    run = (sys.executable, "-m", "processor")
    # Checks read its list.
    worker = await asyncio.create_subprocess_exec(
        *(*run, "worker"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    process = await asyncio.create_subprocess_exec(
        *(*run, "api", "--quiet"), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        base = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession(base) as session, asyncio.timeout(_READY_S):
            while not await is_ready(session):
                await asyncio.sleep(0.1)
        yield base, process.pid
    finally:
        for one in (process, worker):
            one.terminate()
            await one.wait()


async def is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _first(session: aiohttp.ClientSession) -> float:
    began = time.perf_counter()
    await answered(await session.get("/v1/Services"))
    return 1000 * (time.perf_counter() - began)


async def _calls(session: aiohttp.ClientSession) -> dict[str, Call]:
    base = f"/2010-04-01/Accounts/{_ACCOUNT}"
    number = await made(session, f"{base}/IncomingPhoneNumbers.json", {"PhoneNumber": _SENDER})
    service = await made(session, "/v1/Services", {"FriendlyName": "Bench"})
    path = f"/v1/Services/{service}"
    await made(session, f"{path}/PhoneNumbers", {"PhoneNumberSid": number})
    for index in range(49):
        await made(session, "/v1/Services", {"FriendlyName": f"Other {index}"})
    form = {"To": _RECIPIENT, "MessagingServiceSid": service, "Body": "Your parcel is here."}
    message = await made(session, f"{base}/Messages.json", form)
    await _list_is_whole(session)
    names = iter(range(1 << 30))
    return {
        "livez": lambda: session.get("/livez"),
        "fetch service": lambda: session.get(path),
        "list 50 services": lambda: session.get("/v1/Services"),
        "update service": lambda: session.post(path, data={"FriendlyName": f"B {next(names)}"}),
        "create message": lambda: session.post(f"{base}/Messages.json", data=form),
        "fetch message": lambda: session.get(f"{base}/Messages/{message}.json"),
        _CHECK: lambda: session.post("/v1/OptOuts/Check", json=_TEN),
        "list 50 messages": lambda: session.get(f"{base}/Messages.json"),
    }


async def _list_is_whole(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(_READY_S):
        while (await session.get(f"/v1/OptOuts/Blocks/{_RECIPIENT}")).status != 200:
            await asyncio.sleep(0.1)


async def made(session: aiohttp.ClientSession, path: str, form: dict[str, str]) -> str:
    async with session.post(path, data=form) as answer:
        if answer.status != 201:
            raise Broken(f"{path}: {answer.status}")
        return str((await answer.json())["sid"])


async def answered(answer: aiohttp.ClientResponse) -> None:
    async with answer:
        await answer.read()
        if answer.status >= 300:
            raise Broken(f"{answer.method} {answer.url.path}: {answer.status}")


async def _paced(call: Call, requests: int, pid: int, pace: int) -> Figure:
    """Make calls when they are due, and time each from then."""
    took: list[float] = []

    async def one(due: float) -> None:
        await answered(await call())
        took.append(time.perf_counter() - due)

    began, cpu = time.perf_counter(), cpu_seconds(pid)
    async with asyncio.TaskGroup() as group:
        for index in range(requests):
            due = began + index / pace
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return figure_of(_CHECK, took, time.perf_counter() - began, cpu_seconds(pid) - cpu)


def figure_of(name: str, took: Sequence[float], seconds: float, cpu_s: float) -> Figure:
    hundredths = quantiles(took, n=100)
    return Figure(
        name,
        per_second=len(took) / seconds,
        p50_ms=1000 * hundredths[49],
        p99_ms=1000 * hundredths[98],
        cpu_us=1e6 * cpu_s / len(took),
    )


async def _measure(name: str, call: Call, requests: int, connections: int, pid: int) -> Figure:
    took: list[float] = []
    left = 0

    async def connection() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await answered(await call())
            took.append(time.perf_counter() - began)

    async def all_connections() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(connection() for _ in range(connections)))
        return time.perf_counter() - began

    left = _WARM_UP
    await all_connections()
    took.clear()
    left, cpu = requests, cpu_seconds(pid)
    seconds = await all_connections()
    return figure_of(name, took, seconds, cpu_seconds(pid) - cpu)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far, as Linux counts it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
