"""Made-up traffic of hot and wide recipients, of two accounts at once."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from processor.kafka.writing import Outgoing
from processor.wire.topics import Topics
from tests.chaos.people import COUNT, id_of_person, is_person, number_of, person_of
from tests.chaos.world import (
    ACCOUNTS,
    BODIES,
    FREE_CODE,
    LONG_CODE,
    ORDINARY,
    SENDERS,
    WHATSAPP,
    way,
)

LAST = "Z"  # prefix of the sids of the last sends, after all changes
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_HOT, _HOT_SHARE, _HOT_KEYWORDS = 20, 0.3, 0.6
_WIDE, _WIDE_KEYWORDS = 20_000, 0.1
_OWN_WORDS = 0.8  # share of keywords; the rest may be the other account's
_TWINS = 0.25  # share of texts, sends and commands whose id both accounts use
_TO_COMMANDED = 0.05  # of sends
_SENDER_UNCHOSEN = 0.1  # of sends that a service makes
_COMMANDED = "+15557"  # recipients of commands, whose order among messages is not known
_COMMANDED_ONLY = "+15554"  # recipients who never text
_FRESH = "+15559"
_PEOPLE = 0.06  # share of texts and sends of persons with two addresses
_ABROAD = 16  # one in so many recipients who text now and then has a number of Mexico
_MEXICO, _MEXICO_OF_OLD = "+52", "+521"  # carriers write both, and both are one person (R32)
_SENDERS, _WEIGHTS = tuple(SENDERS), tuple(SENDERS.values())

Headers = Sequence[tuple[str, bytes | None]]


def is_commanded(recipient: str) -> bool:
    """Whether operators also block and unblock this recipient."""
    return recipient.startswith(_COMMANDED)


@dataclass(frozen=True, slots=True)
class Written:
    """A record to write, and its expected result."""

    record: Outgoing
    id: str  # unique in its topic
    kind: str | None = None  # of a keyword that is certainly answered, else None
    codec: str = "none"
    refused: bool = False  # it is over a limit
    readable: bool = True  # False: so far over a limit that it is never read

    def noted(self) -> Written:
        """The same without its value, which may be large."""
        return replace(self, record=Outgoing(self.record.topic, self.record.key, None))


def id_of(fields: Mapping[str, Any]) -> str:
    """The id of a message, a send, or a result of one: account, sid and both addresses."""
    names = ("account_sid", "message_sid", "from", "to")
    return "/".join(str(fields.get(name) or "") for name in names)


def command_id_of(fields: Mapping[str, Any]) -> str:
    """Like ``id_of``, for a command."""
    return f"{fields['account_sid']}/{fields['command_id']}"


class Traffic:
    """Random traffic; the same seed makes the same traffic."""

    def __init__(self, seed: int, topics: Topics) -> None:
        self.chance = random.Random(f"traffic {seed}")
        self.topics = topics
        self._count = 0

    def sid(self, letter: str, length: int = 9) -> str:
        """A new id of this length."""
        self._count += 1
        return f"{letter}{self._count:0{length - 1}d}"

    def nobody(self) -> str:
        """A new number."""
        self._count += 1
        return f"{_FRESH}{self._count:06d}"

    def recipient(self) -> tuple[str, bool]:
        """A number that texts, and whether it does so often."""
        chance = self.chance
        hot = chance.random() < _HOT_SHARE
        number = chance.randrange(_HOT if hot else _WIDE)
        if not hot and number % _ABROAD == 0:
            return f"{_MEXICO}55{number:08d}", hot
        return (f"+1555{number:07d}" if hot else f"+1555{5_000_000 + number * 200:07d}"), hot

    def spelled(self, recipient: str) -> str:
        """A number as a carrier or an application writes it."""
        if recipient.startswith(_MEXICO) and self.chance.random() < 0.5:
            return _MEXICO_OF_OLD + recipient.removeprefix(_MEXICO)
        return recipient

    def texts(self) -> list[Written]:
        """A recipient's text to one account, or to both with the same sid."""
        chance = self.chance
        recipient, hot = self.recipient()
        account, sender = chance.choice(ACCOUNTS), chance.choices(_SENDERS, _WEIGHTS)[0]
        if chance.random() < _PEOPLE:
            recipient, hot, sender = number_of(chance.randrange(COUNT)), True, WHATSAPP
        body = chance.choice(ORDINARY)
        if chance.random() < (_HOT_KEYWORDS if hot else _WIDE_KEYWORDS):
            own = chance.random() < _OWN_WORDS
            body = chance.choice(tuple(way(account, sender).words) if own else BODIES)
        text = self.text(recipient, sender, body, account=account)
        return [text, *self._twin(text)]

    def text(self, recipient: str, sender: str, body: str, **more: Any) -> Written:
        """A recipient's text with a given body.

        Args:
            recipient: bare number.
            sender: ours; if it is on WhatsApp, the recipient is, too.
            body: the text.
            more: ``account``, ``sid``, ``codec``, ``headers``, ``refused``, and fields.
        """
        account, sid = more.pop("account", ACCOUNTS[0]), more.pop("sid", None)
        codec, headers = more.pop("codec", None), more.pop("headers", ())
        refused = more.pop("refused", False)
        if body == "Yes" and is_commanded(recipient):
            body = "START"  # whether Yes is a keyword may depend on commands
        spelled = self.spelled(recipient)
        by_id = is_person(recipient) and self.chance.random() < 0.5
        if by_id:
            recipient = spelled = id_of_person(recipient)
        elif is_person(recipient):
            more = {"user_id": id_of_person(recipient), **more}
        fields = {
            "message_sid": sid or self.sid("M"),
            "account_sid": account,
            "from": f"whatsapp:{spelled}" if sender == WHATSAPP else spelled,
            "to": sender,
            "body": body,
            "from_country": "US",
            "received_at": _now(),
        } | more
        value = orjson.dumps(fields)
        return Written(
            Outgoing(self.topics.inbound_messages, recipient.encode(), value, headers),
            id_of(fields),
            None if refused or by_id else _kind_of(fields),  # answered in another partition
            codec or self.chance.choice(CODECS),
            refused,
        )

    def sends(self, marks: Mapping[str, bytes]) -> list[Written]:
        """A send of one application, or of both accounts' with the same sid.

        Args:
            marks: recipient to the mark of the last change that the application has seen.
        """
        commanded = self.chance.random() < _TO_COMMANDED
        to = self.commanded_only() if commanded else self.recipient()[0]
        if self.chance.random() < _PEOPLE:
            to = number_of(self.chance.randrange(COUNT))
        send = self.send(marks, self.chance.choice(ACCOUNTS), to)
        return [send, *self._twin(send)]

    def send(self, marks: Mapping[str, bytes], account: str, to: str, **more: Any) -> Written:
        """A send to a given number; ``more`` as for ``text``, or ``sender``.

        Without a sender, a service may leave the sender open.
        """
        given = more.pop("sender", None) or (WHATSAPP if is_person(to) else None)
        mark = marks.get(to, b"0-0")
        if is_person(to) and self.chance.random() < 0.5:
            to = id_of_person(to)
        sender = given or self.chance.choices(_SENDERS, _WEIGHTS)[0]
        headers = [("after-mark", mark), *more.pop("headers", ())]
        refused = more.pop("refused", False)
        service = way(account, sender).service
        spelled = self.spelled(to)
        named = service and not given and self.chance.random() < _SENDER_UNCHOSEN
        fields = {
            "message_sid": more.pop("sid", None) or self.sid("S"),
            "account_sid": account,
            "messaging_service_sid": service if named else None,
            "from": None if named else sender,
            "to": f"whatsapp:{spelled}" if sender == WHATSAPP else spelled,
            "body": "Your appointment is tomorrow.",
            "created_at": _now(),
        } | more
        record = Outgoing(self.topics.outbound_messages, to.encode(), orjson.dumps(fields), headers)
        return Written(record, id_of(fields), codec=self.chance.choice(CODECS), refused=refused)

    def last_sends(self, recipients: Sequence[str]) -> list[Written]:
        """A send of each account, by each sender, to each of some numbers."""
        return [
            self.send({}, account, recipient, sid=self.sid(LAST), sender=sender)
            for recipient in recipients
            for account in ACCOUNTS
            for sender in ((WHATSAPP,) if is_person(person_of(recipient)) else SENDERS)
        ]

    def links(self) -> list[Written]:
        """The commands that link both addresses of each person, in each account."""
        about = {"scope": "account", "blocked": False, "channel_group": "whatsapp"}
        return [
            self.command(
                id_of_person(number), link=number, reason=None, account_sid=account, **about
            )
            for number in map(number_of, range(COUNT))
            for account in ACCOUNTS
        ]

    def conversation(self) -> tuple[Written, Written, Written]:
        """A STOP, a START after it, and a STOP to the other account with the first STOP's sid.

        Nothing else uses the recipient, who texts in this order.
        """
        recipient = self.nobody()
        account, codec = self.chance.choice(ACCOUNTS), self.chance.choice(CODECS)
        sid = self.sid("M")
        stop, start = (
            self.text(recipient, LONG_CODE, body, account=account, codec=codec, sid=given)
            for body, given in (("STOP", sid), ("START", None))
        )
        return stop, start, self._other(stop)

    def commands(self) -> list[Written]:
        """An operator's command to block or unblock, or one in each account with the same id."""
        chance = self.chance
        command = self.command(self._commanded(chance.choice((_COMMANDED, _COMMANDED_ONLY))))
        return [command, *self._twin(command)]

    def commanded_only(self) -> str:
        """A number that never texts, and that operators block and unblock."""
        return self._commanded(_COMMANDED_ONLY)

    def _commanded(self, prefix: str) -> str:
        return f"{prefix}{200 * self.chance.randrange(5_000 if prefix == _COMMANDED else 50):06d}"

    def command(self, recipient: str, **more: Any) -> Written:
        """A command to block or unblock a given number; ``more`` as for ``text``."""
        chance = self.chance
        account = chance.choice(ACCOUNTS)
        headers, refused = more.pop("headers", ()), more.pop("refused", False)
        fields: dict[str, Any] = {
            "command_id": self.sid("C"),
            "account_sid": account,
            "scope": chance.choice(("account", "service", "sender")),
            "messaging_service_sid": way(account, LONG_CODE).service,
            "sender": chance.choice((LONG_CODE, FREE_CODE)),
            "recipient": self.spelled(recipient),
            "channel_group": "sms",
            "blocked": chance.random() < 0.5,
            "source": "operator",
            "at": _now(),
        } | more
        value = orjson.dumps(fields)
        return Written(
            Outgoing(self.topics.consent_commands, recipient.encode(), value, headers),
            command_id_of(fields),
            codec=chance.choice(CODECS),
            refused=refused,
        )

    def _twin(self, one: Written) -> list[Written]:
        return [self._other(one)] if self.chance.random() < _TWINS else []

    def _other(self, one: Written) -> Written:
        """The same record for the other account, with its service of the same name."""
        fields = orjson.loads(one.record.value or b"")
        mine = fields["account_sid"]
        other = next(account for account in ACCOUNTS if account != mine)
        fields["account_sid"] = other
        by_id = str(fields.get("from")).startswith("whatsapp:US.")
        if service := fields.get("messaging_service_sid"):
            fields["messaging_service_sid"] = service[:-1] + other[-1]
        value = orjson.dumps(fields)
        record = replace(one.record, value=value)
        if "command_id" in fields:
            return replace(one, record=record, id=command_id_of(fields))
        kind = _kind_of(fields) if "received_at" in fields and not by_id else None
        return replace(one, record=record, id=id_of(fields), kind=kind)


def _kind_of(fields: Mapping[str, Any]) -> str | None:
    """The kind of a keyword that is answered in every state."""
    its, body = way(fields["account_sid"], fields["to"]), fields["body"]
    word = its.word(body)
    unsure = body == "Yes" and its.yes_only_when_blocked
    return word[0] if word and not unsure else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
