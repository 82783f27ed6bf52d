"""Fold a batch of hits, in order, over the block list of the recipients they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from processor.core.blocks import Block, Blocks, Mark, Place
from processor.core.decide import (
    Decision,
    decide,
    decide_command,
    decide_unread,
    ordinary,
)
from processor.core.events import BlockChange, Event
from processor.core.messages import (
    ConsentCommand,
    InboundMessage,
    Scope,
    UnreadStop,
    channel_group_of,
    list_key,
)
from processor.core.policy import Match
from processor.core.services import Handling


@dataclass(frozen=True, slots=True)
class Hit:
    """An inbound message that matched, with all that deciding it needs."""

    message: InboundMessage
    match: Match
    handling: Handling
    country: str | None


@dataclass(frozen=True, slots=True)
class Ordinary:
    """An inbound message that is no keyword, of a service whose application wants to know."""

    message: InboundMessage
    handling: Handling


Item = Hit | ConsentCommand | UnreadStop  # what can change the block list


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch comes to."""

    decisions: tuple[tuple[Event, ...], ...]  # one per item, in their order
    # List key to its blocks afterwards, where anything changed: even if they end as they began, the
    # list must tell the mark that the changes carry.
    changed: Mapping[str, Blocks]
    handled: tuple[str, ...]  # sids and command ids that had not been handled before
    # Index of an item to why it is put aside; it was not handled, and may come again.
    refused: Mapping[int, str] = field(default_factory=dict)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in the order they are emitted."""
        return tuple(event for decision in self.decisions for event in decision)


def list_key_of(item: Item | Ordinary) -> str:
    """Whose block list entry an item reads and may change."""
    if isinstance(item, ConsentCommand | UnreadStop):
        return list_key(item.recipient, item.channel_group)
    recipient = item.message.recipient
    return list_key(recipient, channel_group_of(recipient))


def id_of(item: Item) -> str:
    """What recognises an item that is delivered twice (R22); a command is never a message."""
    match item:
        case Hit():
            return item.message.message_sid
        case ConsentCommand():
            return command_id(item.command_id, item.redrives)
        case UnreadStop():
            return command_id(item.id)


def _account_of(item: Item) -> str:
    return item.message.account_sid if isinstance(item, Hit) else item.account_sid


def command_id(given: str, redrives: int = 0) -> str:
    """A command's id beside those of messages; one that was put aside was not handled before."""
    return f"command:{given}#{redrives}" if redrives else f"command:{given}"


def fold(
    items: Sequence[Item | Ordinary],
    blocks: Mapping[str, Blocks],
    seen: Set[str],
    *,
    scope: Scope,
    mark: Mark,
) -> Folded:
    """Apply items in order; one whose id was handled before has no effect (R22, R23).

    Args:
        items: in the order of their topics.
        blocks: list key to blocks as stored; a key that is missing has none.
        seen: ids of items handled before this batch.
        scope: of new blocks.
        mark: of the write that will store the result.
    """
    entries: dict[str, dict[str, dict[Place, Block]]] = {}  # list key, account, place
    changed: dict[str, None] = {}
    handled: dict[str, None] = {}
    decisions: list[tuple[Event, ...]] = []
    refused: dict[int, str] = {}
    for index, item in enumerate(items):
        if isinstance(item, Ordinary):
            decisions.append(ordinary(item.message, item.handling))
            continue
        id_ = id_of(item)
        if id_ in seen or id_ in handled:
            decisions.append(())
            continue
        key = list_key_of(item)
        if key not in entries:
            entries[key] = _by_account(blocks.get(key, ()))
        accounts, account = entries[key], _account_of(item)
        entry = accounts.get(account, {})
        decision = _decide(item, entry, scope, mark)
        if decision.refused:
            refused[index] = decision.refused
        else:
            handled[id_] = None
        for event in decision.events:
            if isinstance(event, BlockChange):
                apply(event, entry)
                changed[key] = None
        if entry:
            accounts[account] = entry
        else:
            accounts.pop(account, None)  # in whatever batches it came: a later block stands last
        decisions.append(decision.events)
    after = {
        key: tuple(block for entry in entries[key].values() for block in entry.values())
        for key in changed
    }
    return Folded(tuple(decisions), after, tuple(handled), refused)


def _by_account(blocks: Blocks) -> dict[str, dict[Place, Block]]:
    found: dict[str, dict[Place, Block]] = {}
    for block in blocks:
        found.setdefault(block.account_sid, {})[block.place] = block
    return found


def _decide(item: Item, entry: Mapping[Place, Block], scope: Scope, mark: Mark) -> Decision:
    match item:
        case Hit():
            return decide(
                item.message,
                item.match,
                item.handling,
                entry,
                country=item.country,
                scope=scope,
                mark=mark,
            )
        case ConsentCommand():
            return decide_command(item, entry, mark=mark)
        case UnreadStop():
            return decide_unread(item, entry, mark=mark)


def apply(change: BlockChange, entry: dict[Place, Block]) -> None:
    """Have an account's blocks on a recipient follow a change."""
    entry.pop(change.place, None)
    if change.blocked:
        entry[change.place] = Block(
            *change.place,
            since_ms=change.at_ms,
            change_id=change.change_id,
            mark=change.mark,
            by_keyword=change.cause.kind is not None,
        )
