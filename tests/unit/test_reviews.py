"""R30: the review of a text, and the topics that hold both."""

from __future__ import annotations

import json

import pytest

from processor.core.due import due_ms
from processor.core.identity import text_id_of
from processor.core.reviews import Act, State, Step, label_of, step
from processor.core.suspected import TierPolicy
from processor.wire.events import write_suspected
from processor.wire.json_values import to_text
from processor.wire.suspected import (
    ReviewEntry,
    TextEntry,
    entry_of,
    language_of,
    read_review,
    read_text,
    recipient_of,
    review_entry,
    suspicion_fields,
    text_entry,
    write_review,
)
from tests.builders import (
    ACCOUNT,
    ENTRY,
    NOW,
    NOW_MS,
    RECIPIENT,
    SERVICE,
    WHATSAPP_RECIPIENT,
    a_finding,
    a_report,
    a_review,
    an_inbound,
)

OPEN, BLOCKED, CONFIRMED, DISMISSED, UNDONE, OVERDUE = State
CONFIRM, DISMISS, UNDO, LET_BLOCK = Act


@pytest.mark.parametrize(
    ("before", "act", "wanted"),
    [
        (OPEN, CONFIRM, Step(CONFIRMED, blocked=True)),
        (OPEN, DISMISS, Step(DISMISSED, blocked=None)),
        (OPEN, LET_BLOCK, Step(OVERDUE, blocked=True)),
        (OPEN, UNDO, None),
        (BLOCKED, CONFIRM, Step(CONFIRMED, blocked=True)),
        (BLOCKED, UNDO, Step(UNDONE, blocked=False)),
        (BLOCKED, DISMISS, None),
        (CONFIRMED, UNDO, Step(UNDONE, blocked=False)),
        (CONFIRMED, CONFIRM, None),
        (DISMISSED, UNDO, Step(OPEN, blocked=None)),
        (DISMISSED, CONFIRM, Step(CONFIRMED, blocked=True)),
        (DISMISSED, LET_BLOCK, None),
        (UNDONE, CONFIRM, Step(CONFIRMED, blocked=True)),
        (UNDONE, UNDO, None),
        (OVERDUE, CONFIRM, Step(CONFIRMED, blocked=True)),
        (OVERDUE, UNDO, Step(UNDONE, blocked=False)),
    ],
)
def test_r30_a_review_goes_from_one_state_to_the_next(
    before: State, act: Act, wanted: Step | None
) -> None:
    assert step(before, act) == wanted


@pytest.mark.parametrize("other", [BLOCKED, CONFIRMED, OVERDUE])
def test_r30_an_undo_leaves_the_block_that_another_text_needs(other: State) -> None:
    assert step(CONFIRMED, UNDO, [DISMISSED, other]) == Step(UNDONE, blocked=None)
    assert step(CONFIRMED, UNDO, [OPEN, DISMISSED, UNDONE]) == Step(UNDONE, blocked=False)


def test_r30_only_a_person_labels_a_text() -> None:
    labels = {state: label_of(state) for state in State}
    assert labels == {
        OPEN: None,
        BLOCKED: None,
        CONFIRMED: "stop",
        DISMISSED: "not",
        UNDONE: "not",
        OVERDUE: None,
    }


# The topics


def test_r30_a_report_is_written_whole() -> None:
    report = a_report(message=an_inbound("please stop"))
    assert json.loads(write_suspected(report)) == {
        "message_sid": report.message.message_sid,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": RECIPIENT,
        "to": report.message.sender,
        "body": "please stop",
        "user_id": None,
        "from_country": "US",
        "num_media": 0,
        "carrier_replied": False,
        "received_at": NOW,
        "text_id": text_id_of(report.message),
        "country": "US",
        "suspected": {
            "tier": "phrase",
            "score": 1.0,
            "reasons": ["courtesy"],
            "policy": "report",
        },
        "overdue": "block",
        "due_at": to_text(due_ms(NOW_MS)),
        "config_version": 3,
        "aoo_enabled": True,
        "at": NOW,
    }


def test_a_report_is_read_as_it_was_written() -> None:
    value = write_suspected(a_report())
    text = read_text(value)
    assert (entry_of(text), recipient_of(text)) == (ENTRY, RECIPIENT)
    assert text_entry(value) == TextEntry(
        text.text_id, ACCOUNT, ENTRY, due_ms(NOW_MS), NOW_MS, value
    )
    blocked = write_suspected(a_report(finding=a_finding(policy=TierPolicy.BLOCK)))
    assert text_entry(blocked).due_ms is None


def test_r21_a_text_on_whatsapp_is_about_that_list() -> None:
    on_whatsapp = a_report(message=an_inbound("please stop", recipient=WHATSAPP_RECIPIENT))
    text = read_text(write_suspected(on_whatsapp))
    assert (entry_of(text), recipient_of(text)) == (f"{ACCOUNT}/{WHATSAPP_RECIPIENT}", RECIPIENT)


def test_r32_a_review_names_the_person_by_the_subscriber_key() -> None:
    mexican = a_report(message=an_inbound("please stop", recipient="+5215555550101"))
    text = read_text(write_suspected(mexican))
    assert (entry_of(text), recipient_of(text)) == (f"{ACCOUNT}/+525555550101", "+525555550101")


def test_r22_two_messages_with_one_sid_are_two_texts() -> None:
    ids = {text_id_of(an_inbound(sender=sender)) for sender in ("12345", "12346")}
    assert len(ids) == 2


def test_the_language_of_a_text_is_in_its_reasons() -> None:
    finding = a_finding(reasons=("courtesy", "language:es"), policy=TierPolicy.REPORT)
    assert language_of(read_text(write_suspected(a_report(finding=finding)))) == "es"
    assert language_of(read_text(write_suspected(a_report()))) is None


def test_a_keyword_has_no_suspicion() -> None:
    assert suspicion_fields(None) is None


def test_a_review_is_read_as_it_was_written() -> None:
    review = a_review()
    value = write_review(review)
    assert read_review(value) == review
    assert review_entry(value) == ReviewEntry(review.text_id, ACCOUNT, 1, CONFIRMED, NOW_MS, value)
