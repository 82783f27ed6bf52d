"""The contents of a run's topics, without large values; read by separate code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from processor.config import Settings
from processor.kafka.reading import read_whole
from tests.chaos.application import Asked, Delivery, delivery_of
from tests.chaos.limits import blocks_all_the_same, over, passed_on
from tests.chaos.people import person_of
from tests.chaos.traffic import command_id_of, id_of
from tests.chaos.world import path_of, way

TOPICS = (
    "inbound-messages.v1",
    "consent-commands.v1",
    "outbound-messages.v1",
    "block-changes.v1",
    "reply-sends.v1",
    "opt-out-notifications.v1",
    "suspected-opt-outs.v1",
    "allowed-sends.v1",
    "message-statuses.v1",
    "dead-letters.v1",
)
_ERRORS = "__connect.errors."
_WEBHOOKS = "deliver_webhooks"
_WAY = "optout.way"
_VERDICTS = ("allowed-sends.v1", "message-statuses.v1")
Mark = tuple[int, int]  # of a partition's list
# A record's own headers; it inherits all others from the record that caused it.
_OWN = ("mark", "content-type")
_EXCEPT_FROM = "optout.except-from"
HAND_OVER = "optout.hand-over"  # of a carrier's status


class Key(NamedTuple):
    """An entry of the block list."""

    account: str
    group: str
    number: str


class At(NamedTuple):
    """The place of a record."""

    topic: str  # without the prefix
    partition: int
    offset: int


class Message(NamedTuple):
    """An inbound message."""

    id: str
    account: str
    sid: str
    sender: str
    recipient: str  # with its channel
    body: str
    late_ms: int | None  # when it was sent, if over an hour before it arrived
    came_ms: int
    put_aside: str | None  # cause of its block if refused; "": no block; None: handled


class Command(NamedTuple):
    """An operator's command that is itself within all limits."""

    at: At
    id: str
    place: str
    blocked: bool


class Carried(NamedTuple):
    """A send or reply that a carrier gets if its sender has one."""

    account: str
    sid: str
    to: str
    sender: str  # empty: any of the service
    service: str | None
    body: str
    kind: str = "send"  # or the kind of keyword that it replies to
    excepted: frozenset[str] = frozenset()  # senders
    parts: int = 0  # media


Outgoing = tuple[str, str, str]  # account, sid, recipient
Change = tuple[str, str, str, bool, tuple[str, ...]]  # cause, its sender, place, blocked, kinds
Reply = tuple[str, str, str, str]  # message, sender, kind, text
Notification = tuple[str, str, str, bool, str, bool, str | None, str | None]
Report = tuple[str, str, str, str, bool]  # message, sender, tier, policy, whether it is due


@dataclass(slots=True)
class Seen:
    """Records by subject; those of one recipient in the order of their topic."""

    messages: dict[Key, list[Message]] = field(default_factory=lambda: defaultdict(list))
    commands: dict[Key, list[Command]] = field(default_factory=lambda: defaultdict(list))
    changes: dict[Key, list[Change]] = field(default_factory=lambda: defaultdict(list))
    replies: dict[Key, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    notifications: dict[Key, list[Notification]] = field(default_factory=lambda: defaultdict(list))
    reports: dict[Key, list[Report]] = field(default_factory=lambda: defaultdict(list))
    written: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by topic
    sends: set[str] = field(default_factory=set)  # to be judged
    allowed: set[str] = field(default_factory=set)
    refused: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # each with its status
    to_carry: dict[Outgoing, Carried] = field(default_factory=dict)
    outcomes: dict[Outgoing, set[tuple[str, int | None]]] = field(
        default_factory=lambda: defaultdict(set)
    )  # of carriers: status and error
    statuses: list[Mapping[str, Any]] = field(default_factory=list)  # of carriers, of sends
    over_limit: dict[At, str] = field(default_factory=dict)  # to the expected part of the reason
    letters: dict[At, str] = field(default_factory=dict)  # to the reason
    undelivered: set[Delivery] = field(default_factory=set)
    asked: Mapping[Delivery, Asked] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)  # hash of the headers that are passed on
    carries: dict[tuple[str, str], int] = field(default_factory=dict)  # by topic, and which
    at_fault: list[str] = field(default_factory=list)  # outputs that cannot be read
    # Of persons with two addresses (R32).
    to_send_on: Counter[str] = field(default_factory=Counter)  # texts by a user id
    sent_on: Counter[str] = field(default_factory=Counter)
    after: dict[str, Mark] = field(default_factory=dict)  # of a send to a user id: its number's
    judged_at: dict[str, dict[int, Mark]] = field(default_factory=dict)  # the same, by partition

    @property
    def counts(self) -> dict[str, int]:
        """How many records were over a limit or dead-lettered, and similar counts."""
        sends = [at for at in self.over_limit if at.topic == "outbound-messages.v1"]
        return {
            "records_over_a_limit": len(self.over_limit),
            "sends_over_a_limit": len(sends),
            "webhooks_put_aside": len(self.undelivered),
        }

    def add(self, topic: str, record: Any) -> None:
        """Add a record.

        Args:
            topic: without the prefix.
            record: as read, or an ``UnreadBatch``.
        """
        at = At(topic, record.partition, record.offset)
        fields = _fields(record.value)
        match topic:
            case "inbound-messages.v1" | "consent-commands.v1" | "outbound-messages.v1":
                self._add_input(at, record, fields)
            case "dead-letters.v1":
                self._add_letter(record, fields)
            case _ if fields is None:
                self.at_fault.append(f"{topic}[{at.partition}]@{at.offset} cannot be read")
            case _:
                self._add_output(topic, record, fields)

    def _add_input(self, at: At, record: Any, fields: Mapping[str, Any] | None) -> None:
        if record.value is None:  # larger than the reading limit
            self.over_limit[at] = ""
            return
        why = over(at.topic.partition(".")[0], len(record.value), fields)
        if why is not None:
            self.over_limit[at] = why
        if fields is None:
            return
        headers = dict(record.headers)
        if at.topic == "consent-commands.v1":
            self.written[at.topic].add(command_id_of(fields))
            if why is None and not fields.get("link"):
                self.commands[key_of(fields, fields["recipient"])].append(_command(at, fields))
            return
        id_ = id_of(fields)
        self.written[at.topic].add(id_)
        if why is None and record.headers and _WAY not in headers:
            self.carried[id_] = hash(tuple(passed_on(record.headers)))
        if at.topic == "outbound-messages.v1":
            if why is None:
                self.sends.add(id_)
            if _is_id(fields["to"]):
                self.after[id_] = _mark(headers["after-mark"] or b"")
            return
        cause, its = None, way(fields["account_sid"], fields["to"])
        if _WAY in headers:
            self.sent_on[id_] += 1
        elif _is_id(fields["from"]) and (its.word(fields["body"]) or its.other(fields["body"])):
            self.to_send_on[id_] += 1  # it is decided where the number's entry is
            return
        if why is not None:
            blocks = blocks_all_the_same(len(record.value), fields)
            cause = f"unread-{at.partition}-{at.offset}" if blocks else ""
        came, said = record.timestamp, _ms(fields["received_at"])
        first = int(headers.get("optout.first-append") or came)
        message = Message(
            id_,
            fields["account_sid"],
            fields["message_sid"],
            fields["to"],
            fields["from"],
            fields["body"],
            said if said < first - 3_600_000 else first if first < came else None,
            first,
            cause,
        )
        self.messages[key_of(fields, fields["from"])].append(message)

    def _add_letter(self, record: Any, fields: Mapping[str, Any] | None) -> None:
        said = {
            name.removeprefix(_ERRORS): (value or b"").decode()
            for name, value in record.headers
            if name.startswith(_ERRORS)
        }
        if "topic" not in said:
            self.at_fault.append("a dead letter does not say of what")
            return
        if said.get("stage") == _WEBHOOKS:
            if fields is None:
                self.at_fault.append("a webhook's dead letter cannot be read")
            else:
                delivery = delivery_of(path_of(fields["url"]), fields["parameters"])
                self.undelivered.add(delivery)
            return
        topic = next((one for one in TOPICS if said["topic"].endswith(one)), said["topic"])
        at = At(topic, int(said["partition"]), int(said["offset"]))
        self.letters[at] = said["exception.message"]

    def _add_output(self, topic: str, record: Any, fields: Mapping[str, Any]) -> None:
        if topic == "block-changes.v1":
            key = Key(fields["account_sid"], fields["channel_group"], fields["recipient"])
            self.changes[key].append(_change(fields))
            return
        if topic == "reply-sends.v1":
            reply = (fields["in_reply_to"], fields["from"], fields["kind"], fields["body"])
            self.replies[key_of(fields, fields["to"])].append(reply)
            self._add_carried(fields["reply_sid"], fields, fields["kind"])
            return
        if topic == "suspected-opt-outs.v1":
            self.reports[key_of(fields, fields["from"])].append(_report(fields))
            return
        id_ = id_of(fields)
        if topic in _VERDICTS and _is_id(fields["to"]):
            said = (dict(record.headers).get("optout.linked") or b"").decode()
            pairs = (one.split(":") for one in said.split(",") if one)
            self.judged_at[id_] = {int(at): _mark(mark.encode()) for at, mark in pairs}
        if topic == "opt-out-notifications.v1":
            self.notifications[key_of(fields, fields["from"])].append(_notification(fields))
        elif topic == "allowed-sends.v1":
            self.allowed.add(id_)
            senders = (dict(record.headers).get(_EXCEPT_FROM) or b"").decode()
            self._add_carried(fields["message_sid"], fields, "send", frozenset(senders.split(",")))
        elif kind := dict(record.headers).get(HAND_OVER):
            self._add_outcome(fields, is_send=kind == b"send")
            return
        else:
            self.refused[id_] = {
                name: fields[name]
                for name in ("account_sid", "message_sid", "messaging_service_sid", "from", "to")
            }
            return
        own = [
            (name, value)
            for name, value in record.headers
            if name not in _OWN and not name.startswith(("ce_", "optout."))
        ]
        self.carries[topic, id_] = hash(tuple(own))

    def _add_carried(
        self,
        sid: str,
        fields: Mapping[str, Any],
        kind: str,
        excepted: frozenset[str] = frozenset(),
    ) -> None:
        account, to = fields["account_sid"], fields["to"]
        self.to_carry[account, sid, to] = Carried(
            account,
            sid,
            to,
            fields.get("from") or "",
            fields.get("messaging_service_sid"),
            fields["body"],
            kind,
            excepted,
            len(fields.get("media_urls") or ()),
        )

    def _add_outcome(self, fields: Mapping[str, Any], *, is_send: bool) -> None:
        place = fields["account_sid"], fields["message_sid"], fields["to"]
        self.outcomes[place].add((fields["status"], fields["error_code"]))
        if is_send:
            self.statuses.append(fields)


async def read(settings: Settings, asked: Mapping[Delivery, Asked]) -> Seen:
    """Everything that a run left, and the requests to the applications."""
    seen = Seen(asked=asked)
    for topic in TOPICS:
        name = settings.topic_prefix + topic
        async for record in read_whole(settings, name, with_unread=True):
            seen.add(topic, record)
    return seen


def _fields(value: bytes | None) -> Mapping[str, Any] | None:
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def key_of(fields: Mapping[str, Any], address: str) -> Key:
    """The entry for an address, in the account that the fields name."""
    group = fields.get("channel_group") or (
        "whatsapp" if address.startswith("whatsapp:") else "sms"
    )
    number = address.rpartition(":")[2]
    if number.startswith("+521") and len(number) == len("+5215512345678"):
        number = f"+52{number.removeprefix('+521')}"  # one person (R32)
    return Key(fields["account_sid"], group, person_of(number))


def _is_id(address: str) -> bool:
    return address.startswith("whatsapp:US.")


def _mark(said: bytes) -> Mark:
    epoch, _, counter = said.decode().partition("-")
    return int(epoch), int(counter)


def place_of(scope: str, service: str | None, sender: str | None, *, carrier: bool = False) -> str:
    """A place of an entry, as text."""
    if carrier:
        return f"carrier {sender}"
    return {"account": "account", "service": f"service {service}"}.get(scope, f"sender {sender}")


def _command(at: At, fields: Mapping[str, Any]) -> Command:
    service, sender = fields["messaging_service_sid"], fields["sender"]
    place = place_of(fields["scope"], service, sender)
    return Command(at, fields["command_id"], place, fields["blocked"])


def _change(fields: Mapping[str, Any]) -> Change:
    scope, service, sender = (
        fields.get(name) for name in ("scope", "messaging_service_sid", "sender")
    )
    place = place_of(str(scope), service, sender, carrier=fields["carrier"])
    standing = fields["standing"] or {"sources": ()}
    kinds = tuple(sorted(one["kind"] for one in standing["sources"]))
    cause = fields["cause"]
    sender = cause["sender"] if cause["kind"] else ""  # of a message, as accounts may share its sid
    return cause["id"], sender, place, fields["blocked"], kinds


def _notification(fields: Mapping[str, Any]) -> Notification:
    return (
        fields["message_sid"],
        fields["to"],
        fields["kind"],
        fields["effective"],
        fields["reply_sent"],
        fields["braked"],
        fields["language"],
        fields["messaging_service_sid"],
    )


def _report(fields: Mapping[str, Any]) -> Report:
    said = fields["suspected"]
    is_due = fields["due_at"] is not None
    return fields["message_sid"], fields["to"], said["tier"], said["policy"], is_due


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
