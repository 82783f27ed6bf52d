"""Sums by hour, day and month: which hashes and fields a count goes into, and what a page reads."""

from __future__ import annotations

from datetime import date

from processor.statistics.hourly import ALL
from processor.statistics.sums import (
    NOBODY,
    Bucket,
    Counted,
    Sums,
    months_until,
    summed,
    together,
)
from tests.builders import ACCOUNT, SERVICE

DAY_MS = 86_400_000
SPANISH = (("language", "es"), ("keyword", "baja"), ("sender_type", "toll_free"))


def test_a_count_is_in_the_hour_the_day_and_the_month_of_its_service_and_of_those_above() -> None:
    noon = 1_793_620_800_000  # 2026-11-02T12:00
    found = summed([Counted(ACCOUNT, SERVICE, "STOP", 3, noon, SPANISH)], noon)
    parts = {"language:STOP:es": 3, "keyword:STOP:baja": 3, "sender_type:STOP:toll_free": 3}
    for of in ((ALL, ALL), (ACCOUNT, ALL), (ACCOUNT, SERVICE)):
        assert found.pop(Bucket(*of, "2026")) == {"at:STOP:11": 3}
        assert found.pop(Bucket(*of, "2026-11")) == {"at:STOP:02": 3} | parts
        assert found.pop(Bucket(*of, "2026-11-02")) == {"at:STOP:12": 3} | parts
    for period in ("2026-11", "2026-11-02"):
        assert found.pop(Bucket(ALL, ALL, period, of=True)) == {f"of:STOP:{ACCOUNT}": 3}
        assert found.pop(Bucket(ACCOUNT, ALL, period, of=True)) == {f"of:STOP:{SERVICE}": 3}
    assert found == {}


def test_what_is_too_old_is_in_no_day_and_what_is_from_the_future_in_nothing() -> None:
    noon = 1_793_620_800_000
    old = summed([Counted(ACCOUNT, None, "refused", 1, noon - 40 * DAY_MS)], noon)
    assert {bucket.period for bucket in old} == {"2026", "2026-09"}
    assert {bucket.service_sid for bucket in old} == {ALL, NOBODY}
    assert summed([Counted(ACCOUNT, None, "refused", 1, noon - 800 * DAY_MS)], noon) == {}
    assert summed([Counted(ACCOUNT, None, "refused", 1, noon + DAY_MS)], noon) == {}


def test_hashes_of_several_partitions_are_added_up() -> None:
    sums = together([{"at:STOP:02": 3, "of:STOP:MG:a": 3}, {"at:STOP:02": 1, "at:START:31": 7}, {}])
    assert (sums.at("STOP"), sums.at("START"), sums.at("HELP")) == ({2: 4}, {31: 7}, {})
    assert (sums.total("STOP"), sums.by("of", "STOP")) == (4, {"MG:a": 3})
    assert Sums({}).total("STOP") == 0


def test_the_last_thirteen_months_reach_over_the_turn_of_the_year() -> None:
    months = months_until(date(2026, 2, 28))
    assert (len(months), months[0], months[-3:]) == (
        13,
        "2025-02",
        ["2025-12", "2026-01", "2026-02"],
    )
