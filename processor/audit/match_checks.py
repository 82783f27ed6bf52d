"""Check the notifications, replies and changes of messages and commands (R18 to R23, R27)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from processor.audit.history import (
    History,
    Pools,
    State,
    service_of,
    standing_at,
    stops,
    windows,
)
from processor.audit.report import Findings
from processor.audit.values import (
    CHANGES,
    COMMANDS,
    INBOUND,
    LETTERS,
    NOTIFICATIONS,
    REPLIES,
    Change,
    Command,
    Mark,
    Message,
    Notification,
    Partition,
    Place,
    Ref,
    Source,
)

_ANSWERED = ("aoo", "default")
_OF_RECIPIENTS = frozenset({"keyword", "unread-stop", "signal"})
ACCOUNT = Place("account", "", False)
_BETWEEN_TOPICS_MS = 1_000  # within this, a block wins over an opt-in from the other topic


def check_matches(partition: Partition, findings: Findings) -> None:
    """Check that each bare reserved word has a notification, in the order of the messages."""
    known: dict[Ref, Message] = {}
    for message in partition.messages:
        if (INBOUND, message.offset) in partition.letters:
            continue
        known.setdefault(message.ref, message)
        if message.is_reserved and partition.is_checked(INBOUND, message.offset, message.at_ms):
            _is_notified(partition, message, findings)
    last: dict[str, int] = {}
    for one in partition.notifications:
        where = partition.where(NOTIFICATIONS, one)
        message_of = known.get(one.ref)
        if message_of is None:
            if partition.has_beginning(INBOUND):
                findings.add("contradictory", where, "belongs to no inbound message")
            continue
        if message_of.said != one.said:
            findings.add("contradictory", where, "differs from its message")
        if message_of.offset < last.get(one.key, -1):
            findings.add("reordered", where, "comes after the notification of a later message")
        last[one.key] = max(message_of.offset, last.get(one.key, -1))


def _is_notified(partition: Partition, message: Message, findings: Findings) -> None:
    if message.offset >= partition.committed.get(INBOUND, 0):
        findings.counts["messages_not_matched_yet"] += 1
    elif not partition.has_all_after(NOTIFICATIONS, message.at_ms):
        findings.counts["not_checked"] += 1
    elif message.ref not in partition.notified:
        where = partition.where(INBOUND, message)
        findings.add("lost", where, "a keyword without a notification")


def check_replies(partition: Partition, findings: Findings) -> None:
    """Check that there is a reply exactly if the notification says so."""
    by_ref = {one.ref: one for one in partition.notifications}
    replied = {reply.ref for reply in partition.replies}
    for one in partition.notifications:
        where = partition.where(NOTIFICATIONS, one)
        if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms):
            continue
        if one.reply_sent in _ANSWERED and one.ref not in replied:
            if partition.has_all_after(REPLIES, one.at_ms):
                findings.add("lost", where, "says that a reply was sent; there is none")
        elif one.reply_sent not in _ANSWERED and one.ref in replied:
            findings.add("contradictory", where, "says that no reply was sent; there is one")
    last: dict[str, int] = {}
    of_sid: dict[str, Ref] = {}
    for reply in partition.replies:
        where, known = partition.where(REPLIES, reply), by_ref.get(reply.ref)
        if of_sid.setdefault(reply.sid, reply.ref) != reply.ref:
            findings.add("contradictory", where, "has the sid of the reply to another message")
        if known is None:
            if partition.is_checked(REPLIES, reply.offset, reply.at_ms) and (
                partition.has_all_after(NOTIFICATIONS, reply.at_ms)
            ):
                findings.add("contradictory", where, "answers a message that has no notification")
            continue
        if (known.kind, known.sender, known.key) != (reply.kind, reply.sender, reply.key):
            findings.add("contradictory", where, "is not of its notification's kind and addresses")
        if known.offset < last.get(reply.key, -1):
            findings.add("reordered", where, "comes after the reply to a later message")
        last[reply.key] = max(known.offset, last.get(reply.key, -1))


def check_changes(
    partition: Partition, histories: Mapping[str, History], findings: Findings
) -> None:
    """Check that marks grow, and that each change has an effect and a match or command as cause."""
    matches = {one.ref: one for one in partition.notifications}
    commands = {one.ref: one for one in partition.commands}
    unread = {
        f"unread-{partition.number}-{offset}"
        for topic, offset in partition.letters
        if topic == INBOUND
    }
    full = {change.ref for change in partition.changes if _is_for_all(change)}
    for history in histories.values():
        for before, change in zip(history.states, history.changes, strict=False):
            if ACCOUNT in before:  # it replaces the other blocks of a full entry
                full.add(change.ref)
    last = Mark(0, 0)
    for change in partition.changes:
        where = partition.where(CHANGES, change)
        if change.mark < last:
            findings.add("reordered", where, "its mark is lower than the mark before it")
        last = max(last, change.mark)
        if not partition.is_checked(CHANGES, change.offset, change.at_ms):
            continue
        if change.source == "unread-stop":
            asked = (change.cause in unread and change.ref in full) or (
                change.moved or LETTERS in partition.first_ms
            )
        elif change.kind is None and change.ref in commands:
            asked = _commands(commands[change.ref], change)
        elif change.kind is not None and change.ref in matches:
            asked = _asks(matches[change.ref], change) or (
                # A STOP in a full entry replaces its blocks by a single block (R18).
                change.kind == "STOP" and not change.place.carrier and change.ref in full
            )
        else:
            asked = change.moved or not partition.has_beginning(NOTIFICATIONS)
        if not asked:
            findings.add("contradictory", where, "neither a match nor a command asked for it")
    if CHANGES in partition.first_ms:
        return
    lifting = _Lifting(partition, matches, commands)
    for history in histories.values():
        for before, change in zip(history.states, history.changes, strict=False):
            if wrong := _wrong_with(change, before, history) or lifting.wrong_with(change, before):
                findings.add("contradictory", partition.where(CHANGES, change), wrong)


def _wrong_with(change: Change, before: State, history: History) -> str | None:
    """Return the reason for which a change cannot have led to its block (R18)."""
    stood, stands = standing_at(before, change.place), change.standing
    if (stood is not None) != change.previous:
        return "is wrong about whether there was a block before"
    if stood == stands:
        return "changes nothing: the list was the same before"
    old = stood.sources if stood else frozenset()
    new = stands.sources if stands else frozenset()
    if change.moved or change.standing_is_guessed:
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
        for other in history.changes
        if other.ref == change.ref and other.standing is None and other is not change
        for source in _lost_at(other, history)
    }
    if lost and not replaced:
        return "a block lost a cause when it got another"
    own = Source(change.source, change.id, change.since_ms)
    if added - {own} - replaced:
        return "a block has a cause that never occurred"
    return None


class _Lifting:
    """Checks which causes a START or a command may remove from a block (R19, R20, R29, R30)."""

    def __init__(
        self,
        partition: Partition,
        matches: Mapping[Ref, Notification],
        commands: Mapping[Ref, Command],
    ) -> None:
        self._messages = {one.ref: one for one in partition.messages}
        self._matches = matches
        self._commands = commands

    def wrong_with(self, change: Change, before: State) -> str | None:
        """Return the reason for which a change may not remove the causes it removed."""
        stood = standing_at(before, change.place)
        if stood is None or change.moved:
            return None
        lost = stood.sources - (change.standing.sources if change.standing else frozenset())
        if not lost or change.kind == "STOP":
            return None
        if change.kind is None:
            return self._by_command(change, lost)
        match = self._matches.get(change.ref)
        return self._by_start(change, match, lost) if match else None

    def _by_command(self, change: Change, lost: Collection[Source]) -> str | None:
        kinds = {source.kind for source in lost}
        if change.source == "review" and kinds != {"review"}:
            return "a command that undoes a review lifted another cause"
        command = self._commands.get(change.ref)
        if command and not command.has_reason and kinds & _OF_RECIPIENTS:
            return "a command without a reason lifted a recipient's own block"
        return None

    def _by_start(
        self, change: Change, match: Notification, lost: Collection[Source]
    ) -> str | None:
        place = change.place
        if place.scope == "sender" and place.target != match.sender:
            return "a START lifted the block of a sender that it was not texted to"
        if match.keyword == "yes" and any(source.kind != "keyword" for source in lost):
            return "YES lifted a block that was not made by a keyword"
        message = self._messages.get(change.ref)
        late = message is not None and message.said_ms < message.at_ms
        if message and late and any(source.since_ms > message.said_ms for source in lost):
            return "a late START lifted a block that is newer than the message"
        return None


def _lost_at(change: Change, history: History) -> frozenset[Source]:
    """Find the causes of the block that a change removed."""
    index = history.changes.index(change)
    stood = standing_at(history.states[index], change.place)
    return stood.sources if stood else frozenset()


def _is_for_all(change: Change) -> bool:
    return change.standing is not None and change.place.scope == "account"


def _asks(match: Notification, change: Change) -> bool:
    if (match.key, match.kind) != (change.key, change.kind):
        return False
    # A START may leave a block that has other causes; a STOP always leaves a block.
    return match.kind == "START" or (match.kind == "STOP" and change.standing is not None)


def _commands(command: Command, change: Change) -> bool:
    return (command.key, command.place, command.kind) == (
        change.key,
        change.place,
        change.source,
    ) and (change.standing is not None or not command.blocked)


def check_effects(
    partition: Partition, histories: Mapping[str, History], pools: Pools, findings: Findings
) -> None:
    """Check that each effective match and each command took effect, and that replies fit."""
    if CHANGES in partition.first_ms:
        findings.counts["not_checked"] += len(partition.notifications)
        return
    for one, changes, states in windows(partition.notifications, histories):
        if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms):
            continue
        where = partition.where(NOTIFICATIONS, one)
        blocked = [stops(state, service_of(one, pools), one.sender) for state in states]
        if one.effective and not _took_effect(one, changes, blocked):
            what = "is effective, but the list does not show it"
            findings.add("contradictory", where, what)
        if not _may_be_silent(one, changes, blocked) and one.reply_sent == "none":
            findings.add("lost", where, "a reply is due (R18, R19), but was not sent")
    stopped = _stops_by_key(partition)
    unread = {offset for topic, offset in partition.letters if topic == INBOUND}
    done = partition.committed.get(COMMANDS, 0)
    for command, _, states in windows(partition.commands, histories):
        if command.offset >= done or (COMMANDS, command.offset) in partition.letters:
            continue
        stops_ms = stopped[command.key]
        if not any(_follows(state, command, stops_ms, bool(unread)) for state in states):
            where = partition.where(COMMANDS, command)
            findings.add("lost", where, "a command that did not take effect")


def _stops_by_key(partition: Partition) -> Mapping[str, Sequence[int]]:
    """Find when each entry's STOPs were appended: even an ineffective STOP renews its block."""
    found: dict[str, list[int]] = defaultdict(list)
    appended = {message.ref: message.at_ms for message in partition.messages}
    for one in partition.notifications:
        if one.kind == "STOP":
            found[one.key].append(appended.get(one.ref, one.at_ms))
    return found


def _follows(state: State, command: Command, stops_ms: Sequence[int], has_letters: bool) -> bool:
    """Whether a command took effect; it lifts no block that came after it (R19, R23)."""
    stood = standing_at(state, command.place)
    if stood is None or command.blocked:
        return (stood is not None) == command.blocked
    return stood.locked or all(
        _may_stay(source, command, stops_ms, has_letters) for source in stood.sources
    )


def _may_stay(source: Source, command: Command, stops_ms: Sequence[int], has_letters: bool) -> bool:
    if command.kind == "review" and source.kind != "review":
        return True
    if source.kind in ("keyword", "unread-stop"):
        last_ms = max([source.since_ms, *stops_ms])
        may_be_later = source.kind == "unread-stop" and has_letters
        return may_be_later or command.said_ms <= last_ms + _BETWEEN_TOPICS_MS
    # Another command for the same block changes nothing either.
    return command.said_ms < command.at_ms or command.said_ms < source.since_ms


def _took_effect(one: Notification, changes: Sequence[Change], blocked: Sequence[bool]) -> bool:
    match one.kind:
        case "STOP":
            return any(blocked)
        case "START":
            return not all(blocked)
        case _:
            return not changes


def _may_be_silent(one: Notification, changes: Sequence[Change], blocked: Sequence[bool]) -> bool:
    match one.kind:
        case "STOP":
            return all(change.place.carrier or change.standing is None for change in changes)
        case "START":
            return not one.effective
        case _:
            return any(blocked)
