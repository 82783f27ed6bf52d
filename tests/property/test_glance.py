"""R30: a glance names every text that an assessment finds something in."""

from __future__ import annotations

from functools import cache

from hypothesis import example, given
from hypothesis import strategies as st

from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from processor.suspicion.stems import SEPARATOR, stems
from tests.strategies import bodies as any_bodies
from tests.suspicion import texts
from tests.suspicion.in_force import every_word, words_of

LANGUAGES = st.sampled_from(("en", "es", "fr", "de", "zh", "ar", "hi", "ja", "tr"))


@cache
def glance() -> Glance:
    return Glance(every_word())


@cache
def requests() -> list[str]:
    return [text.body for text in texts.all_known() if text.label == "stop"]


def parts() -> st.SearchStrategy[str]:
    """Pieces that texts are put together of: requests, stems, keywords, signs, anything."""
    return st.one_of(
        st.deferred(lambda: st.sampled_from(requests())),
        st.sampled_from((*stems().strong, *stems().weak)),
        st.sampled_from(sorted(every_word())),
        st.sampled_from((" ", "\n", ". ", "’", "'", SEPARATOR, "?", "🛑", "\u200b", "x", "STOP")),
        st.text(max_size=8),
    )


TEXTS = st.lists(parts(), max_size=5).map("".join)


@given(st.lists(st.one_of(TEXTS, any_bodies), max_size=6), LANGUAGES)
@example(["", "", "stop please"], "en")
@example([SEPARATOR, "stop please", f"a{SEPARATOR}b"], "en")
@example(["please\x1estop"], "en")
@example(["ｓｔｏｐ please", "plz STOP"], "en")
@example(["don’t text me", "m’écrivez plus, arrêtez"], "fr")
def test_no_text_comes_to_something_that_a_glance_does_not_name(
    bodies: list[str], language: str
) -> None:
    named = glance().at(bodies)
    assert list(named) == sorted(set(named))
    words = words_of(language)
    assert {at for at, body in enumerate(bodies) if assess(body, words) is not None} <= {*named}


@given(st.lists(TEXTS, max_size=6))
def test_a_text_is_named_alone_as_it_is_among_others(bodies: list[str]) -> None:
    named = [at for at, body in enumerate(bodies) if body and glance().names(body)]
    assert list(glance().at(bodies)) == named


@given(st.text(min_size=300, max_size=900), st.sampled_from(sorted(every_word())))
def test_of_a_long_text_no_more_is_named_than_read(filling: str, keyword: str) -> None:
    body = f"{filling} {keyword} {filling}"
    if assess(body, words_of("en")) is not None:
        assert glance().at([body]) == [0]
