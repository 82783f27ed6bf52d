"""R17: `{brand}` and `{help_contact}` in replies are the service's fields of that name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from processor.configuration.apply import apply
from processor.core.messages import OptOutType
from processor.core.placeholders import filled, unset_in, with_values
from processor.core.policy import KeywordSet, OptOutConfig
from processor.wire.services import read_service, read_stored, service_of, write_stored
from schemas.messaging_service import MessagingService
from tests.builders import ACCOUNT, SERVICE, lines

STOP, START, HELP = OptOutType
VALUES = {"brand": "Acme", "help_contact": "help@acme.example"}
STAMP = datetime(2026, 11, 30, tzinfo=UTC)


def replying(kind: OptOutType, reply: str) -> dict[str, Any]:
    return {kind.value: {"keywords": [kind.lower()], "reply": reply}}


def saved(
    opt_out: dict[str, Any], before: MessagingService | None = None, **fields: Any
) -> tuple[list[str], MessagingService | None]:
    document = {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "opt_out": {"enabled": True, **opt_out},
        **fields,
    }
    stored = {SERVICE: before} if before else {}
    done = apply([document], stored, now=STAMP, new_sid=lambda: SERVICE)
    return lines(problem for problem in done.problems), done.changed.get(SERVICE)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("{brand}: you are out.", "Acme: you are out."),
        ("{brand} {brand} {help_contact}", "Acme Acme help@acme.example"),
        ("{{brand}} {Brand} { brand } {name} {}", "{{brand}} {Brand} { brand } {name} {}"),
        ("no placeholder", "no placeholder"),
    ],
)
def test_r17_a_placeholder_is_filled_in(reply: str, text: str) -> None:
    assert filled(reply, VALUES) == text


def test_r17_the_text_of_a_placeholder_is_not_read_again() -> None:
    assert filled("{brand}", {"brand": "{help_contact}", "help_contact": "x"}) == "{help_contact}"


def test_r17_placeholders_without_a_text_are_named_once() -> None:
    assert unset_in("{help_contact} {brand} {brand} {name}", {"brand": "Acme"}) == ["help_contact"]


def test_r17_parts_without_a_placeholder_stay_shared() -> None:
    plain = {STOP: KeywordSet(("baja",), "Adiós. START")}
    config = OptOutConfig(
        standard={HELP: KeywordSet(("help",), "{brand}: help")}, languages={"es": plain}
    )
    after = with_values(config, VALUES)
    assert after.standard == {HELP: KeywordSet(("help",), "Acme: help")}
    assert after.languages is config.languages
    assert with_values(config, {}) is config


def test_r17_every_layer_of_the_active_configuration_is_filled_in_when_it_is_read() -> None:
    opt_out = {
        "standard": replying(STOP, "{brand}: out. START to return."),
        "languages": {"es": replying(HELP, "{brand}: {help_contact}")},
        "countries": {"MX": {"languages": {"es": replying(START, "{brand}: de vuelta.")}}},
    }
    opt_out["languages"]["es"]["HELP"]["keywords"] = ["ayuda"]
    opt_out["countries"]["MX"]["languages"]["es"]["START"]["keywords"] = ["alta"]
    problems, service = saved(opt_out, None, **VALUES)
    assert problems == []
    assert service is not None
    assert service.opt_out.standard["STOP"].reply == "{brand}: out. START to return."
    value = write_stored(service)
    assert read_service(value) == service_of(read_stored(value))
    active = read_service(value).active
    assert active is not None
    assert active.standard[STOP].reply == "Acme: out. START to return."
    assert active.languages["es"][HELP].reply == "Acme: help@acme.example"
    assert active.countries["MX"].languages["es"][START].reply == "Acme: de vuelta."


def test_r17_a_reply_that_uses_an_unset_placeholder_is_refused() -> None:
    problems, service = saved({"standard": replying(HELP, "{brand}: {help_contact}")}, brand="Acme")
    assert problems == [
        "service 1 (Clinic): opt_out.standard.HELP.reply: uses {help_contact}, but the service has"
        " no help_contact; set it, or write the text itself"
    ]
    assert service is None


def test_r17_a_field_that_a_reply_uses_cannot_be_taken_away() -> None:
    opt_out = {"standard": replying(STOP, "{brand}: out. START to return.")}
    _, before = saved(opt_out, brand="Acme")
    assert before is not None
    problems, _ = saved(opt_out, before)
    assert [problem.partition(": opt_out.")[2][:33] for problem in problems] == [
        "standard.STOP.reply: uses {brand}"
    ]


@pytest.mark.parametrize(("brand", "refused"), [("Acme 12", False), ("Acme 123", True)])
def test_r10_a_replys_length_counts_after_filling(brand: str, refused: bool) -> None:
    reply = "{brand}" + "x" * 313
    problems, _ = saved({"standard": replying(HELP, reply)}, brand=brand)
    assert bool(problems) is refused
    assert all("has 321 characters once its placeholders are filled" in one for one in problems)


@pytest.mark.parametrize("brand", ["", " ", "{brand}", "two\nlines", "x" * 65, 5])
def test_a_brand_is_one_short_line_without_braces(brand: object) -> None:
    problems, _ = saved({}, brand=brand)
    assert [problem.split(": ")[1] for problem in problems] == ["brand"]


def test_r10_placeholders_are_checked_in_a_document_with_other_problems() -> None:
    problems, _ = saved({"standard": replying(HELP, "{brand}")}, colour="red")
    assert [problem.split(": ")[1] for problem in problems] == [
        "colour",
        "opt_out.standard.HELP.reply",
    ]
