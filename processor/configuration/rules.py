"""Whether a configuration may come into force: every problem, as a value (R1, R7 to R10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.normalise import exact, tolerant_forms
from processor.core.placeholders import NO_VALUES, Values, filled, unset_in
from processor.core.policy import (
    RESERVED,
    KeywordSets,
    MatchMode,
    OptOutConfig,
    standard_sets,
)
from processor.core.readings import disguises, readings
from processor.errors import Problem
from schemas.messaging_service import COMMA, MAX_KEYWORDS, MAX_REPLY_CHARACTERS

_RESERVED_KINDS = {word: kind for kind, words in RESERVED.items() for word in words}

OF_PLACEHOLDERS = frozenset({"placeholder_not_set", "reply_too_long"})
"""The codes of problems that the service's own fields cause."""

_Place = tuple[str, ...]


class _Entry(NamedTuple):
    place: _Place
    kind: OptOutType
    language: str | None
    keyword: str


def problems_of(
    config: OptOutConfig,
    place_of: Callable[[_Place], _Place] = lambda place: place,
    values: Values = NO_VALUES,
) -> list[Problem]:
    """Every problem of a configuration; empty where it may be saved.

    Args:
        config: to be checked, its replies as they were written.
        place_of: the place of a keyword set in the document it comes from, given its place in
            ``opt_out`` such as ``("languages", "es", "STOP")``.
        values: the service's texts for placeholders.
    """
    problems = [
        problem
        for place, kinds in _sets(config)
        for kind, keyword_set in kinds.items()
        for problem in (
            *_list_problems(
                place_of((*place, kind.value)), kind, keyword_set.keywords, config.match
            ),
            *_reply_problems(place_of((*place, kind.value)), keyword_set.reply, values),
        )
    ]
    base = [
        *_entries(("standard",), None, standard_sets(config), place_of),
        *(
            entry
            for tag, kinds in config.languages.items()
            for entry in _entries(("languages", tag), tag, kinds, place_of)
        ),
    ]
    problems += _ambiguous(base, _RESERVED_KINDS)
    for country, override in config.countries.items():
        entries = [
            entry
            for tag, kinds in override.languages.items()
            for entry in _entries(("countries", country, "languages", tag), tag, kinds, place_of)
        ]
        problems += _ambiguous(entries)
    return problems


class Pool(NamedTuple):
    """The facts about a service that the rules of pools need."""

    name: str  # by which people know the service; no other has it
    account_sid: str | None  # None where it cannot be read: shared with no other service
    addresses: Sequence[str]  # of its senders; "" of one that cannot be read
    stored: Collection[str] = ()  # those among them that it has already


def pool_problems(
    services: Sequence[Pool], recorded: Callable[[str], str | None] = lambda address: None
) -> list[Problem]:
    """Senders in two services of an account, twice in one (R1), or new and another account's.

    Args:
        services: all services, as they will be.
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
            if other != service.name:
                text = f"is in {other} already; remove it there first"
                problems.append(_of_sender(service, index, "sender_in_another_pool", text))
            elif first != index:
                text = "is given twice in this pool; take one out"
                problems.append(_of_sender(service, index, "sender_twice", text))
            if service.account_sid is None or address in service.stored:
                continue
            if sender_type_of(address) is SenderType.ALPHANUMERIC:
                continue  # a name does not belong to an account
            if (accounts[address] | {recorded(address)}) - {service.account_sid, None}:
                text = "is not available: another account has this number; choose another"
                problems.append(_of_sender(service, index, "number_not_available", text))
    return problems


def _of_sender(service: Pool, index: int, code: str, text: str) -> Problem:
    return Problem(("senders", str(index), "address"), code, text, where=(service.name,))


def _sets(config: OptOutConfig) -> Iterator[tuple[_Place, KeywordSets]]:
    yield ("standard",), config.standard
    for tag, kinds in config.languages.items():
        yield ("languages", tag), kinds
    for country, override in config.countries.items():
        for tag, kinds in override.languages.items():
            yield ("countries", country, "languages", tag), kinds


def _entries(
    place: _Place, language: str | None, sets: KeywordSets, place_of: Callable[[_Place], _Place]
) -> list[_Entry]:
    return [
        _Entry(place_of((*place, kind.value)), kind, language, keyword)
        for kind, keyword_set in sets.items()
        for keyword in keyword_set.keywords
    ]


def _list_problems(
    place: _Place, kind: OptOutType, keywords: Sequence[str], mode: MatchMode
) -> Iterator[Problem]:
    place = (*place, "keywords")
    keys = {exact(keyword) for keyword in keywords}
    if not keys:
        text = f"has no keyword; add one, or leave {kind} out to have the usual words"
        yield Problem(place, "no_keywords", text)
    if len(keys - set(RESERVED[kind])) > MAX_KEYWORDS:
        text = f"more than {MAX_KEYWORDS} besides the reserved words; take some out"
        yield Problem(place, "too_many_keywords", text)
    for keyword in keywords:
        if not exact(keyword):
            yield Problem(place, "keyword_empty", f"{keyword!r} has nothing to match; take it out")
        elif COMMA.search(keyword):
            text = f"{keyword!r} has a comma; write each keyword by itself"
            yield Problem(place, "keyword_with_comma", text)
        elif mode is MatchMode.EXACT and len(exact(keyword).split()) > 1:
            text = f"{keyword!r} has white space within; take it out, or set match to tolerant"
            yield Problem(place, "keyword_with_space", text)


def _reply_problems(place: _Place, reply: str, values: Values) -> Iterator[Problem]:
    """Placeholders without a text (R17), and what filling them in makes too long (R10)."""
    place = (*place, "reply")
    for name in unset_in(reply, values):
        text = f"uses {{{name}}}, but the service has no {name}; set it, or write the text itself"
        yield Problem(place, "placeholder_not_set", text)
    whole = filled(reply, values)
    if len(whole) > MAX_REPLY_CHARACTERS >= len(reply):
        text = (
            f"has {len(whole)} characters once its placeholders are filled in; shorten it to"
            f" {MAX_REPLY_CHARACTERS}"
        )
        yield Problem(place, "reply_too_long", text)


def _ambiguous(entries: Sequence[_Entry], there: Collection[str] = ()) -> list[Problem]:
    """Keywords with two meanings; each has one problem.

    Args:
        entries: of one country, or of standard and language sets.
        there: exact forms of keywords that are among them, so that another meaning is a clash.
    """
    clashes = _clashes(entries)
    turned = [
        problem
        for entry in entries
        if (entry.place, entry.keyword) not in clashes and exact(entry.keyword) not in there
        for problem in _turned(entry)
    ]
    return [*clashes.values(), *turned]


def _turned(entry: _Entry) -> Iterator[Problem]:
    """A reserved word under another kind, which would win: `Stop!` must never mean START (R7)."""
    for word in sorted(_heard(entry.keyword)):
        if _RESERVED_KINDS[word] is not entry.kind:
            text = f"{entry.keyword!r} is always a keyword of {_RESERVED_KINDS[word]}; take it out"
            yield Problem((*entry.place, "keywords"), "keyword_reserved", text)


def _heard(keyword: str) -> set[str]:
    """The reserved words that a keyword is, if it comes as a message."""
    found = readings(keyword)
    disguised = (form for each in disguises(keyword) for form in each.readings.stop)
    forms = {exact(keyword), found.start, *found.stop, *disguised}
    asked = set(found.help) & set(RESERVED[OptOutType.HELP])
    return forms & _RESERVED_KINDS.keys() | asked


def forms_of(kind: OptOutType, keyword: str) -> list[tuple[str, str]]:
    """The forms that no keyword of another kind or language may share, each with its tier (R9)."""
    forms = [("exact", exact(keyword))]
    if kind is not OptOutType.START:
        forms += [("tolerant", form) for form in tolerant_forms(keyword)]
    return forms


def _clashes(entries: Iterable[_Entry]) -> dict[tuple[_Place, str], Problem]:
    """One keyword means one thing: one kind, in one language (R9)."""
    problems: dict[tuple[_Place, str], Problem] = {}
    owners: dict[tuple[str, str], _Entry] = {}
    for entry in entries:
        for form in forms_of(entry.kind, entry.keyword):
            other = owners.setdefault(form, entry)
            if (other.kind, other.language) != (entry.kind, entry.language):
                text = (
                    f"{entry.keyword!r} is {other.keyword!r} of {'.'.join(other.place)}; a keyword"
                    " has one meaning, so take one out"
                )
                problems.setdefault(
                    (entry.place, entry.keyword),
                    Problem((*entry.place, "keywords"), "keyword_clash", text),
                )
    return problems
