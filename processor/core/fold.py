"""Apply a batch of hits, in order, to the block list of the recipients they name."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import assert_never

from processor.core.addresses import in_one_spelling
from processor.core.batch_list import JOINED, BatchList, Origin
from processor.core.blocks import Block, Blocks, Mark, Names, Place
from processor.core.brakes import Brake, Replies, lately, with_reply
from processor.core.decide import (
    Decision,
    decide,
    decide_command,
    decide_unread,
    ordinary,
    report,
)
from processor.core.events import BlockChange, Cause, Event, ReplySend
from processor.core.identity import (
    Handled,
    OfMessage,
    brake_on,
    handled_command,
    handled_message,
    handled_unread,
    ids_of_message,
    reply_to,
)
from processor.core.links import NOTHING, Met, Named, Way
from processor.core.messages import (
    ChannelGroup,
    ConsentCommand,
    InboundMessage,
    LinkCommand,
    MoveCommand,
    PersonCommand,
    Scope,
    UnreadStop,
    entry_key,
    entry_of,
    list_key,
    subscriber_of,
)
from processor.core.policy import Match
from processor.core.services import Handling
from processor.core.suspected import Finding
from processor.core.values import value

NO_REPLIES: Mapping[bytes, Replies] = {}
NO_OTHER_NAMES: Mapping[str, Names] = {}


@value(frozen=True, slots=True)
class Hit:
    """An inbound message that matched, with everything needed to decide on it."""

    message: InboundMessage
    match: Match
    handling: Handling
    country: str | None
    # All that asks the list takes from these: see ``key_of``, ``handled_of`` and ``brake_for``.
    key: str = field(init=False, repr=False, compare=False)
    ids: OfMessage = field(init=False, repr=False, compare=False)  # however it is spelled (R32)
    handled: Handled = field(init=False, repr=False, compare=False)
    brake: Brake = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        one, at_ms = self.message, self.message.arrival.appended_ms
        key = entry_of(one.account_sid, one.person)
        spelled = in_one_spelling(one.recipient)
        ids = ids_of_message(one.account_sid, one.message_sid, spelled, one.sender)
        # Set as at run time no ``value`` is frozen: ``object.__setattr__`` takes twice as long.
        self.key = key  # type: ignore[misc]
        self.ids = ids  # type: ignore[misc]
        self.handled = Handled(ids[0], at_ms)  # type: ignore[misc]
        self.brake = brake_on(key, one.sender, self.match.kind, at_ms)  # type: ignore[misc]


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
    """An inbound message that is not a keyword: its service has a webhook, or it links (R32)."""

    message: InboundMessage
    handling: Handling


Item = Hit | Reported | ConsentCommand | UnreadStop | PersonCommand  # each is handled once


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
    # Entry key to the other addresses of its person (R32), of every entry that has some.
    names: Mapping[str, Names] = field(default_factory=dict)
    # Index of an item that was not decided on: the lane of the person's other address goes on.
    onward: Mapping[int, Way] = field(default_factory=dict)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in the order they are emitted."""
        return tuple(event for decision in self.decisions for event in decision)


def key_of(item: Item | Ordinary) -> str:
    """The key of the block list entry that an item reads and may change."""
    if isinstance(item, Hit):
        return item.key
    if isinstance(item, ConsentCommand | UnreadStop):
        return entry_key(item.account_sid, list_key(item.person, item.channel_group))
    if isinstance(item, PersonCommand):
        return entry_key(item.account_sid, list_key(item.person, ChannelGroup.WHATSAPP))
    return entry_of(item.message.account_sid, item.message.person)


def way_of(item: Item | Ordinary) -> Way | None:
    """How an item came to this lane from another one's (R32); None of nearly all."""
    return item.message.way if isinstance(item, Hit | Reported | Ordinary) else item.way


def on_its_way(item: Item | Ordinary, way: Way) -> Item | Ordinary:
    """An item in the lane that it was sent on to (R32)."""
    if isinstance(item, Hit | Reported | Ordinary):
        return replace(item, message=replace(item.message, way=way))
    return replace(item, way=way)


def named_by(item: Item | Ordinary) -> Named | None:
    """The number and the user id of one person, where an item names both (R32)."""
    if isinstance(item, LinkCommand):
        return Named(item.user_id, item.number)
    if isinstance(item, ConsentCommand | UnreadStop | MoveCommand):
        return None
    one = item.message
    if one.user_id is None or one.is_linked:
        return None
    return Named(one.user_id, subscriber_of(one.recipient))


def is_lasting(item: Item | Ordinary) -> bool:
    """Whether an item can change the block list."""
    return not isinstance(item, Ordinary) or named_by(item) is not None


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
        case ConsentCommand() | LinkCommand() | MoveCommand():
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
    names: Mapping[str, Names] = NO_OTHER_NAMES,
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
        names: entry key to the other addresses of its person, where it has some (R32).
        scope: of new blocks.
        mark: of the write that will store the result.
    """
    list_ = BatchList(blocks, names, mark)
    handled: dict[bytes, Handled] = {}
    decisions: list[tuple[Event, ...]] = []
    refused: dict[int, str] = {}
    braked: dict[bytes, Replies] = {}
    onward: dict[int, Way] = {}
    for index, item in enumerate(items):
        if index in passed:
            decisions.append(())
            continue
        known = None if isinstance(item, Ordinary) else handled_of(item)
        if known and (known.id in seen or known.id in handled):
            decisions.append(())
            continue
        events: tuple[Event, ...] = ()
        if is_lasting(item):
            met, events = _meet(item, list_)
            if met.onward or met.refused:
                if met.onward:
                    onward[index] = met.onward
                if met.refused:
                    refused[index] = met.refused
                decisions.append(())
                continue
        if isinstance(item, Ordinary) or known is None:
            decisions.append((*events, *_ordinary(item)))
            continue
        key = key_of(item)
        brake = brake_for(item)
        before = _replies(brake, braked, replied)
        count = lately(before, brake.at_ms) if brake else 0
        decision = _decide(item, list_.entry(key), count, scope, mark)
        if decision.refused:
            refused[index] = decision.refused
        else:
            handled[known.id] = known
        list_.put(key, decision)
        if brake and any(isinstance(event, ReplySend) for event in decision.events):
            braked[brake.id] = with_reply(before, reply_to(known))
        decisions.append((*events, *decision.events))
    return Folded(
        tuple(decisions),
        list_.after(),
        tuple(handled.values()),
        refused,
        braked,
        list_.names,
        onward,
    )


def _meet(item: Item | Ordinary, list_: BatchList) -> tuple[Met, tuple[BlockChange, ...]]:
    """Link the addresses that an item names, and find out which lane decides on it (R32)."""
    key, way, named = key_of(item), way_of(item), named_by(item)
    if isinstance(item, MoveCommand):
        met = list_.move(key, way, item.to)
    elif way is None and named is None and not list_.has_link(key):  # nearly all
        return NOTHING, ()
    else:
        met = list_.meet(key, way, named)
    return met, list_.join(key, met.merge, _origin_of(item)) if met.merge else ()


def _ordinary(item: Item | Ordinary) -> tuple[Event, ...]:
    return ordinary(item.message, item.handling) if isinstance(item, Ordinary) else ()


def _origin_of(item: Item | Ordinary) -> Origin:
    """Where the changes come from that merge the blocks of a person's other address."""
    if isinstance(item, PersonCommand):
        cause = Cause(item.command_id, None, None, None, JOINED, item.reason, item.claimed_ms)
        at_ms = item.arrival.appended_ms if item.arrival else item.claimed_ms
        return Origin(replace(cause, actor=item.actor), (), at_ms)
    assert not isinstance(item, ConsentCommand | UnreadStop), "it names one address: no merge"
    one = item.message
    cause = Cause(one.message_sid, None, None, one.sender, JOINED)
    return Origin(cause, (one.recipient, one.sender), one.arrival.appended_ms)


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
        case LinkCommand() | MoveCommand():
            return Decision()
        case UnreadStop():
            return decide_unread(item, entry, mark=mark)
        case _:
            assert_never(item)
