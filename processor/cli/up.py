"""`optout up`: run everything on one machine, with a demo conversation."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import click
import orjson
from pydantic import SecretStr

from processor import clocks, config
from processor.cli import secret_key
from processor.cli.common import actor, run
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import edit_of_account
from processor.errors import BrokerUnavailable
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.topics import topic_admin
from processor.kafka.topics.configuration_writer import configuration
from processor.kafka.writing import Outgoing, Writer, writer
from processor.wire.credentials import new_token
from processor.wire.json_values import to_text
from processor.wire.topics import Topics

_ACCOUNT = "AC00000000000000000000000000000001"
_SENDER = "+15005550006"
_ANSWER_S = 60.0
_QUIET_S = 1.0  # wait for events of a message; without a match, none come


@click.command("up")
@click.option("--demo/--no-demo", default=True, show_default=True, help="Show a conversation.")
def command(demo: bool) -> None:
    """Create the topics, run a worker and the API, and show a conversation, until Ctrl-C.

    Example: optout up
    """
    with contextlib.suppress(KeyboardInterrupt):
        run(_up(config.load(), demo=demo))


async def _up(settings: Settings, *, demo: bool) -> None:
    click.echo(f"Kafka {settings.kafka_bootstrap}, topics {settings.topic_prefix}*")
    while True:
        try:
            made = await topic_admin.create(settings)
            break
        except BrokerUnavailable as error:
            click.echo(f"waiting: {error}", err=True)
            await asyncio.sleep(1)
    click.echo(f"{len(made.created)} topics created, the others existed")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings, environment = _with_secret_keys(settings)
    async with _process(environment, "worker") as worker, _process(environment, "api") as api:
        ended = asyncio.create_task(worker.wait())
        stopped = asyncio.create_task(stop.wait())
        shown = asyncio.create_task(_show(settings, api, demo=demo))
        await asyncio.wait((ended, stopped, shown), return_when=asyncio.FIRST_COMPLETED)
        if shown.done() and not stop.is_set():
            shown.result()
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        shown.cancel()
    if ended.done() and not stop.is_set():
        click.echo(f"the worker ended with exit code {worker.returncode}", err=True)
        sys.exit(1)


def _with_secret_keys(settings: Settings) -> tuple[Settings, dict[str, str]]:
    """Add this machine's key to the settings and the environment, unless a key is set."""
    environment = dict(os.environ)
    if settings.secret_keys is None:
        key = secret_key.of_this_machine()
        environment["OPTOUT_SECRET_KEYS"] = key
        settings = settings.model_copy(update={"secret_keys": SecretStr(key)})
    return settings, environment


async def _show(settings: Settings, api: asyncio.subprocess.Process, *, demo: bool) -> None:
    """Show the conversation if asked to, then print next steps."""
    if demo:
        await _conversation(settings)
    assert api.stdout is not None
    address = (await api.stdout.readline()).decode().strip()
    click.echo(f"\nUp; Ctrl-C stops. {address or 'The API has ended.'}")
    if demo and address:
        token = await _token(settings)
        user = f"{_ACCOUNT}:{token}" if token else _ACCOUNT
        url = f"{address.split()[-1]}/v1/Services"
        if token:
            console = f"{address.split()[-1]}/console"
            click.echo(f"Console at {console}; sign in as {_ACCOUNT} with {token}")
        click.echo(f"  curl -u {user} {url} --data-urlencode 'FriendlyName=Clinic'")
    click.echo("In another terminal:")
    click.echo(f"  export OPTOUT_KAFKA_BOOTSTRAP={settings.kafka_bootstrap}")
    if "@" not in settings.redis_url:  # never show a password
        click.echo(f"  export OPTOUT_REDIS_URL={settings.redis_url}")
    if "OPTOUT_SECRET_KEYS" not in os.environ:
        click.echo(f"  export OPTOUT_SECRET_KEYS=$(cat {secret_key.FILE})")
    click.echo(f"  {sys.argv[0]} simulate --rate 2000 --seconds 5")
    click.echo(f"  {sys.argv[0]} blocks list")


async def _token(settings: Settings) -> str | None:
    """Return the demo account's token, made the first time; None if another key sealed it."""
    account = new_account(settings, _ACCOUNT, new_token(), "Demo", made=True)
    async with configuration(settings) as stored:
        await stored.update(
            lambda: [] if stored.accounts.get(_ACCOUNT) else [edit_of_account(None, account)],
            actor=actor(),
        )
        token = stored.accounts.token_of(_ACCOUNT)
        return token if isinstance(token, str) else None


@asynccontextmanager
async def _process(
    environment: Mapping[str, str], name: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    # Its own session: Ctrl-C reaches only us, and we let it finish its work.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "processor", name, "--quiet"),
        env=environment,
        stdout=asyncio.subprocess.PIPE if name == "api" else None,
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


async def _conversation(settings: Settings) -> None:
    """Send a recipient's demo messages through the real topics."""
    topics = Topics.under(settings.topic_prefix)
    recipient = f"+1555{uuid.uuid4().int % 10**7:07d}"
    async with writer(settings) as out, reader(settings, _shown(topics), at_end=True) as consumer:
        talk = _Talk(topics, recipient, out, consumer)
        await talk.send("Your parcel is on its way")
        await talk.say("Stop please")
        await talk.say("STOP")
        await talk.send("Rate your parcel")
        await talk.say("HELP")
        await talk.say("START")
        await talk.send("Welcome back")


def _shown(topics: Topics) -> list[str]:
    """Return the topics whose events are shown, in the order to show them."""
    return [
        topics.block_changes,
        topics.reply_sends,
        topics.opt_out_notifications,
        topics.allowed_sends,
        topics.message_statuses,
    ]


class _Talk:
    def __init__(self, topics: Topics, recipient: str, out: Writer, consumer: Consumer) -> None:
        self._topics = topics
        self._recipient = recipient
        self._out = out
        self._consumer = consumer

    async def say(self, body: str) -> None:
        """Send a text from the recipient, and print the result."""
        sid, fields = self._message(body)
        fields |= {"from": self._recipient, "to": _SENDER, "received_at": fields.pop("at")}
        matches = body in ("STOP", "START", "HELP")
        click.echo(f"\n{self._recipient} texts {body!r}")
        heard = await self._give(self._topics.inbound_messages, sid, fields, wait=matches)
        if not heard:
            click.echo("    not a keyword: passed to the application")
        for topic, value in heard:
            if topic == self._topics.block_changes:
                click.echo(
                    f"    {'blocked' if value['blocked'] else 'unblocked'} ({value['scope']})"
                )
            elif topic == self._topics.reply_sends:
                click.echo(f"    reply: {value['body']}")
            else:
                click.echo(
                    f"    OptOutType event: {value['kind']}, keyword {value['keyword']!r}, "
                    f"reply sent: {value['reply_sent']}"
                )

    async def send(self, body: str) -> None:
        """Send a message from the application, and print the verdict."""
        sid, fields = self._message(body)
        fields |= {"from": _SENDER, "to": self._recipient, "created_at": fields.pop("at")}
        click.echo(f"\nthe application sends {body!r}")
        heard = await self._give(self._topics.outbound_messages, sid, fields, wait=True)
        for topic, value in heard:
            if topic == self._topics.allowed_sends:
                click.echo("    allowed")
            else:
                click.echo(f"    failed: {value['error_code']} {value['error_message']}")

    def _message(self, body: str) -> tuple[str, dict[str, str]]:
        sid = f"SM{uuid.uuid4().hex}"
        at = to_text(clocks.now_ms())
        return sid, {"message_sid": sid, "account_sid": _ACCOUNT, "body": body, "at": at}

    async def _give(
        self, topic: str, sid: str, fields: Mapping[str, object], *, wait: bool
    ) -> list[tuple[str, Mapping[str, object]]]:
        """Write a record, and read everything it caused; its batch is committed atomically."""
        await self._out.send_all([Outgoing(topic, self._recipient.encode(), orjson.dumps(fields))])
        heard: list[tuple[str, Mapping[str, object]]] = []
        deadline = time.monotonic() + (_ANSWER_S if wait else _QUIET_S)
        while time.monotonic() < deadline:
            found = await self._consumer.getmany(timeout_ms=200)
            for tp, records in found.items():
                for record in readable(records):
                    value = orjson.loads(record.value)
                    cause = value.get("cause", {}).get("id")
                    if sid in (value.get("message_sid"), value.get("in_reply_to"), cause):
                        heard.append((tp.topic, value))
            if heard and not found:
                break
        if wait and not heard:
            raise BrokerUnavailable(f"no worker answered within {_ANSWER_S:.0f} s")
        order = _shown(self._topics)
        return sorted(heard, key=lambda pair: order.index(pair[0]))
