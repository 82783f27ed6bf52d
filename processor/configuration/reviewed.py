"""A service as its warnings see it: replies filled in, senders with their countries (R11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from processor.core.messages import OptOutType, SenderType, bare_number
from processor.core.placeholders import NO_VALUES, Values, with_values
from processor.core.policy import KeywordSets, OptOutConfig, standard_sets
from processor.core.services import PoolSender
from processor.core.suspected import UNITED_STATES
from processor.wire.countries import country_of
from processor.wire.services import config_of, pool_of, values_of
from schemas.messaging_service import ServiceDocument

Place = tuple[str, ...]
Found = tuple[Place, str, str]
"""A warning without its source: the place in the document, the code and the text."""

STANDARD: Place = ("opt_out", "standard")


class Sender(NamedTuple):
    """A sender of the pool, and the country whose rules it is under."""

    of_pool: PoolSender
    country: str | None  # None where the address does not tell and the document does not say


class Given(NamedTuple):
    """A keyword set, with its place in the document."""

    place: Place
    kind: OptOutType
    keywords: tuple[str, ...]
    reply: str  # as recipients get it


class Layer(NamedTuple):
    """The keyword sets of one place, and the standard sets, which its readers have besides."""

    place: Place
    kinds: KeywordSets
    base: KeywordSets
    country: str | None  # None: read in every country


@dataclass(frozen=True)
class Reviewed:
    """A service's configuration with what its warnings depend on besides."""

    config: OptOutConfig  # replies filled in
    senders: tuple[Sender, ...] = ()
    values: Values = field(default_factory=lambda: NO_VALUES)  # of the placeholders that are set
    enabled: bool = True  # False: default handling answers, and the configuration is a draft

    @cached_property
    def untouched(self) -> bool:
        """Whether nothing is configured yet, so that default handling answers."""
        return not self.enabled and self.config == OptOutConfig()

    @cached_property
    def countries(self) -> frozenset[str]:
        """The countries of the senders, US territories as US."""
        return frozenset(one.country for one in self.senders if one.country)

    @property
    def north_american(self) -> bool:
        """Whether US or Canadian rules hold for any sender."""
        return bool(self.countries & {"US", "CA"})

    def has(self, sender_type: SenderType, country: str | None = None) -> bool:
        """Whether the pool has a sender of a type, in a country if one is named."""
        return any(
            one.of_pool.type is sender_type and country in (None, one.country)
            for one in self.senders
        )

    def only(self, sender_type: SenderType) -> bool:
        """Whether the pool has senders, all of a type."""
        return {one.of_pool.type for one in self.senders} == {sender_type}

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every place with keyword sets; the standard one whole (R7)."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        base = standard_sets(self.config)
        yield Layer(STANDARD, base, base, None)
        for tag, kinds in self.config.languages.items():
            yield Layer(("opt_out", "languages", tag), kinds, base, None)
        for country, override in self.config.countries.items():
            for tag, kinds in override.languages.items():
                place = ("opt_out", "countries", country, "languages", tag)
                yield Layer(place, kinds, base, country)

    @cached_property
    def in_force(self) -> tuple[Given, ...]:
        """Every keyword set that would answer, the usual standard sets too."""
        return tuple(
            Given((*layer.place, kind.value), kind, given.keywords, given.reply)
            for layer in self.layers
            for kind, given in layer.kinds.items()
        )

    @cached_property
    def written(self) -> tuple[Given, ...]:
        """Every keyword set that a person wrote."""
        return tuple(
            one
            for one in self.in_force
            if one.place[:-1] != STANDARD or one.kind in self.config.standard
        )


def reviewed(document: ServiceDocument, *, enabled: bool) -> Reviewed:
    """A document of a service, with its configuration as it is or would be in force.

    Args:
        document: without problems.
        enabled: whether the configuration answers, or would by the change under review.
    """
    values = values_of(document)
    return Reviewed(
        config=with_values(config_of(document.opt_out), values),
        senders=tuple(
            Sender(_filled(one, values), _country(one, said.country))
            for one, said in zip(pool_of(document), document.senders, strict=True)
        ),
        values=values,
        enabled=enabled,
    )


def _filled(sender: PoolSender, values: Values) -> PoolSender:
    if sender.registered is None:
        return sender
    filled = with_values(OptOutConfig(standard=sender.registered), values)
    return PoolSender(sender.address, sender.type, filled.standard)


def _country(sender: PoolSender, said: str | None) -> str | None:
    number = bare_number(sender.address)
    found = said or (country_of(number) if number.startswith("+") else None)
    return "US" if found in UNITED_STATES else found
