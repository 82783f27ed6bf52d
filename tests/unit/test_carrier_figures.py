"""The figures of carriers: counted, written when worth it, and added up over processes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from processor.statistics.carrier_figures import ErrorSeen, Figure, Part, Quiet, State, Tally
from processor.statistics.carrier_history import CarrierHistory, PartNow
from processor.wire.carrier_figures import read, write
from tests.builders import NOW_MS

NAME = "twilio-us"
BEGIN_MS = NOW_MS // 10_000 * 10_000
STATE = State(waiting=3, paused=True, at_limit=True, closed=("auth_token",))


def a_figure(
    seconds_ago: float = 0, process: str = "0" * 8, part: Part = "outbound", **counts: int
) -> Figure:
    return Figure(NAME, process, part, BEGIN_MS - round(1_000 * seconds_ago), counts)


def a_history(*figures: Figure) -> CarrierHistory:
    made = CarrierHistory()
    for one in figures:
        made.add(one, BEGIN_MS)
    return made


def test_what_is_written_is_read() -> None:
    errors = (ErrorSeen("answered 503", None, 2, NOW_MS), ErrorSeen("rejected", 21211, 1, NOW_MS))
    figure = Figure(NAME, "0a1b2c3d", "outbound", NOW_MS, {"sent": 2}, errors, STATE)
    key, value = write(figure)
    assert (key, read(value)) == (NAME.encode(), figure)


def test_a_quiet_figure_has_no_fields_but_its_place_and_time() -> None:
    _, value = write(a_figure())
    assert orjson.loads(value).keys() == {"carrier", "process", "part", "until"}
    assert read(value) == a_figure()


@pytest.mark.parametrize(
    "changes", [{"counts": {"sent": -1}}, {"process": "this machine"}, {"part": "both"}]
)
def test_a_value_that_is_no_figure_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(orjson.dumps(orjson.loads(write(a_figure())[1]) | changes))


def test_a_tally_is_empty_once_it_is_taken() -> None:
    tally = Tally()
    tally.count(NAME, "sent")
    tally.count(NAME, "sent", 4)
    tally.error(NAME, "answered 503", NOW_MS - 5)
    tally.error(NAME, "answered 503", NOW_MS)
    states = {NAME: STATE}
    [taken] = tally.take("outbound", "0a1b2c3d", states, NOW_MS)
    errors = (ErrorSeen("answered 503", None, 2, NOW_MS),)
    assert taken == Figure(NAME, "0a1b2c3d", "outbound", NOW_MS, {"sent": 5}, errors, STATE)
    [again] = tally.take("outbound", "0a1b2c3d", {NAME: State()}, NOW_MS)
    assert again.is_quiet


def test_a_carrier_that_was_deleted_has_no_figure() -> None:
    tally = Tally()
    tally.count(NAME, "sent")
    assert tally.take("outbound", "0a1b2c3d", {}, NOW_MS) == []


def test_a_tally_keeps_twenty_kinds_of_errors_in_at_most_200_characters() -> None:
    tally = Tally()
    for code in range(30):
        tally.error(NAME, "x" * 300, NOW_MS, code)
    tally.error(NAME, "x" * 300, NOW_MS, 3)
    [taken] = tally.take("outbound", "0a1b2c3d", {NAME: State()}, NOW_MS)
    assert [one.code for one in taken.errors] == list(range(20))
    assert (len(taken.errors[3].what), taken.errors[3].count) == (200, 2)
    assert read(write(taken)[1]) == taken


def test_a_quiet_carrier_is_written_when_it_becomes_quiet_and_then_once_a_minute() -> None:
    quiet = Quiet(every_ms=60_000)
    ages_s = (200, 190, 180, 170, 130, 121, 120)
    figures = [a_figure(ages_s[0], sent=1), *(a_figure(age_s) for age_s in ages_s[1:])]
    written = [one for figure in figures for one in quiet.worth([figure])]
    assert [(BEGIN_MS - one.until_ms) // 1_000 for one in written] == [200, 190, 130]


def test_processes_are_added_up() -> None:
    history = a_history(
        a_figure(9, "a" * 8, sent=10, retried=1),
        a_figure(5, "b" * 8, sent=20),
        a_figure(4, "b" * 8, "inbound", accepted=7),
    )
    now = history.of(NAME, "outbound", BEGIN_MS)
    assert (now.processes, now.minute, now.hour) == (2, *2 * ({"sent": 30, "retried": 1},))
    assert (now.of_minute("sent", "retried"), now.of_hour("failed")) == (31, 0)
    assert history.of(NAME, "inbound", BEGIN_MS).minute == {"accepted": 7}
    assert history.of("another", "inbound", BEGIN_MS) == PartNow()


def test_a_minute_has_six_whole_records_and_an_hour_all() -> None:
    figures = [a_figure(ago, sent=1) for ago in range(70, 0, -10)]
    now = a_history(*figures, a_figure(0, sent=1)).of(NAME, "outbound", BEGIN_MS)
    assert (now.minute, now.hour) == ({"sent": 6}, {"sent": 8})


def test_after_an_hour_counts_and_errors_are_forgotten() -> None:
    errors = (ErrorSeen("answered 503", None, 2, BEGIN_MS),)
    history = a_history(Figure(NAME, "0" * 8, "outbound", BEGIN_MS, {"sent": 1}, errors))
    later = history.of(NAME, "outbound", BEGIN_MS + 3_620_000)
    assert (later.hour, later.errors, later.processes) == ({}, [], 0)


def test_the_state_is_that_of_every_process_which_still_writes() -> None:
    history = a_history(
        Figure(NAME, "a" * 8, "outbound", BEGIN_MS - 95_000, {}, (), State(waiting=100)),
        Figure(NAME, "b" * 8, "outbound", BEGIN_MS, {}, (), State(2, paused=True, at_limit=True)),
        Figure(NAME, "c" * 8, "outbound", BEGIN_MS, {}, (), State(1, closed=("api_key",))),
    )
    now = history.of(NAME, "outbound", BEGIN_MS)
    assert (now.processes, now.waiting, now.paused, now.at_limit) == (2, 3, 1, 1)
    assert now.closed == ["api_key"]


def test_an_older_record_of_a_process_does_not_replace_a_newer_one() -> None:
    history = a_history(
        Figure(NAME, "a" * 8, "outbound", BEGIN_MS, {}, (), State(waiting=1)),
        Figure(NAME, "a" * 8, "outbound", BEGIN_MS - 10_000, {}, (), State(waiting=9)),
    )
    assert history.of(NAME, "outbound", BEGIN_MS).waiting == 1


def test_errors_of_a_kind_are_one_line_the_newest_first() -> None:
    def with_errors(*errors: ErrorSeen) -> Figure:
        return Figure(NAME, "a" * 8, "outbound", BEGIN_MS, {}, errors)

    history = a_history(
        with_errors(ErrorSeen("answered 503", None, 2, BEGIN_MS - 9_000)),
        with_errors(ErrorSeen("rejected", 21211, 1, BEGIN_MS - 5_000)),
        with_errors(ErrorSeen("answered 503", None, 3, BEGIN_MS - 1_000)),
    )
    assert history.of(NAME, "outbound", BEGIN_MS).errors == [
        ErrorSeen("answered 503", None, 5, BEGIN_MS - 1_000),
        ErrorSeen("rejected", 21211, 1, BEGIN_MS - 5_000),
    ]


def test_a_process_whose_clock_is_ahead_counts_as_now() -> None:
    history = a_history(a_figure(-500, sent=2))
    assert history.of(NAME, "outbound", BEGIN_MS + 10_000).minute == {"sent": 2}
