"""How pages of the console name places and services."""

from __future__ import annotations

import pytest

from processor.configuration.differences import Difference
from processor.errors import Problem
from processor.http.console.layers import Place, field_of, grouped, in_words
from processor.http.console.naming import Unclear, as_typed, options, the_one
from tests.stored import a_stored_service


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            Difference(("standard", "HELP", "keywords"), "+ info"),
            "Standard keywords, Help keywords: + info",
        ),
        (
            Difference(("countries", "FR", "languages", "fr", "STOP", "reply"), "- 'a: b'"),
            "FR: French (fr), Opt-out reply: - 'a: b'",
        ),
        (Problem(("languages", "es"), "", "nothing in it"), "Spanish (es): nothing in it"),
        (Problem(("countries", "FR"), "", "no `stop` of its own"), "FR: no `stop` of its own"),
        (Difference(("match",), "tolerant -> exact"), "match: tolerant -> exact"),
        (Problem((), "", "too large"), "too large"),
    ],
)
def test_a_place_is_said_as_pages_call_it(said: Problem | Difference, words: str) -> None:
    assert in_words(said) == words


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (
            ("languages", "es", "STOP", "reply"),
            Place("Spanish (es), Opt-out reply", "languages.es", "#STOP-reply"),
        ),
        (("standard",), Place("Standard keywords", "standard", "")),
        (("countries", "FR"), None),
        (("match",), None),
    ],
)
def test_a_problem_leads_to_the_field_that_it_is_about(
    place: tuple[str, ...], field: Place | None
) -> None:
    assert field_of(Problem(place, "", "x")) == field


_SERVICES = [
    a_stored_service(f"MG{number}", friendly_name=name)
    for number, name in enumerate(("Twin", "twin", "Shop", "Shop two", "MG0"))
]


@pytest.mark.parametrize(
    ("typed", "sid"),
    [("MG1", "MG1"), (" shop ", "MG2"), ("TWO", "MG3"), ("MG0", "MG0"), ("g3", "MG3")],
)
def test_a_sid_goes_before_a_name_and_that_before_a_part_of_one(typed: str, sid: str) -> None:
    assert the_one(_SERVICES, typed).sid == sid


@pytest.mark.parametrize(
    ("typed", "why"),
    [("twin", r"Twin \(MG0\), twin \(MG1\)\. Name"), ("MG", "MG0.* Name"), ("x", "No service")],
)
def test_what_may_be_several_or_none_is_said(typed: str, why: str) -> None:
    with pytest.raises(Unclear, match=why):
        the_one(_SERVICES, typed)


def test_what_a_field_offers_names_one_service_each() -> None:
    for value, _ in options(_SERVICES):
        assert as_typed(_SERVICES, the_one(_SERVICES, value)) == value
    assert [value for value, _ in options(_SERVICES, "TWIN")] == ["MG0", "MG1"]


def test_r11_warnings_alike_in_many_places_are_one_line() -> None:
    few = [
        Problem(("languages", tag, "STOP", "reply"), "link", "has a link") for tag in ("es", "fr")
    ]
    many = [
        Problem(("languages", tag, "HELP", "reply"), "no_brand", "names no brand", source="CTIA")
        for tag in ("de", "es", "fr", "it", "pt")
    ]
    assert grouped([*many, *few]) == [(many[0], 4), (few[0], 0), (few[1], 0)]
