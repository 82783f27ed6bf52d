"""How long a fetch waits for records."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from processor.kafka.lanes.round_trips import fetch_without_the_busy

USUAL_MS = 100


def waits_ms(*ages_s: float) -> int:
    """The wait of a fetch while records of these ages are not read yet."""
    now = time.monotonic()
    unread = {age_s: SimpleNamespace(_created=now - age_s) for age_s in ages_s}
    fetcher: Any = SimpleNamespace(_records=unread, _fetch_max_wait_ms=USUAL_MS)
    fetcher._get_actions_per_node = lambda assignment: fetcher._fetch_max_wait_ms
    fetch_without_the_busy(fetcher)
    found: int = fetcher._get_actions_per_node(None)
    return found


def test_a_fetch_is_short_while_a_lane_is_busy_and_usual_where_one_is_stuck() -> None:
    assert waits_ms() == USUAL_MS
    assert waits_ms(0.0) == waits_ms(60.0, 0.1) == 10
    assert waits_ms(60.0) == USUAL_MS
