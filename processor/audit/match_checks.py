"""What must come of messages and commands: notifications, replies and changes (R18 to R23, R27)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from processor.audit.history import History, Pools, State, service_of, stops, windows
from processor.audit.records import (
    CHANGES,
    COMMANDS,
    INBOUND,
    NOTIFICATIONS,
    REPLIES,
    Change,
    Command,
    Mark,
    Message,
    Notification,
    Partition,
)
from processor.audit.report import Findings

_ANSWERED = ("aoo", "default")
_BETWEEN_TOPICS_MS = 1_000  # a block stands against an opt-in of the other topic that is so close


def check_matches(partition: Partition, findings: Findings) -> None:
    """Every bare reserved word has its notification; all follow the order of the messages."""
    known: dict[str, Message] = {}
    for message in partition.messages:
        if (INBOUND, message.offset) in partition.letters:
            continue
        known.setdefault(message.id, message)
        if message.is_reserved and partition.is_checked(INBOUND, message.offset, message.at_ms):
            _is_notified(partition, message, findings)
    last: dict[str, int] = {}
    for one in partition.notifications:
        where = partition.where(NOTIFICATIONS, one)
        message_of = known.get(one.id)
        if message_of is None:
            if partition.has_beginning(INBOUND):
                findings.add("contradictory", where, "no inbound message has this sid")
            continue
        if message_of.said != one.said:
            findings.add("contradictory", where, "is not what the message of this sid says")
        if message_of.offset < last.get(one.key, -1):
            findings.add("reordered", where, "stands behind that of a later message")
        last[one.key] = max(message_of.offset, last.get(one.key, -1))


def _is_notified(partition: Partition, message: Message, findings: Findings) -> None:
    if message.offset >= partition.committed.get(INBOUND, 0):
        findings.counts["messages_not_matched_yet"] += 1
    elif not partition.has_all_after(NOTIFICATIONS, message.at_ms):
        findings.counts["not_checked"] += 1
    elif message.id not in partition.notified:
        where = partition.where(INBOUND, message)
        findings.add("lost", where, "a keyword that has no notification")


def check_replies(partition: Partition, findings: Findings) -> None:
    """A reply is there exactly where its notification says so."""
    by_id = {one.id: one for one in partition.notifications}
    replied = {reply.id for reply in partition.replies}
    for one in partition.notifications:
        where = partition.where(NOTIFICATIONS, one)
        if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms):
            continue
        if one.reply_sent in _ANSWERED and one.id not in replied:
            if partition.has_all_after(REPLIES, one.at_ms):
                findings.add("lost", where, "says that a reply was sent; there is none")
        elif one.reply_sent not in _ANSWERED and one.id in replied:
            findings.add("contradictory", where, "says that no reply was sent; there is one")
    last: dict[str, int] = {}
    for reply in partition.replies:
        where, known = partition.where(REPLIES, reply), by_id.get(reply.id)
        if known is None:
            if partition.is_checked(REPLIES, reply.offset, reply.at_ms) and (
                partition.has_all_after(NOTIFICATIONS, reply.at_ms)
            ):
                findings.add("contradictory", where, "answers a message that has no notification")
            continue
        if (known.kind, known.sender, known.key) != (reply.kind, reply.sender, reply.key):
            findings.add("contradictory", where, "is not of its notification's kind and addresses")
        if known.offset < last.get(reply.key, -1):
            findings.add("reordered", where, "stands behind that to a later message")
        last[reply.key] = max(known.offset, last.get(reply.key, -1))


def check_changes(
    partition: Partition, histories: Mapping[str, History], findings: Findings
) -> None:
    """Marks grow, every change changes something, and a match or a command asked for it."""
    matches = {one.id: one for one in partition.notifications}
    commands = {one.id: (one.key, one.place, one.blocked) for one in partition.commands}
    unread = {
        f"unread-{partition.number}-{offset}"
        for topic, offset in partition.letters
        if topic == INBOUND
    }
    full = {change.cause for change in partition.changes if _is_for_all(change)}
    last = Mark(0, 0)
    for change in partition.changes:
        where = partition.where(CHANGES, change)
        if change.mark < last:
            findings.add("reordered", where, "its mark is lower than the one before it")
        last = max(last, change.mark)
        if not partition.is_checked(CHANGES, change.offset, change.at_ms):
            continue
        if change.kind is None and change.cause in commands:
            asked = commands[change.cause] == (change.key, change.place, change.blocked)
        elif change.cause in unread:
            asked = change.cause in full
        elif change.kind is not None and change.cause in matches:
            asked = _asks(matches[change.cause], change) or (
                # A STOP to somebody who has a hundred blocks replaces them by one (R18).
                change.kind == "STOP" and not change.place.carrier and change.cause in full
            )
        else:
            asked = change.moved or not partition.has_beginning(NOTIFICATIONS)
        if not asked:
            findings.add("contradictory", where, "neither a match nor a command asked for it")
    if CHANGES in partition.first_ms:
        return
    for history in histories.values():
        for before, change in zip(history.states, history.changes, strict=False):
            stood = before.get(change.place)
            took_over = stood and stood.kind is None and change.kind == "STOP"
            if (stood is not None) != change.previous or (
                change.previous == change.blocked and not took_over
            ):
                where = partition.where(CHANGES, change)
                findings.add("contradictory", where, "changes nothing: the list was like that")


def _is_for_all(change: Change) -> bool:
    return change.blocked and change.place.scope == "account"


def _asks(match: Notification, change: Change) -> bool:
    wanted = {"STOP": True, "START": False}.get(match.kind)
    return (match.key, match.kind, wanted) == (change.key, change.kind, change.blocked)


def check_effects(
    partition: Partition, histories: Mapping[str, History], pools: Pools, findings: Findings
) -> None:
    """The list is as each effective match and each command asks, and the reply fits it."""
    if CHANGES in partition.first_ms:
        findings.counts["not_checked"] += len(partition.notifications)
        return
    for one, changes, states in windows(partition.notifications, histories):
        if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms):
            continue
        where = partition.where(NOTIFICATIONS, one)
        blocked = [
            stops(state, one.account, service_of(one, pools), one.sender) for state in states
        ]
        if one.effective and not _took_effect(one, changes, blocked):
            what = "is effective, but the list is not as it asks"
            findings.add("contradictory", where, what)
        if not _may_be_silent(one, changes, blocked) and one.reply_sent == "none":
            findings.add("lost", where, "a reply is due (R18, R19), and none was sent")
    done = partition.committed.get(COMMANDS, 0)
    for command, _, states in windows(partition.commands, histories):
        if command.offset >= done or (COMMANDS, command.offset) in partition.letters:
            continue
        if not any(_follows(state, command) for state in states):
            where = partition.where(COMMANDS, command)
            findings.add("lost", where, "a command that the list does not follow")


def _follows(state: State, command: Command) -> bool:
    """Whether the list is as a command asks; it lifts nothing that came after it (R19, R23)."""
    stood = state.get(command.place)
    if stood is None or command.blocked:
        return (stood is not None) == command.blocked
    if stood.kind is None:
        return command.said_ms < stood.since_ms
    return command.said_ms <= stood.since_ms + _BETWEEN_TOPICS_MS


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
            return all(change.place.carrier for change in changes)
        case "START":
            return not one.effective
        case _:
            return any(blocked)
