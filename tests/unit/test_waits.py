"""Limits of waiting requests by account; accounts do not wait for each other."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from processor.http import waits
from processor.http.waits import Waits


def test_an_account_waits_so_often_at_once_and_others_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waits, "_MOST_EACH", 2)
    known = Waits()
    with ExitStack() as first, ExitStack() as others:
        assert [first.enter_context(known.one_of("AC1")) for _ in range(2)] == [True, True]
        assert [others.enter_context(known.one_of(sid)) for sid in ("AC1", "AC2")] == [False, True]
        first.close()
        assert others.enter_context(known.one_of("AC1"))
    assert known._waiting.total() == 0


def test_all_together_wait_so_often_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "_MOST", 3)
    known = Waits()
    with ExitStack() as stack:
        may = [stack.enter_context(known.one_of(f"AC{number}")) for number in range(5)]
    assert may == [True, True, True, False, False]
