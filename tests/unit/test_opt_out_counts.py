"""Values of opt-out-counts.v1."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from processor.core.messages import OptOutType
from processor.errors import RecordError
from processor.statistics import hourly
from processor.wire.opt_out_counts import Counted, counted_of, read, read_model, write
from tests.builders import ACCOUNT, NOW_MS, SERVICE, a_match, a_notification

COUNTED = Counted(ACCOUNT, SERVICE, OptOutType.STOP, "MX", "es")


def a_value(**changes: Any) -> bytes:
    _, value = write(COUNTED, 3, NOW_MS)
    return orjson.dumps(orjson.loads(value) | changes)


def test_a_match_is_counted_by_service_kind_country_and_language() -> None:
    match = a_match("stop")
    assert counted_of(a_notification(match=match)) == Counted(
        ACCOUNT, SERVICE, match.kind, match.country, match.language
    )


def test_what_is_written_is_read() -> None:
    key, value = write(COUNTED, 3, NOW_MS)
    assert key == SERVICE.encode()
    series = hourly.Series(ACCOUNT, SERVICE, OptOutType.STOP, "es")
    assert read(value) == hourly.Counted(series, 3, NOW_MS)


def test_without_a_service_the_account_is_the_key() -> None:
    key, value = write(COUNTED._replace(service_sid=None, language=None), 1, NOW_MS)
    assert key == ACCOUNT.encode()
    assert read(value).series == hourly.Series(ACCOUNT, None, OptOutType.STOP, None)


def test_what_is_unusual_is_read_by_the_model() -> None:
    assert read_model(a_value(more="fields")).count == 3
    assert read_model(a_value(second="1970-11-02T12:00:00.000Z")).second.year == 1970


@pytest.mark.parametrize("changes", [{"count": 0}, {"kind": "QUIT"}, {"account_sid": ""}])
def test_what_is_no_count_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(a_value(**changes))


def test_more_than_a_second_can_have_is_refused() -> None:
    with pytest.raises(RecordError, match="count: more than"):
        read(a_value(count=1_000_000_001))
