"""Read the documents of `carriers.yaml`: every problem at once, secrets sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from processor.carriers.generic import FILLED, PLACEHOLDER
from processor.carriers.providers import ADAPTERS
from processor.configuration.documents import mapping_of
from processor.core.normalise import exact
from processor.errors import Problem
from processor.webhooks.addresses import url_problem
from processor.wire.json_values import problems_in
from schemas.carrier import Carrier

Seal = Callable[[str, str], str]
"""Seals a secret (first) of a carrier (second)."""
_NUMBERS = ("sends_per_second",)
_SECRET = "give the secret itself, in quotes, or `env` with the name of a variable"
_WORDS = {  # by pydantic's type of error
    "extra_forbidden": "unknown field",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "string_type": "must be a text, in quotes",
}


class Applied(NamedTuple):
    """The result of applying documents to the stored carriers."""

    changed: Mapping[str, Carrier]  # by name, only those that differ from what is stored
    names: Sequence[str]  # of every document, in their order
    problems: Sequence[Problem]  # nothing may be applied while there is one


def about(name: str) -> str:
    """The purpose that a carrier's secrets are sealed for."""
    return f"carrier/{name}"


def apply(
    documents: Sequence[object],
    stored: Mapping[str, Carrier],
    *,
    now: datetime,
    actor: str,
    seal: Seal,
    is_sealed: Callable[[str, str, str], bool] = lambda sealed, secret, name: False,
) -> Applied:
    """Lay documents over the stored carriers: whole, or not at all.

    Args:
        documents: not checked yet.
        stored: every carrier by name.
        now: when they are applied.
        actor: the user who applies them.
        seal: seals secrets that documents contain.
        is_sealed: whether a sealed text (first) holds a secret (second) of a carrier (third):
            applying a document again then changes nothing.
    """
    carriers: dict[str, Carrier] = {}
    problems: list[Problem] = []
    for number, given in enumerate(documents, 1):
        name = mapping_of(given).get("name")
        where = f"carrier {number}" + (f" ({name})" if name else "")
        before = stored.get(str(name))
        sealed = _Sealing(before, seal, is_sealed).sealed(given)
        carrier, found = read(sealed, now, actor)
        if carrier and carrier.name in carriers:
            found.append(Problem(("name",), "twice", f"{carrier.name} is described twice"))
        problems += [one.within(where) for one in found]
        if carrier:
            carriers[carrier.name] = carrier
    problems += _shared_senders({**stored, **carriers})
    changed = {name: one for name, one in carriers.items() if not _same(one, stored.get(name))}
    return Applied({} if problems else changed, list(carriers), problems)


def _same(after: Carrier, before: Carrier | None) -> bool:
    return before is not None and after == before.model_copy(
        update={"updated_at": after.updated_at, "updated_by": after.updated_by}
    )


class _Sealing:
    """Seals the secrets of a document."""

    def __init__(
        self, before: Carrier | None, seal: Seal, is_sealed: Callable[[str, str, str], bool]
    ) -> None:
        self._before = before.secrets if before else {}
        self._seal = seal
        self._is_sealed = is_sealed

    def sealed(self, given: object) -> object:
        """The document with every plain secret sealed; all else as it is given."""
        document = mapping_of(given)
        secrets = document.get("secrets")
        if not isinstance(secrets, dict):
            return given
        name = str(document.get("name"))
        made = {
            key: self._one(str(key), secret, name) if isinstance(secret, str) else secret
            for key, secret in secrets.items()
        }
        return {**document, "secrets": made}

    def _one(self, key: str, secret: str, name: str) -> dict[str, str] | str:
        if not secret:
            return secret
        before = self._before.get(key)
        if before and before.sealed and self._is_sealed(before.sealed, secret, name):
            return {"sealed": before.sealed}
        return {"sealed": self._seal(secret, name)}


def read(given: object, now: datetime, actor: str) -> tuple[Carrier | None, list[Problem]]:
    """A carrier of a document whose secrets are sealed, or None, and every problem."""
    document = dict(mapping_of(given))
    senders = document.get("senders")
    if isinstance(senders, list):
        document["senders"] = [{"address": one} if isinstance(one, str) else one for one in senders]
    for name in _NUMBERS:
        if isinstance(text := document.get(name), str):
            document[name] = _number(text)
    for name in ("updated_at", "updated_by"):
        if name in document:
            return None, [Problem((name,), "extra_forbidden", "unknown field")]
    try:
        carrier = Carrier.model_validate(
            {**document, "updated_at": now, "updated_by": actor}, extra="forbid"
        )
    except ValidationError as error:
        return None, [_in_words(one) for one in problems_in(error)]
    problems = list(_problems_of(carrier))
    return (None if problems else carrier), problems


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _in_words(problem: Problem) -> Problem:
    match problem.place:
        case ("secrets", _) if problem.code == "model_type":  # empty, or a number
            return replace(problem, text=_SECRET)
        case _:
            return replace(problem, text=_WORDS.get(problem.code, problem.text))


def _problems_of(carrier: Carrier) -> Iterator[Problem]:
    adapter = ADAPTERS[carrier.provider]
    known = {*adapter.secrets, *adapter.other_secrets}
    for kind, needed, given, allowed in (
        ("secrets", adapter.secrets, carrier.secrets, known),
        ("options", adapter.options, carrier.options, {*adapter.options, *adapter.other_options}),
    ):
        for name in sorted(set(needed) - given.keys()):
            yield Problem((kind, name), "missing", f"missing; {carrier.provider} needs it")
        for name in sorted(given.keys() - allowed):
            if kind == "secrets" and adapter.any_secrets:
                continue
            yield Problem((kind, name), "unknown", f"unknown; {carrier.provider} has no such")
    for name, secret in carrier.secrets.items():
        if (secret.sealed is None) == (secret.env is None):
            yield Problem(("secrets", name), "secret", _SECRET)
    yield from _problems_of_url(carrier)
    yield from _problems_of_senders(carrier)
    yield from _problems_of_mapping(carrier)


def _problems_of_url(carrier: Carrier) -> Iterator[Problem]:
    if carrier.api_url and (problem := url_problem(carrier.api_url)):
        yield Problem(("api_url",), "url", problem)
    needs_url = carrier.provider == "kannel" or bool(carrier.mapping and carrier.mapping.sending)
    if needs_url and not carrier.api_url:
        example = "http://127.0.0.1:13013/cgi-bin/sendsms"
        yield Problem(("api_url",), "missing", f"missing; where sends go, such as {example}")


def _problems_of_senders(carrier: Carrier) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, sender in enumerate(carrier.senders):
        place = ("senders", str(index))
        if sender.address in seen:
            yield Problem(place, "twice", "is given twice")
        seen.add(sender.address)
        is_whatsapp = sender.address.startswith("whatsapp:")
        if carrier.provider == "whatsapp" and not (is_whatsapp and sender.id):
            text = "needs an address with whatsapp: before it, and `id`, Meta's phone_number_id"
            yield Problem(place, "sender", text)
        if is_whatsapp and carrier.provider in ("telnyx", "kannel"):
            text = f"{carrier.provider} carries no WhatsApp here"
            yield Problem(place, "sender", text)


def _problems_of_mapping(carrier: Carrier) -> Iterator[Problem]:
    if (carrier.provider == "generic") != (carrier.mapping is not None):
        text = "`generic` needs it" if carrier.provider == "generic" else "only `generic` has one"
        yield Problem(("mapping",), "mapping", text)
    sending = carrier.mapping.sending if carrier.mapping else None
    if sending is None:
        return
    if (sending.form is None) == (sending.json_ is None):
        yield Problem(("mapping", "sending"), "mapping", "give either `form` or `json`")
    elif sending.method == "GET" and sending.form is None:
        yield Problem(("mapping", "sending", "json"), "mapping", "a GET has a `form`, its query")
    known = {*FILLED, *(f"secret.{name}" for name in carrier.secrets)}
    for kind, texts in (
        ("headers", sending.headers),
        ("form", sending.form or {}),
        ("json", sending.json_ or {}),
    ):
        for name, text in texts.items():
            for unknown in sorted(set(PLACEHOLDER.findall(text)) - known):
                said = f"unknown: {{{unknown}}}; known are {', '.join(sorted(known))}"
                yield Problem(("mapping", "sending", kind, name), "placeholder", said)


def _shared_senders(carriers: Mapping[str, Carrier]) -> Iterator[Problem]:
    """An account's sender belongs to at most one carrier."""
    holders: dict[tuple[str, str], str] = {}
    for name in sorted(carriers):
        carrier = carriers[name]
        for sender in carrier.senders:
            place = sender.account_sid or carrier.account_sid, sender.address
            other = holders.setdefault(place, name)
            if other != name:
                text = (
                    f"{sender.address} belongs to the carriers {other} and {name}; take it out of"
                    " one of them"
                )
                yield Problem(("senders",), "shared_sender", text)


def answered(carrier: Carrier) -> frozenset[str]:
    """The words that a carrier's provider answers itself, in their exact form."""
    words = ADAPTERS[carrier.provider].answers if carrier.answers is None else carrier.answers
    return frozenset(map(exact, words))
