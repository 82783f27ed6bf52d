"""Which texts of a batch ask for an end although they are not keywords (R30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from processor.core.messages import bare_number
from processor.core.policy import Policy
from processor.core.services import Directory, Handling
from processor.core.suspected import Finding, WordsTier
from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from processor.suspicion.values import StopWords, Suspicion
from processor.wire.countries import country_of
from processor.wire.screening import Glances, Text
from processor.wire.spellings import is_recipient


class Heard(NamedTuple):
    """An opt-out in other words, and how its message is handled."""

    finding: Finding
    handling: Handling
    policy: Policy  # of the handling
    country: str | None  # the recipient's


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

    def heard(self, text: Text, directory: Directory) -> Heard | None:
        """The opt-out in a text that matched no keyword, under a configuration; None for most."""
        account_sid, service_sid, recipient, sender, body, country = text
        handling = directory.handling(account_sid, service_sid, sender)
        policy = handling.policy
        if policy is None or policy.config.own_words.are_off or not is_recipient(recipient):
            return None
        if country is None and policy.asks_country:
            country = country_of(bare_number(recipient))
        heard = self._assess(body, policy.stop_words(country))
        if heard is None:
            return None
        country = country or country_of(bare_number(recipient))
        tier = WordsTier(heard.tier.value)
        finding = policy.config.own_words.finding(tier, heard.score, heard.reasons, country)
        return None if finding is None else Heard(finding, handling, policy, country)
