"""Whether a text that matched no keyword asks for an end (R30)."""

from __future__ import annotations

from processor.suspicion.values import StopWords, Suspicion


def assess(body: str, words: StopWords) -> Suspicion | None:
    """Read a text for a request to stop; None for an ordinary message.

    Args:
        body: the text as received; no keyword matched it.
        words: the STOP keywords in force for its recipient.
    """
    return None
