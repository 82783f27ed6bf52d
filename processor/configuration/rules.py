"""Whether a configuration may come into force: every problem, with its place (R1, R7 to R10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.normalise import exact, tolerant_forms
from processor.core.policy import (
    RESERVED,
    KeywordSets,
    MatchMode,
    OptOutConfig,
    standard_sets,
)
from schemas.messaging_service import COMMA, MAX_KEYWORDS

_RESERVED_KINDS = {word: kind for kind, words in RESERVED.items() for word in words}


class _Entry(NamedTuple):
    place: str
    kind: OptOutType
    language: str | None
    keyword: str


def problems_of(config: OptOutConfig) -> list[str]:
    """What is wrong with one configuration, as ``place: what``; empty where it may be saved."""
    problems = [
        problem
        for place, kinds in _sets(config)
        for kind, keyword_set in kinds.items()
        for problem in _list_problems(f"{place}.{kind}", kind, keyword_set.keywords, config.match)
    ]
    base = [
        *_entries("standard", None, standard_sets(config)),
        *(
            entry
            for tag, kinds in config.languages.items()
            for entry in _entries(f"languages.{tag}", tag, kinds)
        ),
    ]
    problems += _clashes(base)
    problems += _turned(
        entry
        for entry in base
        if entry.kind is OptOutType.START and exact(entry.keyword) not in _RESERVED_KINDS
    )
    for country, override in config.countries.items():
        entries = [
            entry
            for tag, kinds in override.languages.items()
            for entry in _entries(f"countries.{country}.languages.{tag}", tag, kinds)
        ]
        problems += _clashes(entries)
        problems += _turned(entries)
    return problems


class Pool(NamedTuple):
    """What is asked of a service about its pool."""

    name: str  # by which people know the service; no other has it
    account_sid: str | None  # None where nobody can read it: no other's
    addresses: Sequence[str]  # of its senders; "" of one that cannot be read
    stored: Collection[str] = ()  # those among them that it has already


def pool_problems(
    services: Sequence[Pool], recorded: Callable[[str], str | None] = lambda address: None
) -> list[str]:
    """Senders in two services of an account, twice in one (R1), or new and another account's.

    Args:
        services: every one there is, as it shall be.
        recorded: the account that has recorded a number.
    """
    accounts: dict[str, set[str]] = defaultdict(set)
    for service in services:
        for address in service.addresses:
            if service.account_sid:
                accounts[address].add(service.account_sid)
    owners: dict[tuple[str, str], tuple[str, int]] = {}
    problems = []
    for service in services:
        for index, address in enumerate(service.addresses):
            if not address:
                continue
            mine = (service.name, index)
            other, first = owners.setdefault((service.account_sid or service.name, address), mine)
            place = f"{service.name}: senders.{index}.address"
            if other != service.name:
                problems.append(f"{place}: is in {other} already; a sender is in one only")
            elif first != index:
                problems.append(f"{place}: stands twice in this pool")
            if service.account_sid is None or address in service.stored:
                continue
            if sender_type_of(address) is SenderType.ALPHANUMERIC:
                continue  # a name belongs to nobody
            if (accounts[address] | {recorded(address)}) - {service.account_sid, None}:
                problems.append(f"{place}: is not available: another account has this number")
    return problems


def _sets(config: OptOutConfig) -> Iterator[tuple[str, KeywordSets]]:
    yield "standard", config.standard
    for tag, kinds in config.languages.items():
        yield f"languages.{tag}", kinds
    for country, override in config.countries.items():
        for tag, kinds in override.languages.items():
            yield f"countries.{country}.languages.{tag}", kinds


def _entries(place: str, language: str | None, sets: KeywordSets) -> list[_Entry]:
    return [
        _Entry(f"{place}.{kind}", kind, language, keyword)
        for kind, keyword_set in sets.items()
        for keyword in keyword_set.keywords
    ]


def _list_problems(
    place: str, kind: OptOutType, keywords: Sequence[str], mode: MatchMode
) -> Iterator[str]:
    keys = {exact(keyword) for keyword in keywords}
    if not keys:
        yield f"{place}.keywords: empty; leave {kind} out to have the usual words"
    if len(keys - set(RESERVED[kind])) > MAX_KEYWORDS:
        yield f"{place}.keywords: more than {MAX_KEYWORDS} besides the reserved ones"
    for keyword in keywords:
        if not exact(keyword):
            yield f"{place}.keywords: {keyword!r} has nothing to match"
        elif COMMA.search(keyword):
            yield f"{place}.keywords: {keyword!r} has a comma; each keyword stands by itself"
        elif mode is MatchMode.EXACT and len(exact(keyword).split()) > 1:
            yield f"{place}.keywords: {keyword!r} has white space within; match: exact allows none"


def _turned(entries: Iterable[_Entry]) -> Iterator[str]:
    """Reserved words under another kind, which would win: `stop` must stay STOP (R7).

    START's keywords, too: who texts `Stop!` must not find that it means START.
    """
    for entry in entries:
        forms = {exact(entry.keyword), *tolerant_forms(entry.keyword)}
        for word in sorted(forms & _RESERVED_KINDS.keys()):
            if _RESERVED_KINDS[word] is not entry.kind:
                yield (
                    f"{entry.place}.keywords: {entry.keyword!r} always is a keyword of "
                    f"{_RESERVED_KINDS[word]}"
                )


def _clashes(entries: Iterable[_Entry]) -> list[str]:
    """One keyword means one thing: one kind, in one language (R9)."""
    problems: dict[tuple[str, str], str] = {}
    owners: dict[tuple[str, str], _Entry] = {}
    for entry in entries:
        forms = [("exact", exact(entry.keyword))]
        if entry.kind is not OptOutType.START:
            forms += [("tolerant", form) for form in tolerant_forms(entry.keyword)]
        for form in forms:
            other = owners.setdefault(form, entry)
            if (other.kind, other.language) != (entry.kind, entry.language):
                problems.setdefault(
                    (entry.place, entry.keyword),
                    f"{entry.place}.keywords: {entry.keyword!r} is {other.keyword!r} of "
                    f"{other.place}; a keyword has one meaning",
                )
    return list(problems.values())
