"""Which texts of a batch ask for an end although they are not keywords (R30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from processor.core.services import Directory, Handling
from processor.core.suspected import Finding, WordsTier
from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from processor.suspicion.values import StopWords, Suspicion
from processor.wire.screening import Glances


class Ear:
    """Hears opt-outs in texts that matched nothing; the lanes of a process share one.

    Args:
        glance: makes a look at many texts from the STOP keywords in force of any service.
        assess: reads one text, given the STOP keywords in force for its recipient.
    """

    def __init__(
        self,
        glance: Callable[[Iterable[str]], Glances] = Glance,
        assess: Callable[[str, StopWords], Suspicion | None] = assess,
    ) -> None:
        self._make = glance
        self._assess = assess
        self._made_for: tuple[Directory, int] | None = None
        self._glance: Glances = glance(())

    def glance(self, directory: Directory) -> Glances:
        """Finds the texts that ``finding`` may find something in, under a configuration; cheap."""
        if self._made_for != (now := (directory, directory.keywords_version)):
            self._glance = self._make(directory.stop_keywords())
            self._made_for = now
        return self._glance

    def finding(self, body: str, handling: Handling, country: str | None) -> Finding | None:
        """The opt-out in a text that matched no keyword, with its policy; None for most.

        Args:
            body: as received.
            handling: of the message.
            country: the recipient's.
        """
        policy = handling.policy
        if policy is None:
            return None
        heard = self._assess(body, policy.stop_words(country))
        if heard is None:
            return None
        tier = WordsTier(heard.tier.value)
        return policy.config.own_words.finding(tier, heard.score, heard.reasons, country)
