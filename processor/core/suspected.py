"""Opt-outs in a recipient's own words, and a service's policies for them (R30)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNITED_STATES = frozenset({"US", "PR", "GU", "VI", "AS", "MP"})  # with its territories (R15)
_PHRASES_BLOCK = UNITED_STATES | {"CA"}


class WordsTier(StrEnum):
    """How sure it is that a text asks for an end, the surer first; both are below the keywords."""

    PHRASE = "phrase"  # a request in so many words
    SUSPECTED = "suspected"  # free text, by a score


class TierPolicy(StrEnum):
    """The effect of a text of a tier."""

    BLOCK = "block"  # as with a STOP
    REPORT = "report"  # a person reviews it
    OFF = "off"  # an ordinary message


class Overdue(StrEnum):
    """The fate of a reported text that was not reviewed by its due time."""

    BLOCK = "block"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Finding:
    """A text that asks for an end although it is not a keyword, and its service's policy."""

    tier: WordsTier
    score: float  # 0 to 1
    reasons: tuple[str, ...]  # codes and words of our own, never the text
    policy: TierPolicy
    overdue: Overdue


@dataclass(frozen=True, slots=True)
class OwnWords:
    """A service's policies; None: the default of the recipient's country."""

    phrases: TierPolicy | None = None
    suspected: TierPolicy | None = None
    overdue: Overdue | None = None

    @property
    def are_off(self) -> bool:
        """Whether every text is an ordinary message: nothing needs to be heard."""
        return self.phrases is TierPolicy.OFF and self.suspected is TierPolicy.OFF

    def policy(self, tier: WordsTier, country: str | None) -> TierPolicy:
        """The policy of a tier for recipients in a country, ISO 3166-1 alpha-2."""
        if tier is not WordsTier.PHRASE:
            return self.suspected or TierPolicy.REPORT
        blocks = country in _PHRASES_BLOCK
        return self.phrases or (TierPolicy.BLOCK if blocks else TierPolicy.REPORT)

    def when_overdue(self, country: str | None) -> Overdue:
        """The fate of texts from a country that were not reviewed in time."""
        return self.overdue or (Overdue.BLOCK if country in UNITED_STATES else Overdue.KEEP)

    def finding(
        self, tier: WordsTier, score: float, reasons: tuple[str, ...], country: str | None
    ) -> Finding | None:
        """A text of a tier from a recipient in a country; None: an ordinary message.

        Args:
            tier: of the text.
            score: 0 to 1.
            reasons: for the score.
            country: ISO 3166-1 alpha-2, or None if unknown.
        """
        policy = self.policy(tier, country)
        if policy is TierPolicy.OFF:
            return None
        return Finding(tier, score, reasons, policy, self.when_overdue(country))


BY_COUNTRY = OwnWords()
"""The policies of a service that says nothing of them."""
