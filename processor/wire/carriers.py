"""Connections from carriers.v1; inbound-messages and statuses from what adapters return."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from processor.carriers.adapter import Changed, Connection, Received, Reported, Sender
from processor.carriers.directory import may_answer
from processor.carriers.providers import ADAPTERS
from processor.carriers.references import Reference, message_sid_of
from processor.core.addresses import subscriber_key
from processor.core.messages import LinkCommand, MoveCommand
from processor.core.normalise import exact
from processor.errors import RecordError
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import (
    is_address,
    is_sender,
    is_sid,
    is_subscriber,
    is_user_id,
    to_text,
)
from schemas.carrier import Carrier
from schemas.common import MAX_BODY_CHARACTERS

_MOST_MEDIA = 100


def connection_of(carrier: Carrier, secrets: Mapping[str, str | None]) -> Connection:
    """A carrier as its adapter needs it.

    Args:
        carrier: as stored.
        secrets: by name; None: it cannot be opened.
    """
    adapter = ADAPTERS[carrier.provider]
    senders = {
        one.address: Sender(one.address, one.account_sid or carrier.account_sid, one.id)
        for one in carrier.senders
    }
    words = adapter.answers if carrier.answers is None else carrier.answers
    return Connection(
        name=carrier.name,
        provider=carrier.provider,
        account_sid=carrier.account_sid,
        senders=senders,
        api_url=(carrier.api_url or adapter.api_url).rstrip("/"),
        options=carrier.options,
        secrets={name: one for name, one in secrets.items() if one is not None},
        closed=tuple(name for name, one in secrets.items() if one is None),
        answers=frozenset(map(exact, words)),
        sends_per_second=carrier.sends_per_second,
        mapping=carrier.mapping,
    )


def account_of(message: Received, connection: Connection) -> str:
    """The account that a message is for, by our sender."""
    ours = connection.senders.get(message.sender)
    return ours.account_sid if ours else connection.account_sid


def write_message(message: Received, connection: Connection, *, now_ms: int) -> bytes:
    """The value of `inbound-messages.v1`.

    Args:
        message: as the adapter read it.
        connection: that it came by.
        now_ms: the time if the provider says none.

    Raises:
        RecordError: the addresses or the text cannot be used.
    """
    if not is_address(message.recipient):
        raise RecordError("from: is not a number such as +15551234567")
    if not is_sender(message.sender) or len(message.sender) > 68:
        raise RecordError("to: is not a sender")
    if len(message.body) > MAX_BODY_CHARACTERS:
        raise RecordError(f"body: has more than {MAX_BODY_CHARACTERS} characters")
    has_answered = may_answer(message.sender) and exact(message.body) in connection.answers
    return orjson.dumps(
        {
            "message_sid": message_sid_of(connection.name, message.id),
            "account_sid": account_of(message, connection),
            "from": message.recipient,
            "to": message.sender,
            "body": _storable(message.body),
            "from_country": message.country if message.country in COUNTRIES else None,
            "num_media": min(message.num_media, _MOST_MEDIA),
            "received_at": to_text(now_ms if message.received_ms is None else message.received_ms),
            "carrier_replied": has_answered,
            "user_id": _user_id(message),
        }
    )


def _user_id(message: Received) -> str | None:
    """The writer's user id where the recipient is a WhatsApp number; None if it cannot be read."""
    if not message.recipient.startswith("whatsapp:+") or not is_user_id(message.user_id or ""):
        return None
    return message.user_id


def commands_of(
    change: Changed, connection: Connection, *, now_ms: int
) -> list[LinkCommand | MoveCommand]:
    """The commands that a change of a person's addresses makes (R32).

    The new addresses are linked, and the blocks of the old addresses move along.

    Args:
        change: as the adapter read it.
        connection: that it came by.
        now_ms: the time if the provider says none.

    Raises:
        RecordError: an address cannot be used.
    """
    if not all(map(is_subscriber, filter(None, (*change.before, change.number, change.user_id)))):
        raise RecordError("system: is not of numbers such as 15551234567 and user ids")
    ours = connection.senders.get(change.sender)
    account_sid = ours.account_sid if ours else connection.account_sid
    source, at_ms = connection.provider, now_ms if change.at_ms is None else change.at_ms
    said = source, None, at_ms, f"carrier/{connection.name}"
    id_ = message_sid_of(connection.name, change.id)
    number = subscriber_key(change.number) if change.number else None
    made: list[LinkCommand | MoveCommand] = []
    if number and change.user_id:
        made.append(LinkCommand(f"{id_}.l", account_sid, change.user_id, number, *said))
    now = number or change.user_id or ""
    made += [
        MoveCommand(f"{id_}.{at}", account_sid, subscriber_key(before), now, *said)
        for at, before in enumerate(change.before)
        if subscriber_key(before) != now
    ]
    return made


def _storable(body: str) -> str:
    """The text without half characters, which no JSON may hold."""
    return body.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def write_status(status: Reported, to: Reference, *, now_ms: int) -> bytes:
    """The value of `message-statuses.v1`.

    Raises:
        RecordError: the reference is not one that we gave.
    """
    if not (is_sid(to.message_sid) and is_sid(to.account_sid) and is_address(to.recipient)):
        raise RecordError("ref: is not one of ours")
    return orjson.dumps(
        {
            "message_sid": to.message_sid,
            "account_sid": to.account_sid,
            "messaging_service_sid": to.service_sid,
            "from": to.sender,
            "to": to.recipient,
            "status": status.status,
            "error_code": status.error_code,
            "error_message": status.error_message,
            "status_callback": to.status_callback,
            "at": to_text(now_ms if status.at_ms is None else status.at_ms),
        }
    )
