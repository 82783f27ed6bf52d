"""The checker's model: meanings of a verdict's mark, and results of matches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.audit.check import check
from processor.audit.history import Pools
from processor.audit.records import (
    COMMANDS,
    INBOUND,
    Change,
    Command,
    Mark,
    Message,
    Notification,
    Partition,
    Place,
    Ref,
    Reply,
    Send,
    Source,
    Standing,
    Verdict,
    packed_blocks,
)
from processor.audit.report import Findings
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    SERVICE,
)

OLD = {SERVICE: 0}
OTHER_ENTRY = f"{ACCOUNT}/{OTHER_RECIPIENT}"
SENT: Ref = (ACCOUNT, "S1", "+1", LONG_CODE)

HERE = Place("account", "", False)
DIED = Mark(1, 3)


def ref(number: int) -> Ref:
    return ("message", ENTRY, f"M{number}", LONG_CODE)


def a_text(number: int, said: int | None = None) -> Message:
    at = (f"M{number}", ref(number), number, 100 * number, ENTRY)
    said = number if said is None else said
    return Message(*at, said=said, said_ms=100 * number, is_reserved=True)


def a_match(number: int, kind: str, reply_sent: str = "default") -> Notification:
    return Notification(
        *(f"M{number}", ref(number), number, 1_000, ENTRY),
        account=ACCOUNT,
        service=None,
        sender=LONG_CODE,
        kind=kind,
        keyword=kind.lower(),
        effective=True,
        reply_sent=reply_sent,
        said=number,
    )


def a_reply(number: int, kind: str) -> Reply:
    sid = f"R{number}"
    return Reply(f"M{number}", ref(number), number, 1_000, ENTRY, sid, LONG_CODE, kind)


def a_source(number: int, kind: str = "keyword") -> Source:
    return Source(kind, f"M{number}.a.x", 0)


def standing(*sources: Source, locked: bool = False) -> Standing:
    return Standing(frozenset(sources), None, frozenset(), locked)


def a_change(number: int, stands: Standing | None, mark: Mark, *, previous: bool) -> Change:
    return Change(
        *(f"M{number}.a.x", ref(number), number, 1_000, ENTRY),
        place=HERE,
        standing=stands,
        previous=previous,
        since_ms=0,
        mark=mark,
        cause=f"M{number}",
        kind="STOP" if stands else "START",
        source="keyword",
        standing_is_guessed=False,
        moved=False,
    )


def a_flip(number: int, blocked: bool, mark: Mark) -> Change:
    stands = standing(a_source(number)) if blocked else None
    return a_change(number, stands, mark, previous=not blocked)


def a_history(*marks: Mark) -> Partition:
    """STOP and START by turns, the changes of each with its mark."""
    partition = Partition(0)
    for number, mark in enumerate(marks):
        kind = "START" if number % 2 else "STOP"
        partition.messages.append(a_text(number))
        partition.notifications.append(a_match(number, kind))
        partition.replies.append(a_reply(number, kind))
        partition.changes.append(a_flip(number, kind == "STOP", mark))
    partition.notified = {one.ref for one in partition.notifications}
    partition.touched = {ENTRY}  # the list is another check's
    return partition


def allowed(mark: Mark, at_ms: int, after: Mark | None = None) -> Verdict:
    named = (ACCOUNT, None, LONG_CODE)
    return Verdict("S1", SENT, 0, at_ms, ENTRY, *named, 7, mark, after, None, frozenset())


def found(partition: Partition, pools: Pools | None = None) -> set[str]:
    findings = Findings()
    partition.committed = {COMMANDS: 10, INBOUND: 10}
    check(partition, pools or Pools(), findings, skew_ms=0, dedupe_ms=1_000_000)
    return {violation.kind for violation in findings.violations}


def judged(partition: Partition, verdict: Verdict) -> Partition:
    partition.sends = [Send("S1", SENT, 0, 0, ENTRY, 7, None)]
    partition.verdicts = [verdict]
    return partition


def test_a_send_fails_for_its_account_only_where_that_was_suspended() -> None:
    failed = replace(allowed(Mark(1, 1), 300), value=None, suspended=True)
    partition = judged(a_history(Mark(1, 1)), failed)
    assert found(partition, Pools(ended_ms={ACCOUNT: 299})) == set()
    assert found(partition, Pools(ended_ms={ACCOUNT: 301})) == {"contradictory"}
    assert found(partition) == {"contradictory"}


def test_a_history_is_right_and_every_verdict_at_its_mark() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 2))
    assert found(judged(partition, allowed(Mark(1, 2), 300))) == set()
    assert found(judged(partition, allowed(Mark(1, 1), 300))) == {"leak"}


@pytest.mark.parametrize(
    ("at_ms", "kinds"), [(300, set()), (99, {"leak"})], ids=["START was there", "it was not"]
)
def test_a_verdict_by_a_batch_that_died_is_ahead_by_what_was_there(
    at_ms: int, kinds: set[str]
) -> None:
    # Repeated in two batches, of which the first does not allow.
    partition = a_history(Mark(1, 1), Mark(2, 3), Mark(2, 4), Mark(2, 5))
    assert found(judged(partition, allowed(DIED, at_ms))) == kinds


def test_a_batch_that_changed_nothing_and_lived_allows_nothing_ahead() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 4))
    assert found(judged(partition, allowed(DIED, 300))) == {"leak"}


def test_a_send_whose_writer_had_seen_more_is_a_leak() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 2))
    verdict = allowed(Mark(1, 2), 300, after=Mark(1, 3))
    assert found(judged(partition, verdict)) == {"leak"}


def test_a_stop_that_changed_the_list_has_a_reply() -> None:
    partition = a_history(Mark(1, 1))
    partition.notifications[0] = a_match(0, "STOP", "none")
    partition.replies.clear()
    assert found(partition) == {"lost"}


def test_help_is_answered_unless_blocked() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 2))
    partition.messages.append(a_text(2))
    partition.notifications.append(a_match(2, "HELP", "none"))
    partition.notified.add(ref(2))
    assert found(partition) == {"lost"}


def test_a_notification_of_another_text_contradicts_it() -> None:
    partition = a_history(Mark(1, 1))
    partition.messages[0] = a_text(0, said=9)
    assert found(partition) == {"contradictory"}


def a_command(
    number: int, *, blocked: bool = True, kind: str = "command", has_reason: bool = True
) -> Command:
    at = (f"C{number}", ("command", ACCOUNT, f"C{number}"), number, 0, ENTRY)
    return Command(*at, HERE, blocked=blocked, said_ms=0, kind=kind, has_reason=has_reason)


def by(command: Command, stands: Standing | None, mark: Mark, *, previous: bool) -> Change:
    """The change of a command."""
    change = a_change(0, stands, mark, previous=previous)
    id_ = f"{command.id}.a.x"
    return replace(
        change, id=id_, ref=command.ref, cause=command.id, kind=None, source=command.kind
    )


@pytest.mark.parametrize(("blocked", "kinds"), [(True, set()), (False, {"lost"})])
def test_the_list_follows_every_command(blocked: bool, kinds: set[str]) -> None:
    partition = Partition(0, touched={ENTRY})
    command = a_command(1)
    partition.commands = [command]
    if blocked:
        stands = standing(Source("command", "C1.a.x", 0))
        partition.changes = [by(command, stands, Mark(1, 1), previous=False)]
    assert found(partition) == kinds


def test_r22_two_messages_of_one_sid_are_two() -> None:
    """Each has its notification, as has the other recipient's."""
    partition = a_history(Mark(1, 1))
    other = ("message", OTHER_ENTRY, "M0", LONG_CODE)
    text = replace(a_text(0), ref=other, key=OTHER_ENTRY, offset=1)
    partition.messages.append(text)
    assert found(partition) == {"lost"}
    match = replace(a_match(0, "STOP"), ref=other, key=OTHER_ENTRY, offset=1)
    partition.notifications.append(match)
    partition.notified.add(other)
    reply = replace(a_reply(0, "STOP"), ref=other, key=OTHER_ENTRY)
    partition.replies.append(reply)
    change = replace(a_flip(0, True, Mark(1, 1)), ref=other, key=OTHER_ENTRY)
    partition.changes.append(change)
    partition.touched.add(OTHER_ENTRY)
    assert found(partition) == {"contradictory", "duplicated"}
    partition.replies[-1] = replace(reply, sid="R9")
    partition.changes[-1] = replace(change, id="M0.a.y", standing=standing(a_source(9)))
    assert found(partition) == {"contradictory"}  # a cause that nothing made
    stands = standing(Source("keyword", "M0.a.y", 0))
    partition.changes[-1] = replace(change, id="M0.a.y", standing=stands)
    assert found(partition) == set()


OURS, THEIRS = Source("keyword", "M0.a.x", 0), Source("command", "C1.a.x", 0)


@pytest.mark.parametrize(
    ("stands", "is_right"),
    [
        (standing(OURS, THEIRS), True),
        (standing(THEIRS), False),  # the STOP is lost
        (standing(OURS, Source("review", "C1.a.x", 0)), False),
        (standing(OURS), False),
        (standing(OURS, Source("keyword", "C1.a.x", 0)), False),
        (standing(OURS, THEIRS, Source("review", "C2.a.x", 0)), False),
    ],
)
def test_r18_a_second_cause_of_a_block_is_one_more(stands: Standing, is_right: bool) -> None:
    partition = a_history(Mark(1, 1))
    command = a_command(1)
    partition.commands = [command]
    partition.changes.append(by(command, stands, Mark(1, 2), previous=True))
    assert found(partition) == (set() if is_right else {"contradictory"})


def test_r35_a_locked_block_that_was_lifted_is_found() -> None:
    partition = a_history(Mark(1, 1))
    lock, lift = a_command(1), a_command(2, blocked=False)
    partition.commands = [lock, lift]
    partition.changes += [
        by(lock, standing(OURS, THEIRS, locked=True), Mark(1, 2), previous=True),
        by(lift, None, Mark(1, 3), previous=True),
    ]
    assert found(partition) == {"contradictory"}


def test_r30_undoing_a_review_leaves_the_recipients_own_stop() -> None:
    review, undo = a_command(1, kind="review"), a_command(2, blocked=False, kind="review")
    partition = a_history(Mark(1, 1))
    partition.commands = [review, undo]
    both = standing(OURS, Source("review", "C1.a.x", 0))
    partition.changes += [
        by(review, both, Mark(1, 2), previous=True),
        by(undo, standing(OURS), Mark(1, 3), previous=True),
    ]
    assert found(partition) == set()


def test_r21_a_send_without_a_sender_is_refused_once_every_sender_is_blocked() -> None:
    both = Pools(senders={(ACCOUNT, SERVICE): {LONG_CODE, OTHER_LONG_CODE}}, changed_ms=OLD)
    one = Pools(senders={(ACCOUNT, SERVICE): {LONG_CODE}}, changed_ms=OLD)
    partition = a_history(Mark(1, 1))
    pair = Place("sender", LONG_CODE, False)
    partition.changes[0] = replace(partition.changes[0], place=pair)
    verdict = replace(allowed(Mark(1, 1), 300), sender=None, service=SERVICE)
    named = replace(verdict, except_from=frozenset({LONG_CODE}))
    assert found(judged(partition, verdict), both) == {"leak"}  # it does not say whom to leave out
    assert found(judged(partition, named), both) == set()
    assert found(judged(partition, named), one) == {"leak"}
    edited = replace(one, changed_ms={SERVICE: 300})
    assert found(judged(partition, named), edited) == set()  # who was in the pool nobody knows


def lifted(cause: Notification | Command, left: Standing | None) -> set[str]:
    """What is found where a cause took others off a block that had a STOP's, and a command's."""
    partition = a_history(Mark(1, 1))
    partition.commands = [a_command(1)]
    partition.changes.append(by(a_command(1), standing(OURS, THEIRS), Mark(1, 2), previous=True))
    change = a_change(2, left, Mark(1, 3), previous=True)
    if isinstance(cause, Command):
        partition.commands.append(cause)
        partition.changes.append(by(cause, left, Mark(1, 3), previous=True))
    else:
        partition.messages.append(a_text(2))
        partition.notifications.append(cause)
        partition.notified.add(cause.ref)
        partition.changes.append(replace(change, kind="START"))
        if cause.reply_sent != "none":
            partition.replies.append(a_reply(2, "START"))
    return found(partition)


YES = replace(a_match(2, "START", "none"), keyword="yes", effective=False)


@pytest.mark.parametrize(
    ("cause", "left", "is_right"),
    [
        (a_match(2, "START"), None, True),
        (YES, standing(THEIRS), True),
        (YES, standing(OURS), False),
        (a_command(2, blocked=False), None, True),
        (a_command(2, blocked=False, has_reason=False), None, False),
        (a_command(2, blocked=False, kind="review"), None, False),
    ],
)
def test_what_lifts_a_cause_that_is_not_its_own_to_lift_is_found(
    cause: Notification | Command, left: Standing | None, is_right: bool
) -> None:
    assert ("contradictory" in lifted(cause, left)) is not is_right


def test_a_late_start_that_lifts_a_later_stop_is_found() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 2))
    assert found(partition) == set()
    partition.messages[1] = replace(partition.messages[1], said_ms=-1)
    assert found(partition) == {"contradictory"}


def test_a_start_to_another_sender_that_lifts_a_pair_is_found() -> None:
    partition = a_history(Mark(1, 1), Mark(1, 2))
    pair = Place("sender", OTHER_LONG_CODE, False)
    partition.changes = [replace(change, place=pair) for change in partition.changes]
    assert "contradictory" in found(partition)


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"7",
        b"[]",
        b"[1]",
        b"[2,[]]",
        b"[2,7]",
        b'[2,["a","7-7",5]]',
        b'[2,["a","7-7","k1"]]',
        b'[2,["","7-7","k1",5]]',
        b'[2,["z","7-7","k1",5]]',
        b'[2,["a",7,"k1",5]]',
        b'[2,["a","7-7","k1",5,[]]]',
        b'[2,["a","7-7","k1",5,{"only":7}]]',
    ],
)
def test_a_field_of_redis_that_is_no_entry_is_refused_by_its_one_error(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any: the audit then names the entry
        packed_blocks(value)
