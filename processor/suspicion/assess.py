"""Whether a text that matched no keyword asks for an end (R30)."""

from __future__ import annotations

from functools import lru_cache

from processor.suspicion.company import companies
from processor.suspicion.glance import Glance
from processor.suspicion.keywords import Keywords, compiled, is_other_word
from processor.suspicion.lexicon import languages_of, lexicons
from processor.suspicion.phrases import phrase_in
from processor.suspicion.reading import capped, tokens_of
from processor.suspicion.score import model, score_of
from processor.suspicion.values import StopWords, Suspicion, SuspicionTier


def assess(body: str, words: StopWords) -> Suspicion | None:
    """Read a text for a request to stop; None for an ordinary message.

    Args:
        body: the text as received; no keyword matched it. Of a long one the beginning and the end
            are read.
        words: the STOP keywords in force for its recipient.
    """
    text = capped(body)
    return _assessed(text, compiled(words), text == body)


def load() -> None:
    """Read all that the package ships. It takes half a second, which else the first texts wait."""
    for once in (lexicons, companies, model, _glance):
        once()
    languages_of(("stop",))
    is_other_word("stop")


@lru_cache(maxsize=4_096)  # people write the same few words
def _assessed(text: str, keywords: Keywords, whole: bool) -> Suspicion | None:
    # First what ``Glance`` asks, so that it names every text that this finds something in.
    if not (_glance().names(text) or keywords.forms.are_in(text)):
        return None
    tokens = tokens_of(text)
    if whole and (reasons := phrase_in(text, tokens, keywords)):
        return Suspicion(SuspicionTier.PHRASE, 1.0, reasons)
    score = score_of(tokens, model())
    if score is None or score.value < model().least:
        return None
    return Suspicion(SuspicionTier.SUSPECTED, round(score.value, 3), score.reasons)


@lru_cache(maxsize=1)
def _glance() -> Glance:
    return Glance(())
