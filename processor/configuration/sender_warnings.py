"""Warnings about a pool: needs of short codes, one-way senders and default handling (R11)."""

from __future__ import annotations

from collections.abc import Iterator

from processor.configuration.reviewed import STANDARD, Found, Reviewed
from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import exact
from processor.core.policy import KeywordSet, Policy, standard_sets

STOP, START, HELP = OptOutType
OTHERWISE_REGISTERED = "differs_from_registration"
"""The code of what a short code's registration says otherwise."""

_CANADIAN = {"stop": STOP, "arret": STOP, "help": HELP, "aide": HELP, "info": HELP}
_SHORT_CODE = SenderType.SHORT_CODE


def sender_warnings(service: Reviewed) -> Iterator[Found]:
    """Everything to look at because of the pool's senders."""
    yield from _registered(service)
    if service.has(_SHORT_CODE) and not service.untouched:
        yield from _when_blocked(service)
    if service.has(_SHORT_CODE, "CA") and not service.untouched:
        yield from _canadian(service)
    if service.only(SenderType.ALPHANUMERIC):
        text = (
            "only names, which cannot hear a STOP; put another way out into each text, such as a"
            " web address, or add a number"
        )
        yield ("senders",), "one_way_pool", text
    if not service.enabled and service.north_american:
        text = (
            "default handling answers until Advanced Opt-Out is enabled, and its replies do not"
            " name the brand, as US and Canadian rules ask; enable it"
        )
        yield ("opt_out", "enabled"), "default_handling", text


def _registered(service: Reviewed) -> Iterator[Found]:
    configured = standard_sets(service.config)
    for sender in (one.of_pool for one in service.senders):
        registered_for = f"registered for short code {sender.address}; make both the same"
        for kind, registered in (sender.registered or {}).items():
            ours, place = configured[kind], (*STANDARD, kind.value)
            if (mine := _keys(ours)) != (theirs := _keys(registered)):
                text = f"{_listed(mine)} here, {_listed(theirs)} {registered_for}"
                yield (*place, "keywords"), OTHERWISE_REGISTERED, text
            if ours.reply != registered.reply:
                text = f"{ours.reply!r} here, {registered.reply!r} {registered_for}"
                yield (*place, "reply"), OTHERWISE_REGISTERED, text


def _when_blocked(service: Reviewed) -> Iterator[Found]:
    config = service.config
    for name, kind, types in (
        ("help_when_blocked", HELP, config.help_when_blocked),
        ("stop_when_blocked", STOP, config.stop_when_blocked),
    ):
        if _SHORT_CODE not in types:
            text = f"add short_code: a short code must answer {kind} from blocked recipients, too"
            yield ("opt_out", name), f"silent_{name}", text


def _canadian(service: Reviewed) -> Iterator[Found]:
    policy = Policy(service.config)
    for kind in (STOP, HELP):
        missing = [
            word.upper()
            for word, wanted in _CANADIAN.items()
            if wanted is kind and not _is(policy, word, kind)
        ]
        if missing:
            text = f"add {', '.join(missing)}: a Canadian short code must answer each of them"
            yield (*STANDARD, kind.value, "keywords"), "canadian_words_missing", text


def _is(policy: Policy, word: str, kind: OptOutType) -> bool:
    match = policy.match(word, "CA")
    return match is not None and match.kind is kind


def _keys(given: KeywordSet) -> set[str]:
    return {exact(keyword) for keyword in given.keywords}


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))
