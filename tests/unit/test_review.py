"""R11: warnings about a service before its configuration comes into force; they never refuse it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner

from processor.cli import main
from processor.cli.documents import load
from processor.configuration.documents import read_document
from processor.configuration.drafts import warnings_about, warnings_in_draft
from processor.configuration.languages import language_of, languages
from processor.configuration.reviewed import reviewed
from processor.configuration.starters import starter_of
from processor.configuration.warnings import SOURCES, warnings_of
from processor.core.messages import OptOutType
from schemas.messaging_service import ServiceDocument
from tests.builders import ACCOUNT, LONG_CODE, SHORT_CODE, TOLL_FREE

STOP, START, HELP = OptOutType
BERLIN, MONTREAL = "+4915112345678", "+15145550106"
GOOD = "Acme: you get no more. Reply START to come back."
WORDS = "stop, quit, end, revoke, opt out, cancel, unsubscribe"
STANDARD: dict[str, Any] = {
    "STOP": {"keywords": WORDS, "reply": GOOD},
    "START": {"keywords": "start, unstop", "reply": "Acme: you are back. Reply STOP to end."},
    "HELP": {"keywords": "help, info", "reply": "Acme: call 1-800-555-0199. Reply STOP to end."},
}
EXAMPLE = Path("schemas/examples/services.yaml")


def a_document(
    senders: Iterable[str | dict[str, Any]] = (LONG_CODE,),
    *,
    brand: str | None = "Acme",
    help_contact: str | None = None,
    enabled: bool = True,
    standard: dict[str, Any] | None = None,
    **opt_out: Any,
) -> ServiceDocument:
    """A service that nothing is to be said of, but for what is given."""
    kinds = {**STANDARD, **(standard or {})}
    return ServiceDocument.model_validate(
        {
            "account_sid": ACCOUNT,
            "friendly_name": "Clinic",
            "brand": brand,
            "help_contact": help_contact,
            "senders": [one if isinstance(one, dict) else {"address": one} for one in senders],
            "opt_out": {"enabled": enabled, "standard": kinds, **opt_out},
        }
    )


def codes(document: ServiceDocument) -> list[tuple[str, str]]:
    """Place in the draft and code of each warning."""
    return [(".".join(one.place), one.code) for one in warnings_in_draft(document)]


def short_code(country: str | None = None, **more: Any) -> dict[str, Any]:
    return {"address": SHORT_CODE, "type": "short_code", "country": country, **more}


def replying(kind: OptOutType, reply: str, *, keywords: str = "") -> dict[str, Any]:
    return {kind.value: {"keywords": keywords or STANDARD[kind.value]["keywords"], "reply": reply}}


# Replies


@pytest.mark.parametrize("pool", [(LONG_CODE,), (MONTREAL,), (BERLIN,), ()])
def test_r11_a_good_configuration_needs_no_look(pool: tuple[str, ...]) -> None:
    assert codes(a_document(pool)) == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("Questions: help@clinic.example", "email_address"),
        ("Call +1 555 999 0000", "phone_number"),
        ("Card 4111 1111 1111 1111", "card_number"),
        ("Bye {name}", "placeholder"),
        ("Bye {{brand}}", "placeholder"),
        ("Bye %name%", "placeholder"),
        ("Last chance: 20 % off!", "marketing"),
        ("Only $5 today", "marketing"),
        ("Use coupon ABC", "marketing"),
        ("Gutschein sichern", "marketing"),
        ("See https://acme.example/x", "link"),
        ("See acme.com", "link"),
        ("See bit.ly/abc", "link"),
        ("See www.acme.fr", "link"),
    ],
)
def test_r11_a_stop_reply_that_needs_a_look_is_named(more: str, code: str) -> None:
    standard = replying(STOP, f"{GOOD} {more}")
    assert codes(a_document(standard=standard)) == [("standard.STOP.reply", code)]


@pytest.mark.parametrize(
    "more",
    [
        f"From {LONG_CODE}.",
        "24/7",
        "You will not get our offers or promotions.",
        "Questions? Ask at the desk, e.g. Mr. Smith.",
        "Acme Inc. says bye",
    ],
)
def test_r11_a_good_stop_reply_needs_no_look(more: str) -> None:
    assert codes(a_document(standard=replying(STOP, f"{GOOD} {more}"))) == []


def test_r11_personal_data_counts_in_start_replies_and_is_wanted_in_help() -> None:
    start = replying(START, "Acme: you are back. help@acme.example. Reply STOP to end.")
    assert codes(a_document(standard=start)) == [("standard.START.reply", "email_address")]
    wanted = replying(HELP, "Acme: help@acme.example or +49 30 5550 1234. Reply STOP to end.")
    assert codes(a_document(standard=wanted)) == []


@pytest.mark.parametrize("contact", ["1-800-555-0199", "help@acme.example"])
def test_r11_the_services_own_contact_is_not_personal_data(contact: str) -> None:
    standard = replying(START, "{brand}: you are back. Help: {help_contact}. Reply STOP to end.")
    assert codes(a_document(standard=standard, help_contact=contact)) == []


@pytest.mark.parametrize(
    ("contact", "enough"),
    [
        ("1-800-555-0199", True),
        ("(888) 555 0199", True),
        ("+18005550199", True),
        ("1-800-FLOWERS", True),
        ("help@acme.example", True),
        ("acme.com/help", True),
        ("https://acme.fr", True),
        ("303-555-0199", False),
        ("the front desk", False),
    ],
)
@pytest.mark.parametrize("sender", [LONG_CODE, MONTREAL, TOLL_FREE, "+17875550100"])
def test_r11_a_help_reply_of_us_and_canadian_senders_wants_a_contact(
    sender: str, contact: str, enough: bool
) -> None:
    standard = replying(HELP, f"Acme: {contact}. Reply STOP to end.")
    found = [one for one in codes(a_document((sender,), standard=standard)) if "HELP" in one[0]]
    assert found == ([] if enough else [("standard.HELP.reply", "no_contact")])
    assert codes(a_document((BERLIN,), standard=standard)) == []


def test_r11_every_reply_of_us_and_canadian_senders_wants_the_brand() -> None:
    spanish = {"START": {"keywords": ["alta"], "reply": "De vuelta. BAJA para salir."}}
    document = a_document(brand="Acme Clinic", languages={"es": spanish})
    assert codes(document) == [
        ("standard.STOP.reply", "no_brand"),
        ("standard.START.reply", "no_brand"),
        ("standard.HELP.reply", "no_brand"),
        ("languages.es.START.reply", "no_brand"),
    ]
    assert codes(a_document((BERLIN,), brand="Acme Clinic", languages={"es": spanish})) == []
    [first, *_] = warnings_about(a_document(brand=None))
    assert "set `brand`, and write {brand} in it" in first.text


def test_r11_r20_the_stop_reply_of_a_pool_of_toll_free_numbers_only_is_never_sent() -> None:
    standard = replying(STOP, "You get no more. Reply START to come back.")
    assert codes(a_document((TOLL_FREE,), standard=standard)) == [
        ("standard.STOP.reply", "network_answers")
    ]
    assert codes(a_document((TOLL_FREE, LONG_CODE))) == []
    assert codes(a_document((TOLL_FREE, LONG_CODE), standard=standard)) == [
        ("standard.STOP.reply", "no_brand")
    ]


def test_r11_r20_only_start_and_unstop_lift_a_toll_free_networks_block() -> None:
    pool = (TOLL_FREE, LONG_CODE)
    start = STANDARD["START"] | {"keywords": "start, unstop, volver"}
    back = replying(STOP, "Acme: out. Reply VOLVER to come back.") | {"START": start}
    assert codes(a_document(pool, standard=back)) == [
        ("standard.STOP.reply", "network_needs_start")
    ]
    assert codes(a_document(standard=back)) == []
    spanish = {
        "STOP": {"keywords": ["stop", "baja"], "reply": "Acme: ALTA para volver"},
        "START": {"keywords": ["alta"], "reply": "Acme: BAJA"},
        "HELP": {"keywords": ["ayuda"], "reply": "Acme: acme.com"},
    }
    for country, found in (("CA", ["network_needs_start"]), ("MX", [])):
        document = a_document(pool, countries={country: {"languages": {"es": spanish}}})
        assert [code for _, code in codes(document)] == found


def test_r11_a_stop_reply_that_does_not_say_how_to_come_back_is_named() -> None:
    standard = replying(STOP, "Acme: you get no more.")
    assert codes(a_document(standard=standard)) == [("standard.STOP.reply", "no_way_back")]


@pytest.mark.parametrize("tag", languages())
def test_r11_a_starter_packs_replies_need_no_look_in_any_script(tag: str) -> None:
    document = a_document((BERLIN,), **starter_of([tag]))
    everyday = {"doubtful_word"} if language_of(tag).everyday else set()
    assert {code for _, code in codes(document)} == everyday


@pytest.mark.parametrize(("brand", "found"), [("Acme 1", []), ("Acme 12", ["canadian_length"])])
def test_r11_the_length_of_a_canadian_short_codes_replies_counts_after_filling(
    brand: str, found: list[str]
) -> None:
    french = {
        "STOP": {"keywords": ["arret"], "reply": "{brand}: START." + "x" * 146},
        "HELP": {"keywords": ["aide"], "reply": "{brand}: acme.ca. ARRET pour finir."},
    }
    document = a_document(
        [short_code("CA")],
        brand=brand,
        standard={
            kind: {**given, "reply": given["reply"].replace("Acme", "{brand}")}
            for kind, given in STANDARD.items()
        },
        languages={"fr": french},
        help_when_blocked=["short_code"],
    )
    assert [code for _, code in codes(document)] == found


# Words


@pytest.mark.parametrize("word", WORDS.split(", ")[1:])
@pytest.mark.parametrize("sender", [LONG_CODE, TOLL_FREE, "whatsapp:+15005550006", "+16715550100"])
def test_r11_a_us_sender_wants_each_of_the_seven_words(sender: str, word: str) -> None:
    fewer = ", ".join(one for one in WORDS.split(", ") if one != word)
    document = a_document((sender,), standard=replying(STOP, GOOD, keywords=fewer))
    [warning] = [one for one in warnings_about(document) if one.code == "lawful_words_missing"]
    assert warning.place == ("opt_out", "standard", "STOP", "keywords")
    assert warning.text.startswith(f"add {word}: ")
    assert warning.source == "47 CFR 64.1200(a)(10)"
    elsewhere = a_document((BERLIN,), standard=replying(STOP, GOOD, keywords=fewer))
    assert codes(elsewhere) == []


def test_r11_optout_is_as_good_as_opt_out_where_the_match_is_exact() -> None:
    keywords = WORDS.replace("opt out", "optout")
    assert codes(a_document(match="exact", standard=replying(STOP, GOOD, keywords=keywords))) == []


@pytest.mark.parametrize("word", ["no", "ok", "y", "n", "1", "nein", "sí"])
@pytest.mark.parametrize("kind", [STOP, START, HELP])
def test_r11_an_everyday_word_is_named(kind: OptOutType, word: str) -> None:
    usual = STANDARD[kind.value]
    standard = {kind.value: {**usual, "keywords": f"{usual['keywords']}, {word}, si"}}
    assert (f"standard.{kind}.keywords", "everyday_word") in codes(a_document(standard=standard))


@pytest.mark.parametrize("word", ["cancelar", "alto", "uit", "取消", "отмена", "peruuta", "iptal"])
def test_r11_a_word_of_a_pack_that_answers_ordinary_questions_is_named(word: str) -> None:
    document = a_document(standard=replying(STOP, GOOD, keywords=f"{WORDS}, {word}"))
    assert codes(document) == [("standard.STOP.keywords", "doubtful_word")]


def test_r11_yes_is_named_unless_it_acts_on_the_blocked_only() -> None:
    start = {**STANDARD["START"], "keywords": "start, unstop, yes"}
    document = a_document(standard={"START": start})
    assert codes(document) == [("standard.START.keywords", "yes_always")]
    assert codes(a_document(standard={"START": start}, yes_only_when_blocked=True)) == []


def test_r11_the_usual_words_hold_yes_too() -> None:
    document = a_document((BERLIN,))
    del document.opt_out.standard["START"]
    assert codes(document) == [("standard.START.keywords", "yes_always")]


def test_r11_an_accented_keyword_wants_its_twin_where_the_match_is_exact() -> None:
    kinds = {
        "STOP": {"keywords": ["parár"], "reply": "Bien. VOLVÉR."},
        "START": {"keywords": ["volvér"], "reply": "Bien. BAJA."},
    }
    start = ("languages.es.START.keywords", "unaccented_missing")
    assert codes(a_document((BERLIN,), languages={"es": kinds})) == [start]
    exact = replying(STOP, GOOD, keywords="stop")
    document = a_document((BERLIN,), match="exact", standard=exact, languages={"es": kinds})
    assert codes(document) == [("languages.es.STOP.keywords", "unaccented_missing"), start]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("👎", "👎🏻"),
        ("👎🏽", "👎🏻"),
        ("✋", "✋🏻"),
        ("👎, 👎🏻, 👎🏼, 👎🏽, 👎🏾, 👎🏿", None),
        ("🛑", None),
        ("stop🛑", None),
    ],
)
def test_r11_an_emoji_keyword_wants_its_other_spellings(words: str, missing: str | None) -> None:
    document = a_document(standard=replying(STOP, GOOD, keywords=f"{WORDS}, {words}"))
    found = [one for one in warnings_about(document) if one.code == "emoji_spelling"]
    assert len(found) == (missing is not None)
    assert all(missing in one.text for one in found if missing)


def test_r7_r11_a_reserved_word_that_a_list_leaves_out_is_named() -> None:
    standard = {
        "START": {**STANDARD["START"], "keywords": "start, volver"},
        "HELP": {**STANDARD["HELP"], "keywords": "info"},
    }
    document = a_document(standard=standard)
    assert [(".".join(one.place), one.text) for one in warnings_in_draft(document)] == [
        ("standard.START.keywords", "add unstop; matched here even if left out"),
        ("standard.HELP.keywords", "add help; matched here even if left out"),
    ]


def test_r11_a_country_override_without_the_usual_kinds_is_named() -> None:
    french = {"STOP": {"keywords": ["arret"], "reply": "Acme: fini. START pour revenir."}}
    [warning] = warnings_in_draft(a_document(countries={"CA": {"languages": {"fr": french}}}))
    assert (warning.place, warning.code) == (("countries", "CA"), "override_incomplete")
    assert warning.text.startswith("no `stop` of its own, no START, no HELP; ")


def test_r13_a_word_of_start_that_is_hard_to_tell_from_anothers_is_named() -> None:
    standard = {
        "STOP": {**STANDARD["STOP"], "keywords": f"{WORDS}, bien"},
        "START": {**STANDARD["START"], "keywords": "start, unstop, bíen, bien2"},
    }
    found = [one for one in warnings_in_draft(a_document(standard=standard)) if "hard" in one.code]
    assert [(".".join(one.place), one.text) for one in found] == [
        (
            "standard.START.keywords",
            "'bíen' is hard to tell from 'bien' of standard.STOP; choose another",
        )
    ]
    back = {"START": {"keywords": ["bíen"], "reply": "Acme: START"}}
    stop = {"STOP": {"keywords": ["bien"], "reply": "Acme: START"}}
    document = a_document(languages={"es": back, "it": stop})
    assert ("languages.es.START.keywords", "hard_to_tell") in codes(document)


# Senders


def test_r11_a_short_codes_registration_is_compared_with_the_configuration() -> None:
    registered = {"STOP": {"keywords": ["stop", "quit"], "reply": GOOD}}
    standard = replying(STOP, "Acme: bye. START returns.", keywords="stop, end")
    document = a_document(
        [short_code("DE", registered=registered)],
        standard=standard,
        help_when_blocked=["short_code"],
    )
    registered_for = "registered for short code 12345; make both the same"
    assert [(".".join(one.place), one.text) for one in warnings_in_draft(document)] == [
        ("standard.STOP.keywords", f"end, stop here, quit, stop {registered_for}"),
        (
            "standard.STOP.reply",
            f"'Acme: bye. START returns.' here, {GOOD!r} {registered_for}",
        ),
    ]


def test_r11_r17_a_registered_reply_is_compared_once_filled_in() -> None:
    registered = {"STOP": {"keywords": WORDS, "reply": GOOD}}
    standard = replying(STOP, GOOD.replace("Acme", "{brand}"))
    document = a_document(
        [short_code("US", registered=registered)],
        standard=standard,
        help_when_blocked=["short_code"],
    )
    assert codes(document) == []


def test_r11_a_short_code_must_answer_help_and_stop_from_the_blocked() -> None:
    assert codes(a_document([short_code("US")])) == [
        ("help_when_blocked", "silent_help_when_blocked")
    ]
    assert codes(a_document([short_code("US")], stop_when_blocked=["toll_free"])) == [
        ("help_when_blocked", "silent_help_when_blocked"),
        ("stop_when_blocked", "silent_stop_when_blocked"),
    ]
    heard = a_document(
        [short_code("US")], help_when_blocked=["short_code"], stop_when_blocked=["short_code"]
    )
    assert codes(heard) == []


def test_r11_a_canadian_short_code_wants_its_five_words_in_both_languages() -> None:
    document = a_document([short_code("CA")], help_when_blocked=["short_code"])
    assert [(".".join(one.place), one.text[:16]) for one in warnings_in_draft(document)] == [
        ("standard.STOP.keywords", "add ARRET: a Can"),
        ("standard.HELP.keywords", "add AIDE: a Cana"),
    ]
    french = {
        "STOP": {"keywords": ["arrêt"], "reply": "Acme: fini. START pour revenir."},
        "HELP": {"keywords": ["aide"], "reply": "Acme: acme.ca. ARRET pour finir."},
    }
    document = a_document(
        [short_code("CA")], help_when_blocked=["short_code"], languages={"fr": french}
    )
    assert codes(document) == []


def test_r11_a_pool_of_names_only_cannot_hear_a_stop() -> None:
    assert codes(a_document(["ACME"])) == [("senders", "one_way_pool")]
    assert codes(a_document(["ACME", BERLIN])) == []


def test_r11_default_handling_names_no_brand() -> None:
    untouched = a_document(enabled=False)
    untouched.opt_out.standard.clear()
    assert codes(untouched) == [("enabled", "default_handling")]
    assert codes(a_document(enabled=False)) == [("enabled", "default_handling")]
    assert warnings_in_draft(a_document(enabled=False), enabled=True) == []
    assert codes(a_document((BERLIN,), enabled=False)) == []
    # Enabling makes the usual words and replies the service's own.
    enabled = [one.code for one in warnings_about(untouched, enabled=True)]
    assert enabled == [*["no_brand"] * 3, "no_contact", "yes_always"]


# Everywhere


@pytest.mark.parametrize(
    "countries", [None, {"US"}, {"CA"}, {"FR"}], ids=["all", "US", "Canada", "Europe"]
)
def test_r11_the_example_passes_without_a_warning(countries: set[str] | None) -> None:
    with EXAMPLE.open("rb") as file:
        [given] = load(file)
    document, problems = read_document(given)
    assert problems == []
    assert document is not None
    found = reviewed(document, enabled=True)
    assert found.countries == {"US", "CA", "FR"}
    if countries:
        senders = [
            one
            for one, facts in zip(document.senders, found.senders, strict=True)
            if facts.country in countries
        ]
        document = document.model_copy(update={"senders": senders})
    assert codes(document) == []


def test_r11_every_warning_has_a_code_with_its_source() -> None:
    page = Path("processor/configuration/README.md").read_text(encoding="utf-8")
    page = page.partition("\n## The warnings\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = {code.strip("| `"): source.strip(" |") for code, _, source in rows}
    assert listed == {code: source or "ours" for code, source in SOURCES.items()}
    for warning in warnings_of(reviewed(a_document(brand=None), enabled=True)):
        assert warning.source == SOURCES[warning.code]


def checked(tmp_path: Path, document: ServiceDocument, *options: str) -> tuple[int, str]:
    file = tmp_path / "services.yaml"
    given = document.model_dump(mode="json", exclude_none=True)
    file.write_text(yaml.safe_dump([given], allow_unicode=True), encoding="utf-8")
    result = CliRunner().invoke(main, ["services", "check", *options, str(file)])
    return result.exit_code, result.output.replace(str(file), "services.yaml")


def test_r11_check_prints_code_and_source_and_strict_makes_an_error_of_a_warning(
    tmp_path: Path,
) -> None:
    document = a_document(standard=replying(STOP, "Acme: bye. Reply START. acme.com"))
    said = (
        "services.yaml: warning: service 1 (Clinic): opt_out.standard.STOP.reply: has a link"
        " ('acme.com'); a confirmation only confirms, so take it out [link] (47 CFR"
        " 64.1200(a)(12))\n"
    )
    code, output = checked(tmp_path, document)
    assert (code, output) == (0, said + "services.yaml: 0 errors, 1 warnings\n")
    code, output = checked(tmp_path, document, "--strict")
    said = said.replace(": warning: ", ": error: ")
    assert (code, output) == (2, said + "services.yaml: 1 errors, 0 warnings\n")
    code, output = checked(tmp_path, a_document(), "--strict")
    assert (code, output) == (0, "services.yaml: 0 errors, 0 warnings\n")


def test_r11_checks_json_has_the_source(tmp_path: Path) -> None:
    document = a_document([], standard=replying(STOP, "Acme: bye. Reply START. acme.com"))
    _, output = checked(tmp_path, document, "--json")
    [warning] = orjson.loads(output)["warnings"]
    assert (warning["code"], warning["source"]) == ("link", "47 CFR 64.1200(a)(12)")
    assert warning["place"] == ["opt_out", "standard", "STOP", "reply"]


# Policies


def test_r11_us_senders_must_hear_other_words_than_keywords() -> None:
    deaf: dict[str, Any] = {"phrases": "off", "suspected": "off", "overdue": "keep"}
    assert codes(a_document(**deaf)) == [
        ("phrases", "phrases_off"),
        ("suspected", "suspected_off"),
        ("overdue", "overdue_kept"),
    ]
    assert codes(a_document((BERLIN, MONTREAL), **deaf)) == []


def test_r11_other_policies_of_us_senders_need_no_look() -> None:
    assert codes(a_document(phrases="report", suspected="block", overdue="block")) == []
