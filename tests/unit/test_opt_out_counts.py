"""Values of opt-out-counts.v1."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from processor.core.messages import OptOutType
from processor.errors import RecordError
from processor.statistics import hourly, sums
from processor.wire.opt_out_counts import Counted, counted_of, read, read_model, read_sums, write
from tests.builders import ACCOUNT, NOW_MS, SERVICE, a_match, a_notification, an_inbound

COUNTED = Counted(ACCOUNT, SERVICE, OptOutType.STOP, "MX", "es", "baja", "long_code")


def a_value(**changes: Any) -> bytes:
    _, value = write(COUNTED, 3, NOW_MS)
    return orjson.dumps(orjson.loads(value) | changes)


def test_a_match_is_counted_by_its_service_its_configured_keyword_and_the_sender() -> None:
    match = a_match("stop")
    message = an_inbound(" STOP! ", sender="12345")
    assert counted_of(a_notification(match=match, message=message)) == Counted(
        ACCOUNT, SERVICE, match.kind, match.country, match.language, "stop", "short_code"
    )


def test_what_is_written_is_read() -> None:
    key, value = write(COUNTED, 3, NOW_MS)
    assert key == SERVICE.encode()
    series = hourly.Series(ACCOUNT, SERVICE, OptOutType.STOP, "es")
    assert read(value) == hourly.Counted(series, 3, NOW_MS)
    parts = (("language", "es"), ("keyword", "baja"), ("sender_type", "long_code"))
    assert read_sums(value) == sums.Counted(ACCOUNT, SERVICE, "STOP", 3, NOW_MS, parts)


def test_what_the_last_release_wrote_is_read() -> None:
    value = a_value(language=None)
    for new in (b'"keyword":"baja",', b'"sender_type":"long_code",'):
        assert new in value
        value = value.replace(new, b"")
    assert read_sums(value) == sums.Counted(ACCOUNT, SERVICE, "STOP", 3, NOW_MS)


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
