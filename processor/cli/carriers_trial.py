"""`optout carriers test`: one message through the real topics, and its statuses."""

from __future__ import annotations

import time

import click
import orjson

from processor import clocks
from processor.config import Settings
from processor.core.addresses import subscriber_key
from processor.errors import ConfigError
from processor.kafka.fetched import readable
from processor.kafka.reading import reader
from processor.kafka.topics.configuration_writer import configuration
from processor.kafka.writing import Outgoing, writer
from processor.wire import outbound_messages
from processor.wire.json_values import is_address
from processor.wire.topics import Topics

_TAKEN = ("sent", "delivered", "read", "failed", "undelivered")


async def tried(
    settings: Settings,
    name: str,
    *,
    sid: str,
    to: str,
    body: str,
    sender: str | None,
    seconds: float,
) -> str | None:
    """Send a message, print each status, and return the last.

    Raises:
        ConfigError: there is no such carrier or sender, or the recipient cannot be read.
        BrokerUnavailable: the broker does not answer.
    """
    account_sid, sender = await _sender(settings, name, sender)
    if not is_address(to):
        raise ConfigError(["--to: must be a number such as +15550100001"])
    topics = Topics.under(settings.topic_prefix)
    value = outbound_messages.write(
        message_sid=sid,
        account_sid=account_sid,
        service_sid=None,
        sender=sender,
        to=to,
        body=body,
        media_urls=(),
        status_callback=None,
        created_at_ms=clocks.now_ms(),
    )
    async with (
        reader(settings, [topics.message_statuses], at_end=True) as consumer,
        writer(settings) as out,
    ):
        for tp in consumer.assignment():
            await consumer.position(tp)  # before it is sent
        await out.send_all([Outgoing(topics.outbound_messages, subscriber_key(to).encode(), value)])
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in readable(records):
                    status = orjson.loads(record.value or b"{}")
                    if status.get("message_sid") == sid:
                        _print(status)
                        if status["status"] in _TAKEN:
                            return str(status["status"])
    return None


async def _sender(settings: Settings, name: str, sender: str | None) -> tuple[str, str]:
    async with configuration(settings) as stored:
        carrier = stored.carriers.stored().get(name)
    if carrier is None:
        raise ConfigError([f"{name}: no such carrier; `optout carriers list` names all"])
    for one in carrier.senders:
        if sender in (None, one.address):
            return one.account_sid or carrier.account_sid, one.address
    raise ConfigError([f"--from: {name} has no such sender"])


def _print(status: dict[str, object]) -> None:
    why = " ".join(str(status[key]) for key in ("error_code", "error_message") if status.get(key))
    click.echo(f"{status['status']}{'  ' + why if why else ''}")
