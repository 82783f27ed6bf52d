"""Read the documents of `services.yaml` and list every problem in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import ValidationError

from processor.configuration.languages import tag_of
from processor.configuration.rules import problems_of
from processor.core.messages import OptOutType
from processor.core.placeholders import PLACEHOLDERS
from processor.core.policy import (
    RESERVED,
    CountryOverride,
    KeywordSet,
    KeywordSets,
    MatchMode,
    OptOutConfig,
)
from processor.errors import Problem
from processor.webhooks.addresses import url_problem
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import problems_in
from schemas.common import Url, pattern_of
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument, as_keywords


def read_document(given: object) -> tuple[ServiceDocument | None, list[Problem]]:
    """A document of `services.yaml`, None where it has a problem, and every problem.

    Languages are BCP 47 tags or their English names. An unknown field is a problem here: it is
    probably a spelling mistake.
    """
    given, problems = _with_tags(_with_numbers(given))
    problems += _unknown_countries(given)
    document = None
    try:
        document = ServiceDocument.model_validate(given, extra="forbid")
    except ValidationError as error:
        problems += _problems_of_fields(error)
    if problems:
        # The readable rest is checked all the same: every problem at once (R10).
        return None, problems + _problems_within(given)
    return document, problems


def _unknown_countries(given: object) -> list[Problem]:
    countries = mapping_of(mapping_of(mapping_of(given).get("opt_out")).get("countries"))
    text = "unknown country; ISO 3166 has two capital letters for each"
    return [
        Problem(("opt_out", "countries", str(country)), "unknown_country", text)
        for country in countries
        if country not in COUNTRIES
    ]


_WORDS = {  # by pydantic's type of error
    "extra_forbidden": "unknown field",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "too_short": "is empty",
    "string_type": "must be a text, in quotes",
}


def _problems_of_fields(error: ValidationError) -> Iterator[Problem]:
    for problem in problems_in(error):
        match problem.place:
            case ("opt_out", *_, "languages" | "countries", _, "[key]"):
                pass  # unknown languages and countries are reported in our own words
            case () if problem.code == "model_type":
                yield replace(problem, text="not a service: a mapping of fields")
            case _:
                yield replace(problem, text=_WORDS.get(problem.code, problem.text))


def _problems_within(given: object) -> list[Problem]:
    """The problems of a broken document's opt-out configuration, as far as it can be read."""
    opt_out = mapping_of(mapping_of(given).get("opt_out"))
    standard = _sets_within(opt_out.get("standard"))
    unknown = opt_out.keys() - OptOut.model_fields
    if unknown or mapping_of(opt_out.get("standard")).keys() - standard:
        # The unreadable part may say which words those kinds have: do not assume the usual words.
        reserved = {kind: KeywordSet(words, "") for kind, words in RESERVED.items()}
        standard = {**reserved, **standard}
    exact_only = opt_out.get("match") == MatchMode.EXACT.value
    config = OptOutConfig(
        match=MatchMode.EXACT if exact_only else MatchMode.TOLERANT,
        standard=standard,
        languages=_languages_within(opt_out.get("languages")),
        countries={
            str(country): CountryOverride(_languages_within(mapping_of(override).get("languages")))
            for country, override in mapping_of(opt_out.get("countries")).items()
        },
    )
    texts = {name: mapping_of(given).get(name) for name in PLACEHOLDERS}
    values = {name: text for name, text in texts.items() if isinstance(text, str)}
    return [problem.under("opt_out") for problem in problems_of(config, values=values)]


def _languages_within(given: object) -> dict[str, KeywordSets]:
    return {str(tag): _sets_within(kinds) for tag, kinds in mapping_of(given).items()}


def _sets_within(given: object) -> KeywordSets:
    """Keyword lists that can be read, with replies as far as these can be read, too."""
    sets = {}
    for kind, keyword_set in mapping_of(given).items():
        if isinstance(kind, str) and kind in OptOutType.__members__:
            words = as_keywords(mapping_of(keyword_set).get("keywords"))
            if isinstance(words, list) and all(isinstance(word, str) for word in words):
                keywords = tuple(word.strip() for word in words)
                reply = mapping_of(keyword_set).get("reply")
                text = reply if isinstance(reply, str) else ""
                sets[OptOutType(kind)] = KeywordSet(keywords, text)
    return sets


def mapping_of(given: object) -> Mapping[object, object]:
    """A part of a document that is not checked yet, empty where it is not a mapping."""
    return given if isinstance(given, dict) else {}


def _with_numbers(given: object) -> object:
    """The document with its two numbers as such: in our YAML `12345` is a short code, a text."""
    opt_out = mapping_of(given).get("opt_out")
    if isinstance(opt_out, dict):
        given = {**mapping_of(given), "opt_out": _with_number(opt_out, "reply_limit")}
    return _with_number(given, "validity_period")


def _with_number(given: object, name: str) -> object:
    text = mapping_of(given).get(name)
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10:
        return {**mapping_of(given), name: int(text)}
    return given


def _with_tags(given: object) -> tuple[object, list[Problem]]:
    """The document with every language by its tag, and a problem for each unknown language."""
    opt_out = mapping_of(given).get("opt_out")
    if not isinstance(opt_out, dict):
        return given, []
    opt_out = dict(opt_out)
    opt_out["languages"], problems = _tags(opt_out.get("languages", {}), ("opt_out", "languages"))
    countries = opt_out.get("countries", {})
    if isinstance(countries, dict):
        opt_out["countries"] = dict(countries)
        for country, override in countries.items():
            if isinstance(override, dict) and "languages" in override:
                place = ("opt_out", "countries", str(country), "languages")
                languages, wrong = _tags(override["languages"], place)
                opt_out["countries"][country] = {**override, "languages": languages}
                problems += wrong
    return {**mapping_of(given), "opt_out": opt_out}, problems


def _tags(languages: object, place: tuple[str, ...]) -> tuple[object, list[Problem]]:
    if not isinstance(languages, dict):
        return languages, []
    named: dict[object, object] = {}
    problems = []
    for name, kinds in languages.items():
        tag = tag_of(name) if isinstance(name, str) else None
        here = (*place, str(name))
        if tag is None:
            text = "unknown language; give a tag (es) or an English name (Spanish)"
            problems.append(Problem(here, "unknown_language", text))
            named[name] = kinds
        elif tag in named:
            problems.append(Problem(here, "language_twice", f"is given twice, as {tag}"))
        else:
            named[tag] = kinds
    return named, problems


_IS_URL = re.compile(pattern_of(Url)).search  # the model reports the others
_URLS: Sequence[str] = ("inbound_request_url", "fallback_url", "status_callback")


def url_problems(given: object, before: MessagingService | None) -> list[Problem]:
    """The problems of a document's URLs, except those that are stored already.

    Args:
        given: a document that is not checked yet.
        before: the stored service that it describes.
    """
    fields = mapping_of(given)
    return [
        Problem((name,), "url", f"{problem}; a URL is such as https://example.com/path")
        for name in _URLS
        if isinstance(url := fields.get(name), str)
        and _IS_URL(url)
        and url != getattr(before, name, None)
        and (problem := url_problem(url))
    ]
