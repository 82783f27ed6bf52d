"""The figures of the Live page, and the records it shows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import orjson
import pytest

from processor.errors import RecordError
from processor.statistics.live import LastMinute, LiveEvent, Pace, Progress, What, pace_of
from processor.wire.events import write_block_change
from processor.wire.live_events import of_change, of_notification, of_status
from processor.wire.message_statuses import write_refusal
from schemas.outbound_message import OutboundMessage
from tests.builders import (
    ACCOUNT,
    NOW,
    NOW_MS,
    OTHER_ACCOUNT,
    RECIPIENT,
    SERVICE,
    a_block,
    a_change,
)

_EXAMPLES = Path("schemas/examples")
_NOW_S = NOW_MS / 1_000


def _event(seconds_ago: int = 0, account: str = ACCOUNT, what: What = "match") -> LiveEvent:
    return LiveEvent(NOW_MS - 1_000 * seconds_ago, account, SERVICE, what, "…21", "STOP")


def test_the_last_minute_is_counted_for_an_account_and_for_all() -> None:
    minute = LastMinute()
    for event in (
        _event(),
        _event(59),
        _event(60),
        _event(0, OTHER_ACCOUNT),
        _event(what="refusal"),
    ):
        minute.add(event, _NOW_S)
    assert minute.counts(ACCOUNT, _NOW_S) == {"match": 2, "change": 0, "refusal": 1}
    assert minute.counts(None, _NOW_S) == {"match": 3, "change": 0, "refusal": 1}
    assert minute.counts(ACCOUNT, _NOW_S + 1) == {"match": 1, "change": 0, "refusal": 1}
    assert minute.counts(None, _NOW_S + 60) == {"match": 0, "change": 0, "refusal": 0}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (Progress(2.0, 150, 130), Pace(20, 25.0, 20.0)),
        (Progress(2.0, 100, 50), Pace(50, 0.0, 0.0)),  # its offsets were moved back
        (Progress(2.0, 80, 90), Pace(0, 0.0, 0.0)),  # its topic was re-created
    ],
)
def test_the_pace_is_told_by_two_looks(now: Progress, expected: Pace) -> None:
    assert pace_of(Progress(0.0, 100, 90), now) == expected


def test_a_change_and_a_refusal_are_told_without_the_number() -> None:
    send = OutboundMessage(
        message_sid="SM1",
        account_sid=ACCOUNT,
        messaging_service_sid=SERVICE,
        to=RECIPIENT,
        body="Your parcel",
        created_at=datetime.fromisoformat(NOW),
    )
    refusal = of_status(write_refusal(send, a_block(), NOW_MS), NOW_MS)
    told = "Failed with 21610: blocked for the account"
    assert refusal == LiveEvent(NOW_MS, ACCOUNT, SERVICE, "refusal", "…21", told)
    change = of_change(write_block_change(a_change()), NOW_MS)
    told = "Blocked for the account, by keyword"
    assert change == LiveEvent(NOW_MS, ACCOUNT, None, "change", "…21", told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("stop_in_a_country_override", "STOP by “alto” (es, MX), reply: aoo"),
        ("stop_without_aoo", "STOP by “stop” (standard), reply: default"),
        (
            "yes_has_no_effect_at_the_carrier",
            "START by “yes” (standard), reply: none, no effect",
        ),
        ("help_braked", "HELP by “help” (standard), reply: none (limit reached)"),
    ],
)
def test_a_match_is_told_by_its_keyword_not_by_the_body(name: str, told: str) -> None:
    value = (_EXAMPLES / "opt-out-notifications.v1" / f"{name}.json").read_bytes()
    assert of_notification(value, NOW_MS).text == told


def test_what_carriers_say_is_no_refusal() -> None:
    for path in (_EXAMPLES / "message-statuses.v1").glob("*as_carriers_say.json"):
        assert of_status(path.read_bytes(), NOW_MS) is None
        spoken = orjson.loads(path.read_bytes()) | {"error_message": "21610"}
        assert of_status(orjson.dumps(spoken), NOW_MS) is None


def test_what_is_counted_ahead_of_its_time_is_of_now_and_is_forgotten_like_it() -> None:
    minute = LastMinute()
    for hours in range(100):
        minute.add(_event(-3_600 * hours), _NOW_S)
    assert minute.counts(None, _NOW_S)["match"] == 100
    assert minute.counts(None, _NOW_S + 60)["match"] == 0


@pytest.mark.parametrize("at_ms", [-1, 1 << 62])
def test_a_time_that_no_page_can_show_is_refused(at_ms: int) -> None:
    with pytest.raises(RecordError):
        of_change(write_block_change(a_change()), at_ms)
