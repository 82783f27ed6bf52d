"""Apply a batch of hits, in order, to the block list of the recipients they name."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import assert_never

from processor.core.blocks import Block, Blocks, Mark, Place
from processor.core.brakes import Brake, Replies, lately, with_reply
from processor.core.decide import (
    Decision,
    decide,
    decide_command,
    decide_unread,
    ordinary,
    report,
)
from processor.core.events import BlockChange, Event, ReplySend
from processor.core.identity import (
    Handled,
    brake_on,
    handled_command,
    handled_message,
    handled_unread,
    reply_to,
)
from processor.core.messages import (
    ConsentCommand,
    InboundMessage,
    Scope,
    UnreadStop,
    entry_key,
    entry_of,
    list_key,
)
from processor.core.policy import Match
from processor.core.services import Handling
from processor.core.suspected import Finding
from processor.core.values import value

NO_REPLIES: Mapping[bytes, Replies] = {}


@value(frozen=True, slots=True)
class Hit:
    """An inbound message that matched, with everything needed to decide on it."""

    message: InboundMessage
    match: Match
    handling: Handling
    country: str | None
    # All that asks the list takes from these: see ``key_of``, ``handled_of`` and ``brake_for``.
    key: str = field(init=False, repr=False, compare=False)
    handled: Handled = field(init=False, repr=False, compare=False)
    brake: Brake = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one, at_ms = self.message, self.message.arrival.appended_ms
        key = entry_of(one.account_sid, one.recipient)
        set_ = object.__setattr__
        set_(self, "key", key)
        set_(self, "handled", _handled(one))
        set_(self, "brake", brake_on(key, one.sender, self.match.kind, at_ms))


def _handled(one: InboundMessage) -> Handled:
    return handled_message(
        one.account_sid, one.message_sid, one.recipient, one.sender, one.arrival.appended_ms
    )


@value(frozen=True, slots=True)
class Reported:
    """An inbound message that a person must review, with everything needed to report it (R30)."""

    message: InboundMessage
    finding: Finding
    handling: Handling
    country: str | None


@value(frozen=True, slots=True)
class Ordinary:
    """An inbound message that is not a keyword, of a service with a webhook."""

    message: InboundMessage
    handling: Handling


Item = Hit | Reported | ConsentCommand | UnreadStop  # each is handled once


@dataclass(frozen=True, slots=True)
class Folded:
    """The result of a batch."""

    decisions: tuple[tuple[Event, ...], ...]  # per item, in the items' order
    # Entry key to its blocks afterwards, for every entry with a change. An entry that ends as it
    # began is included, because the list must store the mark that its changes carry.
    changed: Mapping[str, Blocks]
    handled: tuple[Handled, ...]  # messages and commands that had not been handled before
    # Index of an item to the reason for its refusal; it was not handled, and may come again.
    refused: Mapping[int, str] = field(default_factory=dict)
    # Brake id to its replies afterwards, for every brake with a new reply.
    replied: Mapping[bytes, Replies] = field(default_factory=dict)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in the order they are emitted."""
        return tuple(event for decision in self.decisions for event in decision)


def key_of(item: Item | Ordinary) -> str:
    """The key of the block list entry that an item reads and may change."""
    if isinstance(item, Hit):
        return item.key
    if isinstance(item, ConsentCommand | UnreadStop):
        return entry_key(item.account_sid, list_key(item.recipient, item.channel_group))
    return entry_of(item.message.account_sid, item.message.recipient)


def finding_of(item: Hit | Reported | None) -> Finding | None:
    """How a text was read that is not a keyword; None of others."""
    return item.match.finding if isinstance(item, Hit) else item.finding if item else None


def brake_for(item: Item) -> Brake | None:
    """The brake that an item's reply goes by; the other kinds have no reply (R37)."""
    return item.brake if isinstance(item, Hit) else None


def handled_of(item: Item) -> Handled:
    """The id that reveals an item's second delivery (R22); a command never equals a message."""
    match item:
        case Hit():
            return item.handled
        case Reported():
            return _handled(item.message)
        case ConsentCommand():
            assert item.arrival is not None, "a command is handled after it was read"
            return handled_command(
                item.account_sid, item.command_id, item.redrives, item.arrival.appended_ms
            )
        case UnreadStop():
            return handled_unread(
                item.account_sid, item.id, item.recipient, item.arrival.appended_ms
            )
        case _:
            assert_never(item)


def fold(
    items: Sequence[Item | Ordinary],
    blocks: Mapping[str, Blocks],
    seen: Set[bytes],
    *,
    replied: Mapping[bytes, Replies] = NO_REPLIES,
    passed: Container[int] = (),
    scope: Scope,
    mark: Mark,
) -> Folded:
    """Apply items in order; an item that was handled before has no effect (R22, R23).

    Args:
        items: in the order of their topics.
        blocks: entry key to blocks as stored; a missing key means no blocks.
        seen: ids of items handled before this batch, see ``Handled``.
        replied: brake id to its replies before this batch; a missing id means none.
        passed: indexes of items that were decided otherwise; they have no decision here.
        scope: of new blocks.
        mark: of the write that will store the result.
    """
    entries: dict[str, dict[Place, Block]] = {}
    changed: dict[str, None] = {}
    handled: dict[bytes, Handled] = {}
    decisions: list[tuple[Event, ...]] = []
    refused: dict[int, str] = {}
    braked: dict[bytes, Replies] = {}
    for index, item in enumerate(items):
        if index in passed:
            decisions.append(())
            continue
        if isinstance(item, Ordinary):
            decisions.append(ordinary(item.message, item.handling))
            continue
        known = handled_of(item)
        if known.id in seen or known.id in handled:
            decisions.append(())
            continue
        key = key_of(item)
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = {block.place: block for block in blocks.get(key, ())}
        brake = brake_for(item)
        before = _replies(brake, braked, replied)
        count = lately(before, brake.at_ms) if brake else 0
        decision = _decide(item, entry, count, scope, mark)
        if decision.refused:
            refused[index] = decision.refused
        else:
            handled[known.id] = known
        for block in decision.repeated:
            entry[block.place] = block
            changed[key] = None
        for event in decision.events:
            if isinstance(event, BlockChange):
                apply(event, entry)
                changed[key] = None
            elif isinstance(event, ReplySend) and brake:
                braked[brake.id] = with_reply(before, reply_to(known))
        decisions.append(decision.events)
    after = {key: tuple(entries[key].values()) for key in changed}
    return Folded(tuple(decisions), after, tuple(handled.values()), refused, braked)


def _replies(brake: Brake | None, *known: Mapping[bytes, Replies]) -> Replies:
    """The replies of a brake, from the first that knows them."""
    if brake is None:
        return ()
    return next((one[brake.id] for one in known if brake.id in one), ())


def _decide(
    item: Item, entry: Mapping[Place, Block], replied: int, scope: Scope, mark: Mark
) -> Decision:
    match item:
        case Hit():
            return decide(
                item.message,
                item.match,
                item.handling,
                entry,
                country=item.country,
                replied=replied,
                scope=scope,
                mark=mark,
            )
        case Reported():
            return report(item.message, item.finding, item.handling, country=item.country)
        case ConsentCommand():
            return decide_command(item, entry, mark=mark)
        case UnreadStop():
            return decide_unread(item, entry, mark=mark)
        case _:
            assert_never(item)


def apply(change: BlockChange, entry: dict[Place, Block]) -> None:
    """Apply a change to an entry; the block changed last comes last."""
    entry.pop(change.place, None)
    if change.block is not None:
        entry[change.place] = change.block
