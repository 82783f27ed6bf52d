"""However counts are spread over batches, their sums are the same, and each whole is its parts'."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from processor.statistics.hourly import ALL
from processor.statistics.sums import KEPT_DAYS, Bucket, Counted, summed, together

NOW_MS = 1_793_620_800_000  # 2026-11-02T12:00 UTC
_DAY_MS = 86_400_000

counts = st.builds(
    Counted,
    st.sampled_from(["AC1", "AC2"]),
    st.sampled_from(["MG1", "MG2", None]),
    st.sampled_from(["STOP", "START", "refused"]),
    st.integers(1, 1_000),
    st.integers(NOW_MS - (KEPT_DAYS - 2) * _DAY_MS, NOW_MS),
    st.sampled_from([(), (("language", "es"),), (("language", "fr"), ("keyword", "arrêt"))]),
)


def _merged(*batches: dict[Bucket, Counter[str]]) -> dict[Bucket, Counter[str]]:
    found: dict[Bucket, Counter[str]] = {}
    for batch in batches:
        for bucket, fields in batch.items():
            found.setdefault(bucket, Counter()).update(fields)
    return found


@given(st.lists(counts, max_size=30), st.integers(0, 30))
def test_two_batches_add_up_to_what_one_has(counted: list[Counted], cut: int) -> None:
    parts = summed(counted[:cut], NOW_MS), summed(counted[cut:], NOW_MS)
    assert _merged(*parts) == summed(counted, NOW_MS)


@given(st.lists(counts, max_size=30))
def test_every_whole_is_the_sum_of_its_parts(counted: list[Counted]) -> None:
    found = summed(counted, NOW_MS)
    stops = Counter[str]()
    for one in counted:
        if one.kind == "STOP":
            stops[one.account_sid] += one.count
    for account in ("AC1", "AC2"):
        of = [fields for bucket, fields in found.items() if bucket[:2] == (account, ALL)]
        years = [one for bucket, one in found.items() if bucket[:3] == (account, ALL, "2026")]
        assert together(years).total("STOP") == stops[account]
        assert sum(together(of).by("of", "STOP").values()) == 2 * stops[account]  # days, months
        months = [one for bucket, one in found.items() if bucket[:2] == (account, ALL)]
        services = [
            fields
            for bucket, fields in found.items()
            if bucket.account_sid == account and bucket.service_sid != ALL
        ]
        assert together(services).total("STOP") == together(months).total("STOP")
    everybody = [one for bucket, one in found.items() if bucket[:3] == (ALL, ALL, "2026")]
    assert together(everybody).total("STOP") == stops.total()
