"""The checker's model: what a verdict's mark may mean, and what must come of matches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.audit.check import check
from processor.audit.records import (
    COMMANDS,
    Change,
    Command,
    Mark,
    Message,
    Notification,
    Partition,
    Place,
    Reply,
    Send,
    Verdict,
)
from processor.audit.report import Findings
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT

HERE = Place(ACCOUNT, "account", "", False)
DIED = Mark(1, 3)


def a_text(number: int) -> Message:
    return Message(f"M{number}", number, 100 * number, RECIPIENT, said=number, is_reserved=True)


def a_match(number: int, kind: str, reply_sent: str = "default") -> Notification:
    return Notification(
        *(f"M{number}", number, 1_000, RECIPIENT),
        account=ACCOUNT,
        service=None,
        sender=LONG_CODE,
        kind=kind,
        effective=True,
        reply_sent=reply_sent,
        said=number,
    )


def a_reply(number: int, kind: str) -> Reply:
    return Reply(f"M{number}", number, 1_000, RECIPIENT, LONG_CODE, kind)


def a_change(number: int, blocked: bool, mark: Mark) -> Change:
    return Change(
        *(f"M{number}.account", number, 1_000, RECIPIENT),
        place=HERE,
        blocked=blocked,
        previous=not blocked,
        since_ms=0,
        mark=mark,
        cause=f"M{number}",
        kind="STOP" if blocked else "START",
        moved=False,
    )


def a_history(*marks: Mark) -> Partition:
    """STOP and START by turns, the changes of each with its mark."""
    partition = Partition(0)
    for number, mark in enumerate(marks):
        kind = "START" if number % 2 else "STOP"
        partition.messages.append(a_text(number))
        partition.notifications.append(a_match(number, kind))
        partition.replies.append(a_reply(number, kind))
        partition.changes.append(a_change(number, kind == "STOP", mark))
    partition.notified = {one.id for one in partition.notifications}
    partition.touched = {RECIPIENT}  # the list is another check's
    return partition


def allowed(mark: Mark, at_ms: int, after: Mark | None = None) -> Verdict:
    return Verdict("S1", 0, at_ms, RECIPIENT, ACCOUNT, None, LONG_CODE, 7, mark, after, None)


def found(partition: Partition) -> set[str]:
    findings = Findings()
    partition.committed = {COMMANDS: 10}
    check(partition, {}, findings, skew_ms=0, dedupe_ms=1_000_000)
    return {violation.kind for violation in findings.violations}


def judged(partition: Partition, verdict: Verdict) -> Partition:
    partition.sends = [Send("S1", 0, 0, RECIPIENT, 7, None)]
    partition.verdicts = [verdict]
    return partition


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
    partition.notified.add("M2")
    assert found(partition) == {"lost"}


def test_a_notification_of_another_text_contradicts_it() -> None:
    partition = a_history(Mark(1, 1))
    partition.messages[0] = Message("M0", 0, 0, RECIPIENT, said=9, is_reserved=True)
    assert found(partition) == {"contradictory"}


@pytest.mark.parametrize(("blocked", "kinds"), [(True, set()), (False, {"lost"})])
def test_the_list_follows_every_command(blocked: bool, kinds: set[str]) -> None:
    partition = Partition(0, touched={RECIPIENT})
    partition.commands = [Command("C1", 0, 0, RECIPIENT, HERE, blocked=True, said_ms=0)]
    if blocked:
        change = replace(a_change(0, True, Mark(1, 1)), id="C1.account", cause="C1", kind=None)
        partition.changes = [change]
    assert found(partition) == kinds
