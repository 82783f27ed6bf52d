"""Documents of `services.yaml` over the services that are stored, with every problem named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import ValidationError

from processor.configuration.languages import tag_of
from processor.configuration.rules import Pool, pool_problems, problems_of
from processor.core.messages import OptOutType
from processor.core.normalise import exact
from processor.core.policy import (
    RESERVED,
    CountryOverride,
    KeywordSet,
    KeywordSets,
    MatchMode,
    OptOutConfig,
)
from processor.json_types import Json
from processor.webhooks.addresses import url_problem
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import reasons
from processor.wire.services import config_of
from schemas.common import Url, pattern_of
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument, as_keywords


def read_document(given: Json) -> tuple[ServiceDocument | None, list[str]]:
    """A document of `services.yaml`, and its problems, each with its place.

    Languages are BCP 47 tags or their English names. An unknown field is a problem here: it is
    somebody's spelling mistake.
    """
    problems: list[str] = []
    given = _with_numbers(_with_tags(given, problems))
    problems += _unknown_countries(given)
    document = None
    try:
        document = ServiceDocument.model_validate(given, extra="forbid")
    except ValidationError as error:
        problems += [_in_words(problem) for problem in reasons(error) if not _KEY.match(problem)]
    if problems:
        # What can be read of it is looked at all the same: every problem at once (R10).
        return None, problems + _problems_within(given)
    return document, problems


# Unknown languages and countries, which are said in our own words.
_KEY = re.compile(r"opt_out\.(?:countries\.[^.]*\.)?(?:languages|countries)\.[^.]*\.\[key\]:")


def _unknown_countries(given: Json) -> list[str]:
    countries = _mapping(_mapping(_mapping(given).get("opt_out")).get("countries"))
    return [
        f"opt_out.countries.{country}: unknown country; ISO 3166 has two capital letters for each"
        for country in countries
        if country not in COUNTRIES
    ]


def _problems_within(given: Json) -> list[str]:
    """What is wrong with what can be read of a document's opt-out configuration."""
    opt_out = _mapping(_mapping(given).get("opt_out"))
    standard = _sets_within(opt_out.get("standard"))
    if opt_out.keys() - OptOut.model_fields or _mapping(opt_out.get("standard")).keys() - standard:
        # What nobody can read may say which words those kinds have: not the usual ones.
        reserved = {kind: KeywordSet(words, "") for kind, words in RESERVED.items()}
        standard = {**reserved, **standard}
    exact_only = opt_out.get("match") == MatchMode.EXACT.value
    config = OptOutConfig(
        match=MatchMode.EXACT if exact_only else MatchMode.TOLERANT,
        standard=standard,
        languages=_languages_within(opt_out.get("languages")),
        countries={
            country: CountryOverride(_languages_within(_mapping(override).get("languages")))
            for country, override in _mapping(opt_out.get("countries")).items()
        },
    )
    return [f"opt_out.{problem}" for problem in problems_of(config)]


def _languages_within(given: Json) -> dict[str, KeywordSets]:
    return {tag: _sets_within(kinds) for tag, kinds in _mapping(given).items()}


def _sets_within(given: Json) -> KeywordSets:
    """Keyword lists that can be read, whatever their replies."""
    sets = {}
    for kind, one in _mapping(given).items():
        if kind in OptOutType.__members__:
            words = as_keywords(_mapping(one).get("keywords"))
            if isinstance(words, list) and all(isinstance(word, str) for word in words):
                keywords = tuple(word.strip() for word in words)
                sets[OptOutType(kind)] = KeywordSet(keywords, "")
    return sets


def _mapping(given: Json) -> dict[Json, Json]:
    return given if isinstance(given, dict) else {}


def _with_numbers(given: Json) -> Json:
    """The document with its one number as such: in our YAML `12345` is a short code, a text."""
    period = _mapping(given).get("validity_period")
    if isinstance(period, str) and period.isascii() and period.isdigit():
        return {**given, "validity_period": int(period)}
    return given


def _with_tags(given: Json, problems: list[str]) -> Json:
    """The document with every language by its tag; those nobody knows are problems."""
    opt_out = _mapping(given).get("opt_out")
    if not isinstance(opt_out, dict):
        return given
    opt_out = dict(opt_out)
    opt_out["languages"] = _tags(opt_out.get("languages", {}), "opt_out.languages", problems)
    countries = opt_out.get("countries", {})
    if isinstance(countries, dict):
        opt_out["countries"] = {
            country: {
                **override,
                "languages": _tags(
                    override["languages"], f"opt_out.countries.{country}.languages", problems
                ),
            }
            if isinstance(override, dict) and "languages" in override
            else override
            for country, override in countries.items()
        }
    return {**given, "opt_out": opt_out}


def _tags(languages: Json, place: str, problems: list[str]) -> Json:
    if not isinstance(languages, dict):
        return languages
    named: dict[Json, Json] = {}
    for name, kinds in languages.items():
        tag = tag_of(name) if isinstance(name, str) else None
        if tag is None:
            problems.append(
                f"{place}.{name}: unknown language; say one of the 41 by tag (es) or name (Spanish)"
            )
            named[name] = kinds
        elif tag in named:
            problems.append(f"{place}.{name}: stands twice, as {tag}")
        else:
            named[tag] = kinds
    return named


_IS_URL = re.compile(pattern_of(Url)).search  # the model names others
_WORDS = {
    re.compile("Extra inputs are not permitted$"): "unknown field",
    re.compile("^not a JSON object$"): "not a service: a mapping of fields",
    re.compile(r"Input should be a valid dictionary( or instance of \w+)?$"): "must be a mapping",
    re.compile("Dictionary should have at least 1 item after validation, not 0$"): "is empty",
    re.compile("Input should be a valid string$"): "must be a text, in quotes",
}


def _in_words(problem: str) -> str:
    for pattern, words in _WORDS.items():
        problem = pattern.sub(words, problem)
    return problem


class Applied(NamedTuple):
    """What applying documents to the stored services comes to."""

    changed: Mapping[str, MessagingService]  # by sid, only those that differ from what is stored
    sids: Sequence[str]  # of every document, in their order
    problems: Sequence[str]  # each with its place; nothing may be applied while there is one


def apply(
    documents: Sequence[Json],
    stored: Mapping[str, MessagingService],
    *,
    now: datetime,
    new_sid: Callable[[], str],
    recorded: Callable[[str], str | None] = lambda address: None,
) -> Applied:
    """Lay documents over the stored services: whole, or not at all.

    A document without a sid is the stored service of the same account and name, or a new one.
    Applying the same document again changes nothing.

    Args:
        documents: not checked yet.
        stored: every service of every account, by sid.
        now: when they are applied.
        new_sid: makes the sid of a new service.
        recorded: the account that has recorded a number.
    """
    changed: dict[str, MessagingService] = {}
    sids: dict[str, None] = {}
    problems: list[str] = []
    pools: list[Pool] = []
    replaced: set[str] = set()  # sids of stored services that are described anew
    named = {(model.account_sid, model.friendly_name): sid for sid, model in stored.items()}
    for index, given in enumerate(documents):
        document, wrong = read_document(given)
        name = _mapping(given).get("friendly_name")
        place = f"service {index + 1}" + (f" ({name})" if name else "")
        if document is None:
            pool = _pool_within(place, given)
            known = named.get((pool.account_sid or "", str(name)))
            sid = str(_mapping(given).get("sid") or known or place)
            wrong += _url_problems(given, stored.get(sid))
            if sid not in replaced:
                pools.append(pool._replace(stored=_addresses(stored.get(sid))))
        else:
            wrong = [f"opt_out.{problem}" for problem in problems_of(config_of(document.opt_out))]
            known = named.get((document.account_sid, document.friendly_name))
            sid = document.sid or known or new_sid()
            named[document.account_sid, document.friendly_name] = sid
            before = stored.get(sid)
            wrong += _url_problems(given, before) + _refusals(document, before)
            if sid in sids:
                wrong.append(f"sid: {sid} is described twice; services of one name need one each")
            elif sid not in replaced:
                pools.append(_pool(place, document, before))
            sids[sid] = None
            after = _merged(document, sid, before, now)
            if after is not before:
                changed[sid] = after
        replaced.add(sid)
        problems += [f"{place}: {problem}" for problem in wrong]
    others = [
        _pool(f"service {sid} ({model.friendly_name})", model, model)
        for sid, model in stored.items()
        if sid not in replaced
    ]
    problems += pool_problems([*others, *pools], recorded)
    return Applied({} if problems else changed, list(sids), problems)


def _pool(name: str, model: ServiceDocument, before: ServiceDocument | None) -> Pool:
    addresses = [sender.address for sender in model.senders]
    return Pool(name, model.account_sid, addresses, _addresses(before))


def _addresses(model: ServiceDocument | None) -> set[str]:
    return {sender.address for sender in model.senders} if model else set()


def _pool_within(name: str, given: Json) -> Pool:
    account_sid, senders = _mapping(given).get("account_sid"), _mapping(given).get("senders")
    addresses = [
        str(_mapping(one).get("address") or "")
        for one in (senders if isinstance(senders, list) else ())
    ]
    return Pool(name, account_sid if isinstance(account_sid, str) else None, addresses)


_URLS = ("inbound_request_url", "fallback_url", "status_callback")


def _url_problems(given: Json, before: MessagingService | None) -> list[str]:
    """What is wrong with the URLs of a document, except those that are stored already."""
    given = _mapping(given)
    return [
        f"{name}: {problem}; a URL is such as https://example.com/path"
        for name in _URLS
        if isinstance(url := given.get(name), str)
        and _IS_URL(url)
        and url != getattr(before, name, None)
        and (problem := url_problem(url))
    ]


def _refusals(document: ServiceDocument, before: MessagingService | None) -> list[str]:
    if before is None:
        return []
    refused = []
    if before.account_sid != document.account_sid:
        refused.append(f"account_sid: service {before.sid} belongs to {before.account_sid}")
    if before.active is not None and not document.opt_out.enabled:
        refused.append(
            "opt_out.enabled: Advanced Opt-Out is enabled, and only an operator may disable it"
        )
    had, has = config_of(before.opt_out).standard, config_of(document.opt_out).standard
    for kind in had.keys() & has.keys():
        kept = {exact(keyword) for keyword in has[kind].keywords}
        refused += [
            f"opt_out.standard.{kind}.keywords: {word!r} was removed; it always is a keyword"
            for word in RESERVED[kind]
            if word not in kept and word in map(exact, had[kind].keywords)
        ]
    return refused


def _merged(
    document: ServiceDocument, sid: str, before: MessagingService | None, now: datetime
) -> MessagingService:
    opt_out = document.opt_out
    fields = {
        **document.model_dump(by_alias=True, exclude_none=True),
        "sid": sid,
        "opt_out": opt_out.model_dump(),
        "active": opt_out.model_dump() if opt_out.enabled else None,
    }
    if before is not None:
        same = MessagingService.model_validate(
            {
                **fields,
                "version": before.version,
                "created_at": before.created_at,
                "updated_at": before.updated_at,
            }
        )
        if same == before:
            return before
    version = before.version + 1 if before else 1
    created_at = before.created_at if before else now
    return MessagingService.model_validate(
        {**fields, "version": version, "created_at": created_at, "updated_at": now}
    )


def enabled(model: MessagingService, *, now: datetime) -> MessagingService:
    """The service with its draft in force, in one step (R5)."""
    opt_out = model.opt_out.model_copy(update={"enabled": True})
    return model.model_copy(
        update={
            "opt_out": opt_out,
            "active": opt_out,
            "version": model.version + 1,
            "updated_at": now,
        }
    )


def disabled(model: MessagingService, *, now: datetime) -> MessagingService:
    """The service with default handling in force; what was active stays as the draft (R5)."""
    opt_out = model.opt_out.model_copy(update={"enabled": False})
    return model.model_copy(
        update={
            "opt_out": opt_out,
            "active": None,
            "version": model.version + 1,
            "updated_at": now,
        }
    )


def changed(before: MessagingService, **fields: object) -> MessagingService:
    """A service with fields changed, as its next version; the same where nothing differs."""
    after = before.model_copy(update=fields)
    if after == before:
        return before
    return after.model_copy(update={"version": before.version + 1, "updated_at": datetime.now(UTC)})
