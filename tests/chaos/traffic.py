"""Made-up traffic of hot and wide recipients, and what each message is."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from processor.kafka.client import Outgoing
from processor.wire.topics import Topics

ACCOUNT = "AC00000000000000000000000000000001"
LONG_CODE = "+15551234567"
TOLL_FREE = "+18005550100"
SENDERS = (LONG_CODE, LONG_CODE, TOLL_FREE)
# Default handling, as the guide has it.
KINDS = {
    "STOP": "STOP",
    "stop": "STOP",
    "Stop!": "STOP",
    "unsubscribe": "STOP",
    "Cancel": "STOP",
    "opt out": "STOP",
    "START": "START",
    "unstop": "START",
    "Yes": "START",
    "HELP": "HELP",
    "info": "HELP",
}
_KEYWORDS = tuple(KINDS)
_ORDINARY = ("see you at ten", "STOP?", "Stop please", "yes I will", "👍", "stop it now")
_HOT, _HOT_SHARE, _HOT_KEYWORDS = 20, 0.3, 0.6
_WIDE, _WIDE_KEYWORDS = 20_000, 0.1
_COMMANDED = "+15557"  # recipients of commands: where among messages one falls cannot be told
_FRESH = "+15559"


def is_commanded(recipient: str) -> bool:
    """Whether operators block and unblock this recipient, too."""
    return recipient.startswith(_COMMANDED)


@dataclass(frozen=True, slots=True)
class Written:
    """A record to write, and what is to come of it."""

    record: Outgoing
    id: str
    kind: str | None  # of a keyword; None of sends, commands and all else


class Traffic:
    """The same seed makes the same traffic."""

    def __init__(self, seed: int, topics: Topics) -> None:
        self._random = random.Random(f"traffic {seed}")
        self._topics = topics
        self._count = 0

    def _id(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count:08d}"

    def _recipient(self) -> tuple[str, bool]:
        chance = self._random
        hot = chance.random() < _HOT_SHARE
        number = chance.randrange(_HOT if hot else _WIDE)
        return (f"+1555{number:07d}" if hot else f"+1555{5_000_000 + number * 200:07d}"), hot

    def text(self) -> Written:
        """A recipient texts us."""
        chance = self._random
        recipient, hot = self._recipient()
        keyword = chance.random() < (_HOT_KEYWORDS if hot else _WIDE_KEYWORDS)
        body = chance.choice(_KEYWORDS if keyword else _ORDINARY)
        return self.a_text(recipient, chance.choice(SENDERS), body)

    def a_text(self, recipient: str, sender: str, body: str) -> Written:
        """A given recipient texts us a given text."""
        sid = self._id("M")
        fields = {
            "message_sid": sid,
            "account_sid": ACCOUNT,
            "from": recipient,
            "to": sender,
            "body": body,
            "from_country": "US",
            "received_at": _now(),
        }
        record = Outgoing(self._topics.inbound_messages, recipient.encode(), orjson.dumps(fields))
        return Written(record, sid, KINDS.get(body))

    def send(self, marks: Mapping[str, bytes], recipient: str | None = None) -> Written:
        """The application sends.

        Args:
            marks: recipient to the mark of the last change that the application has seen.
            recipient: whom to; None: any.
        """
        sid = self._id("S")
        to = recipient or self._recipient()[0]
        fields = {
            "message_sid": sid,
            "account_sid": ACCOUNT,
            "from": self._random.choice(SENDERS),
            "to": to,
            "body": "Your appointment is tomorrow.",
            "created_at": _now(),
        }
        topic, headers = self._topics.outbound_messages, [("after-mark", marks.get(to, b"0-0"))]
        return Written(Outgoing(topic, to.encode(), orjson.dumps(fields), headers), sid, None)

    def conversation(self, *bodies: str) -> list[Written]:
        """A recipient whom nobody else is texts."""
        self._count += 1
        recipient = f"{_FRESH}{self._count:06d}"
        return [self.a_text(recipient, LONG_CODE, body) for body in bodies]

    def command(self) -> Written:
        """An operator blocks or unblocks."""
        sid = self._id("C")
        recipient = f"{_COMMANDED}{200 * self._random.randrange(5_000):06d}"
        fields: dict[str, Any] = {
            "command_id": sid,
            "account_sid": ACCOUNT,
            "scope": "account",
            "recipient": recipient,
            "channel_group": "sms",
            "blocked": self._random.random() < 0.5,
            "source": "operator",
            "at": _now(),
        }
        record = Outgoing(self._topics.consent_commands, recipient.encode(), orjson.dumps(fields))
        return Written(record, sid, None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
