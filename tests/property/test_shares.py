"""Partitions are shared out evenly, and as few as possible move."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from processor.kafka.lanes.assignor import NOTHING, Owned, shares

COUNTS = st.integers(0, 40)
OWNED = st.builds(Owned, st.integers(-1, 5), st.frozensets(st.integers(0, 50)))
MEMBERS = st.dictionaries(st.text(max_size=3), OWNED, min_size=1, max_size=8)


@given(COUNTS, MEMBERS)
def test_each_partition_has_one_member_and_none_has_two_more_than_another(
    count: int, members: Mapping[str, Owned]
) -> None:
    found = shares(count, members)
    assert found.keys() == members.keys()
    assert sorted(one for share in found.values() for one in share) == list(range(count))
    sizes = [len(share) for share in found.values()]
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS, MEMBERS)
def test_what_is_even_already_stays(count: int, members: Mapping[str, Owned]) -> None:
    once = shares(count, members)
    again = {member: Owned(7, frozenset(share)) for member, share in once.items()}
    assert shares(count, again) == once


@given(COUNTS, MEMBERS, st.data())
def test_who_stays_loses_only_what_a_newcomer_gets_and_keeps_all_where_one_leaves(
    count: int, members: Mapping[str, Owned], data: st.DataObject
) -> None:
    before = shares(count, members)
    owned = {member: Owned(7, frozenset(share)) for member, share in before.items()}
    joined = shares(count, owned | {"newcomer": NOTHING})
    for member, share in before.items():
        assert joined[member] <= share
    if len(owned) > 1:
        owned.pop(data.draw(st.sampled_from(sorted(owned))))
        for member, share in shares(count, owned).items():
            assert share >= before[member]


def test_the_latest_owner_is_believed() -> None:
    members = {"woken": Owned(3, frozenset({0, 1})), "taker": Owned(4, frozenset({0, 1}))}
    assert shares(4, members) == {"taker": {0, 1}, "woken": {2, 3}}
