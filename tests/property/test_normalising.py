"""R13: normalising twice is the same as once."""

from __future__ import annotations

from hypothesis import example, given

from processor.core.normalise import core_of, exact, tolerant
from tests.strategies import bodies, outside, words


@given(bodies)
@example("\u1e9e")
@example("İ")
@example("\u0345\u0301")
@example('".stop."')
@example("'\"stop\"'")
def test_r13_exact_twice_is_once(text: str) -> None:
    assert exact(exact(text)) == exact(text)


@given(bodies)
@example("ѕ\u200bтоp")
@example("\"'.a'.\"")
@example('"stop".".')
@example('́"stop"')
def test_r13_tolerant_twice_is_once(text: str) -> None:
    assert tolerant(tolerant(text)) == tolerant(text)


@given(bodies)
def test_r13_texts_equal_by_exact_are_equal_by_tolerant(text: str) -> None:
    assert tolerant(exact(text)) == tolerant(text)


@given(words, outside, outside)
def test_r13_outer_decoration_makes_no_difference(word: str, before: str, after: str) -> None:
    assert tolerant(before + word + after) == tolerant(word)


@given(bodies.filter(str.isascii))
def test_an_ascii_text_has_the_core_of_its_forms(text: str) -> None:
    assert core_of(exact(text)) == core_of(tolerant(text)) == core_of(text)
