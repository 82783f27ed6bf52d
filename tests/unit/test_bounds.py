"""Memory under keys that tenants choose is bounded, however often they write."""

from __future__ import annotations

import pytest

from processor.core import policy
from processor.core.services import Directory
from processor.http import limits
from processor.http.errors import ApiError
from processor.http.limits import RateLimit
from processor.wire.sized_cache import sized_cache
from tests.builders import ACCOUNT, LONG_CODE, SERVICE, a_config, a_service, sets


def test_a_sized_cache_keeps_the_latest_used_up_to_so_many_bytes() -> None:
    made: list[bytes] = []

    @sized_cache(10)
    def length(value: bytes) -> int:
        made.append(value)
        return len(value)

    for value in (b"aaaa", b"bbbb", b"aaaa", b"cccc", b"aaaa", b"bbbb"):
        assert length(value) == 4
    assert made == [b"aaaa", b"bbbb", b"cccc", b"bbbb"]  # c replaced b, as a had been used since
    for _ in range(2):
        assert length(b"x" * 11) == 11
    assert made[4:] == [b"x" * 11] * 2  # larger than the whole cache
    assert length(b"") == 0


def test_a_sized_cache_may_be_asked_while_it_makes() -> None:
    @sized_cache(100)
    def doubled(value: bytes) -> bytes:
        return doubled(value[1:]) + value[:1] * 2 if value else b""

    assert doubled(b"abc") == doubled(b"abc") == b"ccbbaa"


def test_a_service_that_is_edited_for_ever_leaves_nothing_behind() -> None:
    directory, sizes = Directory(), set()
    for edit in range(60):
        words = ", ".join(f"word{edit + 100} {number}" for number in range(1_000))
        config = a_config(standard=sets("standard", stop=f"stop, {words}"))
        directory.change({SERVICE: a_service(active=config)})
        sizes.add(len(directory.prefilter))
        assert directory.may_match(f"word{edit + 100} 7")
        assert not directory.may_match(f"word{edit + 99} 7")
        for sender in (LONG_CODE, f"+1555000{edit:04}"):
            assert directory.handling(ACCOUNT, SERVICE, sender).policy is not None
    assert len(sizes) == 1
    assert directory._kept == 2
    assert len(directory._names) == 2
    assert len(policy._known) <= policy._KNOWN_LIMIT


def test_the_account_that_asked_longest_ago_is_forgotten_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "_KEPT", 2)
    limit = RateLimit(0.5, clock_s=lambda: 0.0)
    for account in ("one", "two"):
        limit.take(account)
        with pytest.raises(ApiError):
            limit.take(account)
    limit.take("three")
    with pytest.raises(ApiError):  # a flood from other accounts does not refill its bucket
        limit.take("two")
    limit.take("one")
    assert len(limit._buckets) == 2
