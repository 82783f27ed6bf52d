"""One recipient's day, sent through the real topics and printed line by line."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

import click
import orjson

from processor import clocks
from processor.cli.example_traffic import ACCOUNT, CLINIC
from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.writing import Outgoing, Writer, writer
from processor.wire.json_values import to_text
from processor.wire.topics import Topics

_ANSWER_S = 60.0
_QUIET_S = 1.0  # wait for events of a message; without a match, none come
_KEYWORDS = ("STOP", "HELP", "START")
_WIDTH = 34  # of who and what
_Heard = list[tuple[str, Mapping[str, object]]]  # topic and value of each event


async def converse(settings: Settings) -> str:
    """Send the messages, print the result of each, and return the recipient's number.

    Raises:
        BrokerUnavailable: no worker answers.
    """
    topics = Topics.under(settings.topic_prefix)
    recipient = f"+1555{uuid.uuid4().int % 10**7:07d}"
    async with writer(settings) as out, reader(settings, _shown(topics), at_end=True) as consumer:
        talk = _Talk(topics, recipient, out, consumer)
        await talk.send("Your appointment is on Friday")
        await talk.say("I may be late")
        await talk.say("STOP")
        await talk.send("Your appointment is tomorrow")
        await talk.say("HELP")
        await talk.say("START")
        await talk.send("Welcome back")
    return recipient


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
        fields |= {"from": self._recipient, "to": CLINIC, "received_at": fields.pop("at")}
        heard = await self._give(self._topics.inbound_messages, sid, fields, wait=body in _KEYWORDS)
        _print(f"{self._recipient} texts", body, self._effect(heard))

    async def send(self, body: str) -> None:
        """Send a message from the application, and print the verdict."""
        sid, fields = self._message(body)
        fields |= {"from": CLINIC, "to": self._recipient, "created_at": fields.pop("at")}
        heard = await self._give(self._topics.outbound_messages, sid, fields, wait=True)
        _print("the clinic sends", body, [self._verdict(*one) for one in heard])

    def _effect(self, heard: _Heard) -> list[str]:
        """The words for what a text caused."""
        topics, said = self._topics, []
        for topic, value in heard:
            if topic == topics.block_changes and value["blocked"]:
                said.append(click.style(f"blocked ({value['scope']})", fg="red"))
            elif topic == topics.block_changes:
                said.append(click.style(f"unblocked ({value['scope']})", fg="green"))
            elif topic == topics.reply_sends:
                said.append(f"reply: {value['body']}")
            elif topic == topics.opt_out_notifications and value["reply_sent"] == "none":
                said.append(f"{value['kind']}, without a reply")
        return said or ["not a keyword: passed to the application"]

    def _verdict(self, topic: str, value: Mapping[str, object]) -> str:
        if topic == self._topics.allowed_sends:
            return click.style("allowed", fg="green")
        return click.style(f"failed: {value['error_code']} {value['error_message']}", fg="red")

    def _message(self, body: str) -> tuple[str, dict[str, str]]:
        sid = f"SM{uuid.uuid4().hex}"
        at = to_text(clocks.now_ms())
        return sid, {"message_sid": sid, "account_sid": ACCOUNT, "body": body, "at": at}

    async def _give(
        self, topic: str, sid: str, fields: Mapping[str, object], *, wait: bool
    ) -> _Heard:
        """Write a record, and read everything it caused; its batch is committed atomically."""
        await self._out.send_all([Outgoing(topic, self._recipient.encode(), orjson.dumps(fields))])
        heard: _Heard = []
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


def _print(who: str, body: str, effects: list[str]) -> None:
    """Print a message, and each effect on a line of its own beside it."""
    said = f"  {who:<18} " + click.style(f"{body:<{_WIDTH}}", bold=True)
    for effect in effects:
        click.echo(said + effect)
        said = " " * (_WIDTH + 21)
