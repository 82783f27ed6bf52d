"""The fixed requests of the languages as texts, so that a glance names each (R30)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from processor.suspicion.lexicon import documents
from processor.suspicion.stems import is_spaceless
from tests.suspicion.texts import Text


def written_out() -> list[Text]:
    """Each fixed request with each expression of each place, a place at a time."""
    return [
        Text(body, "stop", language)
        for language, document in documents().items()
        for body in dict.fromkeys(_of_language(document))
    ]


def _of_language(document: Mapping[str, object]) -> Iterator[str]:
    company, slots = document.get("company", {}), document.get("slots", {})
    assert isinstance(company, dict)
    assert isinstance(slots, dict)
    for pattern in company.get("requests", []):
        places = [list(_choices(place, slots)) for place in pattern.split()]
        plain = [choices[0] for choices in places]
        yield _text(plain)
        for at, choices in enumerate(places):
            yield from (_text([*plain[:at], each, *plain[at + 1 :]]) for each in choices[1:])


def _choices(place: str, slots: Mapping[str, str]) -> Iterator[str]:
    """The expressions of a place; the first is nothing where it may lack."""
    name = place.removesuffix("?")
    if name != place:
        yield ""
    yield from slots[name[1:-1]].split() if name.startswith("<") else (name,)


def _text(places: list[str]) -> str:
    words = [each.replace("_", " ") for each in places if each]
    return ("" if any(map(is_spaceless, words)) else " ").join(words)
