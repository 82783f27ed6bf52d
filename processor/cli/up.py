"""`optout up`: run everything on one machine, with an example account to look at."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import click
from pydantic import SecretStr

from processor import config
from processor.cli import example, secret_key, welcome
from processor.cli.common import run
from processor.cli.conversation import converse
from processor.cli.example_traffic import ACCOUNT
from processor.cli.welcome import Login
from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.topics import topic_admin
from processor.wire.credentials import new_token

_READY_S = 60.0
_ASK_AGAIN_S = 0.1


@click.command("up")
@click.option("--empty", is_flag=True, help="Store no example account, and play no traffic.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="How long the example's traffic takes.",
)
def command(empty: bool, seconds: float) -> None:
    """Run everything with an example account, until Ctrl-C.

    Creates the topics, runs a worker, the API and the carriers' routes, shows a conversation and
    plays a minute of traffic. A second start with the same servers keeps what is stored.

    Example: optout up --empty
    """
    with contextlib.suppress(KeyboardInterrupt):
        run(_up(config.load(), seconds=None if empty else seconds))


async def _up(settings: Settings, *, seconds: float | None) -> None:
    """Run until a signal or the worker's end.

    Args:
        settings: of the installation.
        seconds: how long the example's traffic takes; None: no example.
    """
    created = await _created(settings)
    click.echo(f"Kafka {settings.kafka_bootstrap}, topics {settings.topic_prefix}*, {created} new")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # of a terminal that is closed
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings, environment = _with_secrets(settings)
    async with (
        _process(environment, "worker") as worker,
        _process(environment, "carriers") as carriers,
        _process(environment, "api") as api,
    ):
        ended = asyncio.create_task(worker.wait())
        stopped = asyncio.create_task(stop.wait())
        shown = asyncio.create_task(_show(settings, api, carriers, seconds=seconds))
        await asyncio.wait((ended, stopped, shown), return_when=asyncio.FIRST_COMPLETED)
        if shown.done() and not stop.is_set():
            shown.result()
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        shown.cancel()
    if ended.done() and not stop.is_set():
        click.echo(f"the worker ended with exit code {worker.returncode}", err=True)
        sys.exit(1)


async def _created(settings: Settings) -> int:
    """Create the missing topics once a broker is there; return how many were missing."""
    while True:
        try:
            return len((await topic_admin.create(settings)).created)
        except BrokerUnavailable as error:
            click.echo(f"waiting: {error}", err=True)
            await asyncio.sleep(1)


def _with_secrets(settings: Settings) -> tuple[Settings, dict[str, str]]:
    """Add this machine's key and an operator's token, unless they are set."""
    environment, fields = dict(os.environ), {}
    if settings.secret_keys is None:
        fields["secret_keys"] = secret_key.of_this_machine()
    if settings.operator_tokens is None:
        fields["operator_tokens"] = new_token()
    environment |= {f"OPTOUT_{name.upper()}": value for name, value in fields.items()}
    return settings.model_copy(
        update={name: SecretStr(value) for name, value in fields.items()}
    ), environment


async def _show(
    settings: Settings,
    api: asyncio.subprocess.Process,
    carriers: asyncio.subprocess.Process,
    *,
    seconds: float | None,
) -> None:
    """Store and show the example if asked to, print next steps, and play the traffic."""
    token = await _example(settings) if seconds else None
    recipient = await _conversation(settings) if seconds else None
    assert api.stdout is not None
    assert carriers.stdout is not None
    click.echo((await carriers.stdout.readline()).decode(), nl=False)
    said = (await api.stdout.readline()).decode().split()
    if not said:
        click.echo("the API has ended; start it by hand for the reason: optout api", err=True)
        return
    await _answers(said[-1])
    logins = [Login(ACCOUNT, token)] if token else []
    if "OPTOUT_OPERATOR_TOKENS" not in os.environ:
        logins += [Login(name, secret) for name, secret in settings.operators().items()]
    welcome.next_steps(settings, said[-1], logins, recipient=recipient)
    if seconds:
        await _traffic(settings, seconds)


async def _answers(address: str) -> None:
    """Wait until the API can serve requests; it prints its address before that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as session:
            while True:
                # The certificate may have another name, and nothing secret is sent.
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{address}/readyz", ssl=False) as answer:
                        if answer.ok:
                            return
                await asyncio.sleep(_ASK_AGAIN_S)


async def _example(settings: Settings) -> str | None:
    """Store the example; return its account's token if it can be opened."""
    token = await example.store_account(settings)
    try:
        await example.store_services(settings)
    except ConfigError as error:
        click.echo("the example's services are left out:", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    return token


async def _conversation(settings: Settings) -> str:
    click.echo("\nA recipient's day:")
    return await converse(settings)


async def _traffic(settings: Settings, seconds: float) -> None:
    try:
        await example.play(settings, seconds=seconds)
    except BrokerUnavailable as error:
        click.echo(f"the example's traffic ended early: {error}", err=True)


@asynccontextmanager
async def _process(
    environment: Mapping[str, str], name: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    # Its own session: Ctrl-C reaches only us, and we let it finish its work.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processor", name, "--quiet"),
        env=environment,
        stdout=asyncio.subprocess.PIPE if name in ("api", "carriers") else None,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
