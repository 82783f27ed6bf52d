"""Warnings about who answers a keyword: the provider and we both, or neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from processor.carriers.directory import may_answer
from processor.configuration.carriers import answered
from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.normalise import exact
from processor.core.policy import DEFAULT_POLICY, OptOutConfig, standard_sets
from processor.errors import Problem
from processor.wire.services import config_of
from schemas.carrier import Carrier
from schemas.messaging_service import MessagingService

BOTH, NEITHER, LEFT_BLOCKED = "answered_twice", "unanswered", "left_blocked"
_SILENT = (SenderType.SHORT_CODE, SenderType.WHATSAPP)  # without a configuration of their own
_MOST_WORDS = 5


def carrier_warnings(
    carriers: Mapping[str, Carrier], services: Mapping[str, MessagingService]
) -> Sequence[Problem]:
    """Everything to look at, once for each carrier, service and kind of problem.

    Args:
        carriers: by name.
        services: every service, by sid.
    """
    holders = {
        (service.account_sid, sender.address): service
        for service in services.values()
        for sender in service.senders
    }
    found: dict[Problem, None] = {}
    for name in sorted(carriers):
        carrier = carriers[name]
        for sender in carrier.senders:
            account = sender.account_sid or carrier.account_sid
            service = holders.get((account, sender.address))
            for code, text in _of_sender(carrier, sender.address, service):
                found[Problem(("answers",), code, text, where=(f"carrier {name}",))] = None
    return list(found)


def _of_sender(
    carrier: Carrier, address: str, service: MessagingService | None
) -> Iterator[tuple[str, str]]:
    words = answered(carrier) if may_answer(address) else frozenset[str]()
    active = config_of(service.active) if service and service.active else None
    if active is None:
        if not words and sender_type_of(address) in _SILENT:
            yield (
                NEITHER,
                (
                    f"no one answers STOP to {address}: the provider does not, and its type has no"
                    " default handling; enable Advanced Opt-Out on its service"
                ),
            )
        return
    assert service is not None
    ours = _words_of(active)
    if both := sorted(words & ours.keys()):
        yield (
            BOTH,
            (
                f"the provider answers {_listed(both)} itself, so the replies of {service.sid}"
                f" ({service.friendly_name}) to them are never sent. Switch its answers off and set"
                " `answers: []`, or take the words out of the service"
            ),
        )
    if any(_is_stop(word) for word in words):
        only_ours = [
            word for word, kind in ours.items() if kind is OptOutType.START and word not in words
        ]
        if only_ours:
            yield (
                LEFT_BLOCKED,
                (
                    f"{_listed(sorted(only_ours))} of {service.sid} ({service.friendly_name}) lifts"
                    " our block, but not the provider's: sends would still fail there"
                ),
            )


def _is_stop(word: str) -> bool:
    match = DEFAULT_POLICY.match(word, None)
    return match is not None and match.kind is OptOutType.STOP


def _words_of(config: OptOutConfig) -> dict[str, OptOutType]:
    """Every keyword in its exact form, with its kind."""
    layers = [standard_sets(config), *config.languages.values()]
    layers += [sets for country in config.countries.values() for sets in country.languages.values()]
    return {
        exact(word): kind
        for sets in layers
        for kind, keyword_set in sets.items()
        for word in keyword_set.keywords
    }


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_WORDS} more" if len(words) > _MOST_WORDS else ""
    return ", ".join(words[:_MOST_WORDS]) + more
