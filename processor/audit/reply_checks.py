"""Whether a match was rightly answered, left unanswered or braked (R18 to R20, R36, R37, R42)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from processor.audit.report import Kind
from processor.audit.services import Handling, countries_of
from processor.audit.spelling import exact
from processor.audit.values import Change, Message, Notification

BRAKES_MS = 3_600_000  # replies within it count
CLOCKS_DIFFER_MS = 60_000  # brokers' clocks: a later record may have an earlier time
LAWFUL_MS = 300_000  # from the keyword to its reply (R36)
_NETWORK = frozenset(("US", "PR", "GU", "VI", "AS", "MP", "CA"))  # of US toll-free numbers
OURS = ("aoo", "default")


class Asked(NamedTuple):
    """A message that matched."""

    message: Message
    handling: Handling | None  # None: how it was handled cannot be known
    replied: int  # replies that its brake surely counted
    counted_all: bool  # whether it cannot have counted more


def wrong_replies(
    note: Notification, asked: Asked, changes: Sequence[Change], blocked: Sequence[bool]
) -> Iterator[tuple[Kind, str]]:
    """Yield the kinds of violations by a match's reply, and what is wrong.

    Args:
        note: the match.
        asked: its message.
        changes: that it caused.
        blocked: whether its sender was stopped, in each state that it may have left.
    """
    if asked.handling is None or asked.handling.keywords is None:
        return
    if asked.message.carrier_replied:
        if note.reply_sent != "carrier":
            yield "contradictory", "was answered, though its carrier had done so (R42)"
        return
    network = _network_answers(note, asked, asked.handling)
    if network is not None and (note.reply_sent == "carrier") is not network:
        yield "contradictory", "is wrong about whether the toll-free network answers (R20)"
    if network is False and note.kind == "STOP" and any(_blocks_in_network(one) for one in changes):
        yield "contradictory", "blocks in a network that does not see the conversation (R20)"
    if note.reply_sent != "carrier":
        yield from _wrong_with(note, asked, asked.handling, changes, blocked)


def _blocks_in_network(change: Change) -> bool:
    return change.place.carrier and change.standing is not None


def _network_answers(note: Notification, asked: Asked, handling: Handling) -> bool | None:
    """Whether the network answers; None where the country is not sure."""
    is_bare = asked.message.body.strip().lower() == "stop" == exact(note.keyword)
    if note.kind != "STOP" or handling.sender_type != "toll_free" or not is_bare:
        return False
    countries = set(countries_of(asked.message.writer, asked.message.country))
    return True if countries <= _NETWORK else None if countries & _NETWORK else False


def _wrong_with(
    note: Notification,
    asked: Asked,
    handling: Handling,
    changes: Sequence[Change],
    blocked: Sequence[bool],
) -> Iterator[tuple[Kind, str]]:
    assert handling.keywords is not None
    widens = note.kind == "STOP" and any(
        one.standing is not None and not one.place.carrier and not _adds_nothing(note, one)
        for one in changes
    )
    limit, due = handling.keywords.reply_limit, _is_due(note, handling, blocked, widens=widens)
    if note.braked:
        if note.reply_sent != "none":
            yield "contradictory", "is braked, but says that a reply was sent (R37)"
        elif widens or due is False:
            yield "contradictory", "is braked, though its reply is due or is not (R37)"
        elif asked.counted_all and asked.replied < limit:
            yield "contradictory", "is braked below the limit of its service (R37)"
    elif note.reply_sent == "none":
        if due:
            yield "lost", "a reply is due (R18, R19), but was not sent"
    elif due is False:
        yield "contradictory", _NOT_DUE[note.kind]
    elif asked.replied >= limit and not widens:
        yield "contradictory", "was answered beyond the limit of its service (R37)"


def _adds_nothing(note: Notification, change: Change) -> bool:
    """Whether other words follow a keyword that blocked already (R18, R30)."""
    sources = change.standing.sources if change.standing else ()
    return (
        note.suspicion is not None
        and change.previous
        and any(one.kind == "keyword" for one in sources)
    )


_NOT_DUE = {
    "STOP": "was answered, though the STOP changed nothing (R18)",
    "START": "was answered, though the START has no effect (R19)",
    "HELP": "was answered, though the recipient was blocked (R19)",
}


def _is_due(
    note: Notification, handling: Handling, blocked: Sequence[bool], *, widens: bool
) -> bool | None:
    """Whether a reply is due but for the brake; None where that is not sure."""
    keywords = handling.keywords
    assert keywords is not None
    match note.kind:
        case "STOP":
            always = handling.sender_type in keywords.stop_when_blocked
            return widens or keywords.repeats or always
        case "START":
            return note.effective
        case _:
            if handling.sender_type in keywords.help_when_blocked or not any(blocked):
                return True
            return False if all(blocked) else None
