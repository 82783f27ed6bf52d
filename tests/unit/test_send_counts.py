"""Values of send-counts.v1."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from processor.errors import RecordError
from processor.statistics.sums import Counted
from processor.wire.send_counts import Judged, read, write
from tests.builders import ACCOUNT, NOW_MS, SERVICE

JUDGED = Judged(ACCOUNT, SERVICE, "refused")


def a_value(**changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(write(JUDGED, 3, NOW_MS)[1]) | changes)


def test_what_is_written_is_read() -> None:
    key, value = write(JUDGED, 3, NOW_MS)
    assert (key, read(value)) == (
        SERVICE.encode(),
        Counted(ACCOUNT, SERVICE, "refused", 3, NOW_MS),
    )


def test_without_a_service_the_account_is_the_key() -> None:
    key, value = write(JUDGED._replace(service_sid=None), 1, NOW_MS)
    assert (key, read(value).service_sid) == (ACCOUNT.encode(), None)


@pytest.mark.parametrize("changes", [{"count": 0}, {"verdict": "maybe"}, {"account_sid": ""}])
def test_what_is_no_count_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(a_value(**changes))


def test_more_than_ten_seconds_can_have_is_refused() -> None:
    with pytest.raises(RecordError, match="count: more than"):
        read(a_value(count=1_000_000_001))
