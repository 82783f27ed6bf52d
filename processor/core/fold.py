"""Fold a batch of hits, in order, over the block list of the recipients they touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from processor.core.blocks import Blocks, Mark
from processor.core.decide import decide, decide_command, ordinary
from processor.core.events import Event
from processor.core.messages import (
    ConsentCommand,
    InboundMessage,
    Scope,
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


Item = Hit | ConsentCommand  # what can change the block list


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch comes to."""

    decisions: tuple[tuple[Event, ...], ...]  # one per item, in their order
    # List key to its blocks afterwards, where anything changed: even if they end as they began, the
    # list must tell the mark that the changes carry.
    changed: Mapping[str, Blocks]
    handled: tuple[str, ...]  # sids and command ids that had not been handled before

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in the order they are emitted."""
        return tuple(event for decision in self.decisions for event in decision)


def list_key_of(item: Item | Ordinary) -> str:
    """Whose block list entry an item reads and may change."""
    if isinstance(item, ConsentCommand):
        return list_key(item.recipient, item.channel_group)
    recipient = item.message.recipient
    return list_key(recipient, channel_group_of(recipient))


def id_of(item: Item) -> str:
    """What recognises an item that is delivered twice (R22); a command is never a message."""
    return item.message.message_sid if isinstance(item, Hit) else command_id(item.command_id)


def command_id(given: str) -> str:
    """A command's id beside those of messages."""
    return f"command:{given}"


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
    changed: dict[str, Blocks] = {}
    handled: dict[str, None] = {}
    decisions: list[tuple[Event, ...]] = []
    for item in items:
        if isinstance(item, Ordinary):
            decisions.append(ordinary(item.message, item.handling))
            continue
        if id_of(item) in seen or id_of(item) in handled:
            decisions.append(())
            continue
        handled[id_of(item)] = None
        key = list_key_of(item)
        before = changed[key] if key in changed else blocks.get(key, ())
        if isinstance(item, Hit):
            decision = decide(
                item.message,
                item.match,
                item.handling,
                before,
                country=item.country,
                scope=scope,
                mark=mark,
            )
        else:
            decision = decide_command(item, before, mark=mark)
        if decision.blocks != before:
            changed[key] = decision.blocks
        decisions.append(decision.events)
    return Folded(tuple(decisions), changed, tuple(handled))
