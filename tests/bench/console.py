"""How long each page of the console takes in an installation of 10,000 services.

    make bench-console

One account has all services, each with a number, two languages in its draft, and opt-outs in the
last hour; of one in a hundred they are unusually many. The API and the client are this process, so
the CPU of a page includes the client's.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

import aiohttp
import click

from processor import clocks, config
from processor.config import Settings
from processor.configuration.edits import edit_of_service
from processor.configuration.layers import with_packs
from processor.configuration.new_services import new_service
from processor.errors import ConfigError, RetryableError
from processor.kafka.topics import topic_admin
from processor.kafka.topics.configuration_writer import configuration
from processor.wire.topics import Topics
from schemas.messaging_service import MessagingService, OptOut
from tests.api import Api, all_running, create_accounts, with_secrets
from tests.bench import report
from tests.bench.api import Broken
from tests.builders import ACCOUNT, OPERATOR_TOKEN, TOKEN
from tests.console.services import a_count
from tests.installation import Installation

_AT_ONCE = 500  # services stored together
_FEW, _MANY = 3, 12  # opt-outs of a service in the last hour; the second is unusual
_OPERATORS = ("", "?named=99", "/accounts", f"/numbers?account={ACCOUNT}")
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Figure:
    """The time of a page."""

    p50_ms: float
    most_ms: float
    cpu_ms: float  # of each


@click.command()
@click.option("--services", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--requests", type=click.IntRange(2), default=30, show_default=True)
def main(services: int, requests: int) -> None:
    """Measure each page of the console on this machine."""
    try:
        asyncio.run(_run(config.load(), services, requests))
    except (Broken, ConfigError, RetryableError) as error:
        print(f"broken: {error}", file=sys.stderr)
        sys.exit(1)


async def _run(settings: Settings, services: int, requests: int) -> None:
    settings = with_secrets(settings).model_copy(
        update={
            "topic_prefix": f"bench-{uuid.uuid4().hex[:8]}.",
            "partitions": 1,
            "api_rate": 0.0,
            "account_services": services,
            "account_numbers": services,
            "account_configuration_bytes": 1 << 30,
        }
    )
    for name, value in (await report.versions(settings)).items():
        click.echo(f"{name:<9} {value}")
    await topic_admin.create(settings)
    await create_accounts(settings, ACCOUNT)
    await _store(settings, services)
    click.echo(f"setting   {services:,} services of one account, {requests} requests a page\n")
    click.echo(f"{'page':<44}{'p50 ms':>9}{'most ms':>9}{'CPU ms':>9}")
    async with all_running(settings) as api:
        for user, token, paths in (
            (ACCOUNT, TOKEN, _pages(services)),
            ("operator", OPERATOR_TOKEN, _OPERATORS),
        ):
            async with _signed_in(api, user, token) as session:
                for path in paths:
                    figure = await _measure(session, f"/console{path}", requests)
                    name = f"{'operator: ' if user != ACCOUNT else ''}{path or '/'}"
                    click.echo(
                        f"{re.sub('MG[0-9]+', 'MG…', name)[:43]:<44}{figure.p50_ms:>9.1f}"
                        f"{figure.most_ms:>9.1f}{figure.cpu_ms:>9.1f}"
                    )


async def _store(settings: Settings, services: int) -> None:
    """Store the services, and opt-outs of each in the last hour."""
    made = [_service(index) for index in range(services)]
    async with configuration(settings) as stored:
        for at in range(0, services, _AT_ONCE):
            edits = [edit_of_service(None, one) for one in made[at : at + _AT_ONCE]]
            await stored.update(lambda edits=edits: edits, actor="bench")  # type: ignore[misc]
    now_ms = clocks.now_ms()
    counts = [
        a_count(now_ms, 1, _MANY if index % 100 == 0 else _FEW, messaging_service_sid=one.sid)
        for index, one in enumerate(made)
    ]
    topic = Topics.under(settings.topic_prefix).opt_out_counts
    await Installation(settings).write(topic, *counts)


def _service(index: int) -> MessagingService:
    return new_service(
        f"MG{index:032}",
        ACCOUNT,
        now=datetime.now(UTC) - timedelta(days=7),
        friendly_name=f"Service {index}",
        senders=[{"address": f"+1555{index:07}"}],
        opt_out=with_packs(OptOut(), ["es", "fr"]),
    )


def _pages(services: int) -> Sequence[str]:
    one = f"/services/MG{services // 2:032}"
    return (
        "",
        f"?page={services // 100}",
        "?named=99",
        "/services/new",
        one,
        *(f"{one}/{step}" for step in ("senders", "edit/standard", "enable", "rename", "copy")),
        f"{one}/try?body=stop&country=MX",
        f"{one}/steps/keywords",
        "/numbers",
        "/numbers?named=77",
        "/names?service=Service+9",
        "/recipients",
        "/recipients/import",
        "/rates",
        f"/rates?service=Service+{services // 2}&days=7",
        "/live",
    )


@asynccontextmanager
async def _signed_in(api: Api, user: str, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # the API is at an address, without a name
    async with aiohttp.ClientSession(api.base, cookie_jar=jar) as session:
        found = _CSRF.search(await (await session.get("/console/sign-in")).text())
        if found is None:
            raise Broken("the sign-in form has no token")
        form = {"csrf": found[1], "user": user, "token": token, "after": "/console"}
        answer = await session.post("/console/sign-in", data=form)
        if answer.status != 200 or "Sign out" not in await answer.text():
            raise Broken(f"signing in: {answer.status}")
        yield session


async def _measure(session: aiohttp.ClientSession, path: str, requests: int) -> Figure:
    took, cpu = [], 0.0
    for _ in range(requests):
        began, cpu_began = time.perf_counter(), time.process_time()
        async with session.get(path) as answer:
            await answer.read()
            if answer.status != 200:
                raise Broken(f"{path}: {answer.status}")
        took.append(1000 * (time.perf_counter() - began))
        cpu += 1000 * (time.process_time() - cpu_began)
    return Figure(median(took), max(took), cpu / requests)


if __name__ == "__main__":
    main()
