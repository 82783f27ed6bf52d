"""An ear that hears a few fixed texts, for tests of what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from processor.stages.hearing import Ear
from processor.suspicion.stems import SEPARATOR
from processor.suspicion.values import StopWords, Suspicion, SuspicionTier

PLEASE = "stop please"
ENOUGH = "i have had enough of you people"
HEARD: Mapping[str, Suspicion] = {
    PLEASE: Suspicion(SuspicionTier.PHRASE, 1.0, ("keyword:stop", "courtesy")),
    ENOUGH: Suspicion(SuspicionTier.SUSPECTED, 0.75, ("asks-for-end",)),
}


class FakeGlance:
    """Looks for the fixed texts.

    Args:
        keywords: STOP keywords in force of any service.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        self.keywords = frozenset(keywords)

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """See ``Glances``."""
        return [index for index, body in enumerate(bodies) if body.lower() in HEARD]

    def at_joined(self, bodies: bytes) -> Sequence[int]:
        """See ``Glances``."""
        return self.at([body[1:-1] for body in bodies.decode().split(SEPARATOR)])


def fake_assess(body: str, words: StopWords) -> Suspicion | None:
    """Hear the fixed texts; the phrase only where `stop` is in force."""
    heard = HEARD.get(body.lower())
    return heard if heard and "stop" in words else None


def an_ear() -> Ear:
    """An ear that hears ``PLEASE`` as a phrase and ``ENOUGH`` as suspected."""
    return Ear(FakeGlance, fake_assess)
