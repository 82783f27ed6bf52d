"""Whether a change follows from its cause and from the blocks before it (R18 to R20, R29)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from processor.audit.values import (
    ACCOUNT,
    Block,
    Change,
    Command,
    Message,
    Notification,
    Place,
    Source,
    Standing,
    State,
)

_OF_RECIPIENTS = frozenset({"keyword", "own-words", "unread-stop", "signal"})
_OF_REVIEWS = frozenset({"review", "own-words"})
BETWEEN_TOPICS_MS = 1_000  # within this, a block wins over an opt-in from the other topic


def standing_at(state: State, place: Place) -> Standing | None:
    """Find the block at a place."""
    block = state.get(place)
    return block.standing if block else None


def applied(state: State, change: Change) -> State:
    """Find the blocks after a change."""
    after = {place: block for place, block in state.items() if place != change.place}
    if change.standing is not None and change.mark is not None:
        after[change.place] = Block(change.place, change.standing, change.mark)
    return after


def is_for_all(before: State, changes: Sequence[Change]) -> bool:
    """Whether an account block may replace the other blocks of a full entry (R18)."""
    return ACCOUNT in before or any(
        change.standing is not None and change.place == ACCOUNT for change in changes
    )


def asks(match: Notification, change: Change, *, for_all: bool) -> bool:
    """Whether a match may have caused a change."""
    if match.ref != change.ref or (match.key, match.kind) != (change.key, change.kind):
        return False
    if match.kind == "START":
        return True  # it may leave a block that has other causes
    in_own_words = change.kind_of_source == "own-words"
    if match.kind != "STOP" or in_own_words is (match.suspicion is None):
        return False
    return change.standing is not None or (for_all and not change.place.carrier)


def commands(command: Command, change: Change) -> bool:
    """Whether a command may have caused a change."""
    return (
        command.ref[:3] == change.ref
        and (command.key, command.place) == (change.key, change.place)
        and command.kind == change.kind_of_source
        and (change.standing is not None or not command.blocked)
    )


def wrong_with(
    change: Change, before: State, group: Sequence[Change], at_first: State
) -> str | None:
    """Return the reason for which a change cannot have led to its block (R18).

    Args:
        change: to check.
        before: the blocks before it.
        group: all changes of its cause.
        at_first: the blocks before the first of them.
    """
    stood, stands = standing_at(before, change.place), change.standing
    if (stood is not None) != change.previous:
        return "is wrong about whether there was a block before"
    if stood == stands:
        return "changes nothing: the list was the same before"
    old = stood.sources if stood else frozenset()
    new = stands.sources if stands else frozenset()
    if change.moved:
        return None
    if stands and len({one.kind for one in new}) < len(new):
        return "a block has two causes of one kind"
    added, lost = new - old, old - new
    if stood and stood.locked and (lost or not (stands and stands.locked)):
        return "a locked block was lifted"
    if not added:
        unreadable = change.kind is not None and any(one.kind == "unreadable" for one in lost)
        return "a recipient's word lifted an unreadable block" if unreadable else None
    # The causes of the blocks that a single account block replaces in a full entry.
    replaced = {
        source
        for other in group
        if other.standing is None and other is not change
        for source in _sources(standing_at(at_first, other.place))
    }
    if lost and not replaced:
        return "a block lost a cause when it got another"
    own = Source(change.kind_of_source, change.id, change.since_ms)
    if added - {own} - replaced:
        return "a block has a cause that never occurred"
    return None


def _sources(standing: Standing | None) -> frozenset[Source]:
    return standing.sources if standing else frozenset()


def lost_by(change: Change, before: State) -> frozenset[Source]:
    """Find the causes that a change removed."""
    return _sources(standing_at(before, change.place)) - _sources(change.standing)


def wrongly_by_command(command: Command, lost: Collection[Source]) -> str | None:
    """Return the reason for which a command may not remove these causes (R29, R30)."""
    kinds = {source.kind for source in lost}
    if command.kind == "review" and kinds - _OF_REVIEWS:
        return "a command that undoes a review lifted another cause"
    if not command.has_reason and kinds & _OF_RECIPIENTS:
        return "a command without a reason lifted a recipient's own block"
    return None


def wrongly_by_start(
    change: Change, match: Notification, message: Message | None, lost: Collection[Source]
) -> str | None:
    """Return the reason for which a START may not remove these causes (R19, R20)."""
    place = change.place
    if place.scope == "sender" and place.target != match.sender:
        return "a START lifted the block of a sender that it was not texted to"
    if match.keyword.strip().lower() == "yes" and any(one.kind != "keyword" for one in lost):
        return "YES lifted a block that was not made by a keyword"
    late = message is not None and message.said_ms < message.at_ms
    if message and late and any(source.since_ms > message.said_ms for source in lost):
        return "a late START lifted a block that is newer than the message"
    return None


def follows(state: State, command: Command, *, has_unread: bool) -> bool:
    """Whether a command took effect; it lifts no block that came after it (R19, R23)."""
    block = state.get(command.place)
    if block is None or command.blocked:
        return (block is not None) == command.blocked
    return block.standing.locked or all(
        _may_stay(source, block, command, has_unread=has_unread)
        for source in block.standing.sources
    )


def _may_stay(source: Source, block: Block, command: Command, *, has_unread: bool) -> bool:
    if command.kind == "review" and source.kind not in _OF_REVIEWS:
        return True
    if source.kind in ("keyword", "own-words", "unread-stop"):
        last_ms = max(source.since_ms, block.asked_ms)
        may_be_later = source.kind == "unread-stop" and has_unread
        return may_be_later or command.said_ms <= last_ms + BETWEEN_TOPICS_MS
    # Another command for the same block changes nothing either.
    return command.said_ms < command.at_ms or command.said_ms < source.since_ms


def took_effect(one: Notification, changes: Sequence[Change], blocked: Sequence[bool]) -> bool:
    """Whether the list shows what an effective match says (R27).

    Args:
        one: the match.
        changes: that it caused.
        blocked: whether its sender was stopped, in each state that it may have left.
    """
    match one.kind:
        case "STOP":
            return any(blocked)
        case "START":
            return not all(blocked)
        case _:
            return not changes
