"""A made-up minute of the example account: its texts and sends, and the time of each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from processor.cli.traffic import ordinary_body
from processor.core.addresses import subscriber_key
from processor.core.messages import bare_number
from processor.wire.json_values import to_text

ACCOUNT = "AC00000000000000000000000000000001"
CLINIC = "+15005550006"
_WHATSAPP = "whatsapp:+15005550006"
_OPTING_OUT = 0.35  # share of the people
_COMING_BACK = 0.25  # of those who opted out
_OUT_UNTIL, _BACK_FROM = 0.6, 0.7  # parts of the time
_PEOPLE = 72


@dataclass(frozen=True, slots=True)
class Event:
    """A record to write at its time."""

    at_s: float  # since the beginning
    topic: str  # without the prefix
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class _Group:
    """People who hear from one sender, and speak one language."""

    share: int  # of all, in parts of the sum
    sender: str
    area: str  # how their numbers begin; these are unassigned
    stop: Sequence[str]
    start: Sequence[str]
    send: str


_APPOINTMENT = "Clinic: your appointment is tomorrow at 10:00. Reply STOP to opt out."
_ENGLISH_STOP, _ENGLISH_START = ("STOP", "stop", "Stop!", "END", "unsubscribe"), ("START", "Unstop")
_GROUPS = (
    _Group(5, CLINIC, "+1555", _ENGLISH_STOP, _ENGLISH_START, _APPOINTMENT),
    _Group(
        *(4, CLINIC, "+1555", ("Baja", "DETENER", "baja"), ("alta",)),
        "Clínica: su cita es mañana a las 10:00. Responda BAJA para no recibir avisos.",
    ),
    _Group(
        *(3, CLINIC, "+151455501", ("Arrêt", "arret"), ("START",)),
        "Clinique : votre rendez-vous est demain à 10 h. Répondez ARRET pour ne plus en recevoir.",
    ),
    _Group(
        *(2, CLINIC, "+1555", ("退订",), ("订阅",)),
        "诊所：您的预约在明天上午10点。回复“退订”停止提醒。",
    ),
    _Group(2, "+18005550100", "+1555", ("STOP", "stop"), ("START",), _APPOINTMENT),
    _Group(2, "12345", "+1555", ("STOP", "quit"), ("START",), _APPOINTMENT),
    _Group(1, _WHATSAPP, "whatsapp:+1555", ("Stop",), ("start",), _APPOINTMENT),
    _Group(3, "+15005550007", "+1555", ("STOP", "cancel"), ("START",), "Your parcel comes today."),
    _Group(2, "+15005550008", "+1555", ("STOP", "QUIT"), ("YES",), "The garden club meets at six."),
)


def events_of(seed: int, began_ms: int, *, seconds: float) -> list[Event]:
    """Make up the events, in their order; equal arguments make equal events.

    People of several languages get sends and write back. Some opt out, and the application still
    sends to them. Some opt in again. One text names no sender, so it becomes a dead letter. One
    person opts out by phone.

    Args:
        seed: of every random choice.
        began_ms: the time of the beginning.
        seconds: the time that the events take.
    """
    play = _Play(random.Random(seed), began_ms, seconds)
    events = [one for group, is_first in play.people() for one in play.of_person(group, is_first)]
    events += [play.unreadable(), play.by_phone()]
    return sorted(events, key=lambda one: one.at_s)


class _Play:
    def __init__(self, chance: random.Random, began_ms: int, seconds: float) -> None:
        self._chance = chance
        self._began_ms = began_ms
        self._seconds = seconds

    def people(self) -> Iterator[tuple[_Group, bool]]:
        """Name each person's group, and whether they are its first; every group has some."""
        for group in _GROUPS:
            yield group, True
        shares = [group.share for group in _GROUPS]
        for group in self._chance.choices(_GROUPS, shares, k=_PEOPLE - len(_GROUPS)):
            yield group, False

    def of_person(self, group: _Group, is_first: bool) -> Iterator[Event]:
        """The sends to a person, and the texts from there; the first of a group opts out."""
        chance = self._chance
        person = self._a_number(group.area)
        for _ in range(3):
            yield self._send(group, person, chance.random())
        yield self._text(group, person, chance.random(), ordinary_body(chance))
        if chance.random() < 0.1:
            yield self._text(group, person, chance.random(), "HELP")
        if chance.random() > _OPTING_OUT and not is_first:
            return
        out = chance.uniform(0.05, _OUT_UNTIL)
        yield self._text(group, person, out, chance.choice(group.stop))
        yield self._send(group, person, out + 0.08)
        if chance.random() < _COMING_BACK or (is_first and group is _GROUPS[0]):
            back = chance.uniform(_BACK_FROM, 0.9)
            yield self._text(group, person, back, chance.choice(group.start))
            yield self._send(group, person, back + 0.08)

    def unreadable(self) -> Event:
        """A text that a carrier wrote without saying to which sender."""
        person = self._a_number()
        fields = {
            "message_sid": self._sid("SM"),
            "account_sid": ACCOUNT,
            "from": person,
            "body": "See you on Friday",
            "received_at": self._time(0.3),
        }
        return self._event(0.3, "inbound-messages.v1", person, fields)

    def by_phone(self) -> Event:
        """A person who called, and is blocked by hand."""
        person = self._a_number()
        fields = {
            "command_id": self._sid("CC"),
            "account_sid": ACCOUNT,
            "scope": "account",
            "recipient": person,
            "blocked": True,
            "source": "operator",
            "reason": "asked by phone",
            "actor": "operator",
            "at": self._time(0.2),
        }
        return self._event(0.2, "consent-commands.v1", person, fields)

    def _text(self, group: _Group, person: str, part: float, body: str) -> Event:
        fields = {
            "message_sid": self._sid("SM"),
            "account_sid": ACCOUNT,
            "from": person,
            "to": group.sender,
            "body": body,
            "num_media": 0,
            "received_at": self._time(part),
        }
        return self._event(part, "inbound-messages.v1", person, fields)

    def _send(self, group: _Group, person: str, part: float) -> Event:
        fields = {
            "message_sid": self._sid("SM"),
            "account_sid": ACCOUNT,
            "from": group.sender,
            "to": person,
            "body": group.send,
            "created_at": self._time(part),
        }
        return self._event(part, "outbound-messages.v1", person, fields)

    def _event(self, part: float, topic: str, person: str, fields: Mapping[str, object]) -> Event:
        key = subscriber_key(person).encode()
        return Event(part * self._seconds, topic, key, orjson.dumps(fields))

    def _time(self, part: float) -> str:
        return to_text(self._began_ms + round(1000 * part * self._seconds))

    def _sid(self, kind: str) -> str:
        return f"{kind}{self._chance.getrandbits(128):032x}"

    def _a_number(self, area: str = "+1555") -> str:
        """A person's number in an area; 555 numbers are unassigned."""
        left = 12 - len(bare_number(area))
        return f"{area}{self._chance.randrange(10**left):0{left}d}"
