"""R18: the order of merging does not matter, and a block stops all that its causes stop."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from processor.core.blocks import Block, Intents
from processor.core.merging import differs, merged, union, without
from tests.builders import a_place
from tests.strategies import blocks, intents

INTENTS = ("otp", "marketing", "alerts", "something new")
in_one_place: st.SearchStrategy[Block] = blocks().map(
    lambda block: replace(block, **a_place()._asdict())
)


def stops(limits: Intents, intent: str) -> bool:
    return intent in limits.only if limits.only is not None else intent not in limits.but


@given(intents, intents)
def test_r18_the_union_stops_exactly_what_either_stops(one: Intents, other: Intents) -> None:
    both = union(one, other)
    for intent in INTENTS:
        assert stops(both, intent) is (stops(one, intent) or stops(other, intent))


@given(st.lists(in_one_place, min_size=2, max_size=4))
def test_r18_merging_is_commutative_and_associative(several: list[Block]) -> None:
    assert len({reduce(merged, order) for order in permutations(several)}) == 1


@given(in_one_place, in_one_place)
def test_r18_merging_again_changes_nothing_and_loses_nothing(one: Block, other: Block) -> None:
    both = merged(one, other)
    assert merged(both, other) == merged(both, one) == merged(both, both) == both
    kinds = {source.kind for source in both.sources}
    assert kinds == {source.kind for source in (*one.sources, *other.sources)}
    assert len(both.sources) == len(kinds)
    assert both.locked is (one.locked or other.locked)


@given(in_one_place, st.data())
def test_r30_a_block_stands_as_long_as_one_cause_does(block: Block, data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.sampled_from(block.sources)))
    left = without(block, lost)
    assert (left is None) is (len(lost) == len(block.sources))
    if left is not None:
        assert (left.intents, left.locked) == (block.intents, block.locked)
        assert differs(left, block) is bool(lost)
