"""Ids derived from messages, commands and places: the same at every replay, and unique (R22).

A carrier's ids are at most unique to that carrier. So account, sid, sender and recipient together
identify a message, and every derived id is computed from all four.

Compiled code hashes (``_digest.c``), where a compiler was found when the package was built.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from processor.core.addresses import in_one_spelling
from processor.core.blocks import Place
from processor.core.brakes import Brake, Reply
from processor.core.messages import (
    InboundMessage,
    OptOutType,
    Scope,
    entry_of,
)

try:
    from processor.core import _digest as native
except ImportError:  # pragma: no cover  # it was built where coverage is measured
    native = None  # type: ignore[assignment]  # hashlib hashes

_LETTERS = {Scope.ACCOUNT: "a", Scope.SERVICE: "m", Scope.SENDER: "s"}
# A store compares 74 of the bits: enough that no two of a billion messages collide by chance.
_HANDLED_BYTES = 10
_TAIL_BYTES, _TAIL_DIGITS = 8, 13  # so that an id of 64 characters has room for it
_TAIL_END = _HANDLED_BYTES + _TAIL_BYTES
_SID_BYTES = 16
_REPLY_BYTES = 4  # besides the brake's id and the time
_KEPT = 8_192  # ids; the full path asks for those of each keyword several times


OfMessage: TypeAlias = tuple[bytes, str, str]
"""A message's ids: of the handled message, its tail, and the sid of its reply.

They are parts of one digest that share no bytes.
"""


class Handled(NamedTuple):
    """A message or command in the list of those handled already."""

    id: bytes  # 10 bytes
    at_ms: int  # when its record was appended


class Recalled(NamedTuple):
    """A handled message or command, as the topics have it."""

    handled: Handled
    brake: bytes | None  # the id of the brake that counts its reply; None: it got no reply


def tail_of(message: InboundMessage) -> str:
    """13 hexadecimal digits that distinguish a message from others with the same sid."""
    return _of_message(*_parts(message))[1]


def id_behind(message: InboundMessage, what: str) -> str:
    """The id of something derived once from a message, such as ``SM1.matched.…``."""
    return f"{message.message_sid}.{what}.{tail_of(message)}"


def send_id(account_sid: str, message_sid: str, sender: str | None, to: str, what: str) -> str:
    """Like ``id_behind``, for a send."""
    return f"{message_sid}.{what}.{_tail('send', account_sid, message_sid, to, sender or '')}"


def text_id_of(message: InboundMessage) -> str:
    """The id of a message that may be an opt-out, and the key of the decisions on it (R30)."""
    return "TX" + _digest(("text", *_parts(message)), 16).hex()


def reply_sid_of(message: InboundMessage) -> str:
    """The sid of the reply to a message, in the form of an ``SM`` sid."""
    return _of_message(*_parts(message))[2]


def change_id_of(cause_id: str, place: Place, *whose: str) -> str:
    """The id of the change that a cause makes in a place: ``<cause>.<a, m, s or c>.<tail>``.

    Args:
        cause_id: the message's sid, or the command's id.
        place: of the block.
        whose: distinguish causes with the same id: account, and addresses of a message.
    """
    letter = "c" if place.carrier else _LETTERS[place.scope]
    _, tail, _ = _of_message(*whose[:1], cause_id, *whose[1:])
    if place.target:  # a cause may change the places of several services and senders
        tail = _tail(tail, place.target)
    return f"{cause_id}.{letter}.{tail}"


def cause_of(change_id: str) -> str:
    """The message's sid or the command's id in the id of a change."""
    return change_id.rsplit(".", 2)[0]


def handled_message(
    account_sid: str, message_sid: str, recipient: str, sender: str, at_ms: int
) -> Handled:
    """The record of a message that was handled; however its recipient is spelled (R32)."""
    id_, *_ = ids_of_message(account_sid, message_sid, in_one_spelling(recipient), sender)
    return Handled(id_, at_ms)


def handled_command(account_sid: str, command_id: str, redrives: int, at_ms: int) -> Handled:
    """Like ``handled_message``; a redriven command differs from its first, refused delivery."""
    parts = "command", account_sid, command_id, str(redrives)
    return Handled(_digest(parts, _HANDLED_BYTES), at_ms)


def handled_unread(account_sid: str, id_: str, recipient: str, at_ms: int) -> Handled:
    """Like ``handled_message``, for a STOP that cannot be read."""
    return Handled(_digest(("unread", account_sid, id_, recipient), _HANDLED_BYTES), at_ms)


def brake_of(account_sid: str, recipient: str, sender: str, kind: OptOutType, at_ms: int) -> Brake:
    """The brake on replies of a kind to one recipient by one sender (R37).

    Args:
        account_sid: of the message.
        recipient: its address, with its channel prefix.
        sender: the address that the recipient wrote to.
        kind: of the keyword.
        at_ms: when the message was appended.
    """
    return brake_on(entry_of(account_sid, recipient), sender, kind, at_ms)


def brake_on(entry_key: str, sender: str, kind: OptOutType, at_ms: int) -> Brake:
    """As ``brake_of``, by the key of the recipient's entry."""
    return Brake(_digest(("brake", entry_key, sender, kind), _HANDLED_BYTES), at_ms)


def reply_to(handled: Handled) -> Reply:
    """The reply to a handled message, as its brake counts it."""
    return Reply(handled.at_ms, handled.id[:_REPLY_BYTES])


def _parts(message: InboundMessage) -> tuple[str, str, str, str]:
    return message.account_sid, message.message_sid, message.recipient, message.sender


def ids_of_message(*parts: str) -> OfMessage:
    """The ids of a message.

    Args:
        parts: its account, sid, recipient and sender.
    """
    if native is not None:
        return native.ids_of_message(*parts)
    digest = _digest(("message", *parts), _TAIL_END + _SID_BYTES)
    return (
        digest[:_HANDLED_BYTES],
        digest[_HANDLED_BYTES:_TAIL_END].hex()[:_TAIL_DIGITS],
        "SM" + digest[_TAIL_END:].hex(),
    )


_of_message = lru_cache(_KEPT)(ids_of_message)


@lru_cache(_KEPT)
def _tail(*parts: str) -> str:
    return _digest(parts, _TAIL_BYTES).hex()[:_TAIL_DIGITS]


def _digest(parts: tuple[str, ...], size: int) -> bytes:
    # Sids and addresses are of one line, so no part can imitate the next.
    if native is not None:
        return native.digest(parts, size)
    return blake2b("\n".join(parts).encode(), digest_size=size).digest()
