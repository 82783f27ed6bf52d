"""R13: normalising twice is the same as once."""

from __future__ import annotations

from hypothesis import example, given

from processor.core.normalise import clean, exact, tolerant
from processor.core.prefilter import ends_of, root_of
from processor.core.readings import readings
from tests.strategies import bodies, outside, words


@given(bodies)
@example("\u1e9e")
@example("İ")
@example("\u0345\u0301")
@example('".stop."')
@example("'\"stop\"'")
@example("\u00b4\u200bstop")
def test_r13_exact_twice_is_once(text: str) -> None:
    assert exact(exact(text)) == exact(text)


@given(bodies)
@example("(start)\u0301")
def test_r13_clean_twice_is_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(bodies)
@example("ѕ\u200bтоp")
@example("\"'.a'.\"")
@example('"stop".".')
@example('\u0301"stop"')
@example("στοπ;")
@example("а;α")
def test_r13_tolerant_twice_is_once(text: str) -> None:
    assert tolerant(tolerant(text)) == tolerant(text)


@given(bodies)
def test_r13_texts_equal_by_exact_are_equal_by_clean_and_tolerant(text: str) -> None:
    assert clean(exact(text)) == clean(text)
    assert tolerant(exact(text)) == tolerant(text)


@given(bodies)
def test_r13_the_first_reading_of_a_body_is_its_tolerant_form(text: str) -> None:
    found = readings(text)
    assert (found.stop[0], found.start) == (tolerant(text), clean(text))


@given(words, outside, outside)
def test_r13_outer_decoration_makes_no_difference(word: str, before: str, after: str) -> None:
    assert tolerant(before + word + after) == tolerant(word)


@given(bodies.filter(str.isascii))
@example("stop\nstop")
def test_an_ascii_text_has_the_root_of_its_forms(text: str) -> None:
    found = readings(text)
    forms = (exact(text), found.start, *found.stop, *found.help)
    assert {root_of(form) for form in forms} == {root_of(text)}


@given(bodies)
@example("ℌＥＬＰ\u0300")
def test_a_text_has_the_ends_of_its_wider_forms(text: str) -> None:
    assert ends_of(text) == ends_of(exact(text)) == ends_of(clean(text)) == ends_of(tolerant(text))
