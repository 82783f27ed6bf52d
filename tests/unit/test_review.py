"""R11: warnings about a configuration before it comes into force; they never refuse it."""

from __future__ import annotations

import pytest

from processor.configuration.languages import language_of, languages
from processor.configuration.rules import problems_of
from processor.configuration.warnings import warnings_of
from processor.core.messages import OptOutType, SenderType
from processor.core.policy import CountryOverride, KeywordSet, MatchMode, OptOutConfig
from processor.core.services import PoolSender
from tests.builders import LONG_CODE, SHORT_CODE, TOLL_FREE, lines, sets

STOP, START, HELP = OptOutType.STOP, OptOutType.START, OptOutType.HELP
POOL = (PoolSender(LONG_CODE, SenderType.LONG_CODE),)
GOOD = "You get no more. Reply START to come back."


def replying(reply: str) -> OptOutConfig:
    return OptOutConfig(standard={STOP: KeywordSet(("stop",), reply)})


def test_r11_default_words_and_replies_need_no_look() -> None:
    assert warnings_of(OptOutConfig(), POOL) == []


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (f"{GOOD} Questions: help@clinic.example", "has an e-mail address"),
        (f"{GOOD} Call +1 555 999 0000", "has a phone number that is not a sender"),
        (f"{GOOD} Card 4111 1111 1111 1111", "has digits like a card's"),
        (f"{GOOD} Bye {{name}}", "has a placeholder"),
        ("You get no more.", "does not say how to come back"),
    ],
)
def test_r11_a_reply_that_needs_a_look_is_named(reply: str, what: str) -> None:
    [warning] = lines(warnings_of(replying(reply), POOL))
    assert warning.startswith("standard.STOP.reply: ")
    assert what in warning


@pytest.mark.parametrize("tag", languages())
def test_r11_every_starter_packs_way_back_is_seen_in_any_script(tag: str) -> None:
    config = OptOutConfig(languages={tag: language_of(tag).pack})
    assert [one for one in lines(warnings_of(config, POOL)) if "come back" in one] == []


@pytest.mark.parametrize("reply", [GOOD, f"{GOOD} From {LONG_CODE}.", f"{GOOD} 24/7"])
def test_r11_a_good_reply_needs_no_look(reply: str) -> None:
    assert warnings_of(replying(reply), POOL) == []


def test_r11_a_short_codes_registration_is_held_against_what_is_configured() -> None:
    registered = {STOP: KeywordSet(("stop", "quit"), GOOD)}
    pool = (PoolSender(SHORT_CODE, SenderType.SHORT_CODE, registered),)
    config = OptOutConfig(standard={STOP: KeywordSet(("stop", "end"), "Bye. START returns.")})
    registered_for = "registered for short code 12345; make both the same"
    assert lines(warnings_of(config, pool)) == [
        f"standard.STOP.keywords: end, stop here, quit, stop {registered_for}",
        f"standard.STOP.reply: 'Bye. START returns.' here, {GOOD!r} {registered_for}",
    ]


def test_r11_a_short_code_that_is_registered_as_configured_needs_no_look() -> None:
    config = replying(GOOD)
    pool = (PoolSender(SHORT_CODE, SenderType.SHORT_CODE, config.standard),)
    assert warnings_of(config, pool) == []


def test_r11_r20_a_toll_free_number_may_tell_people_to_come_back_with_start() -> None:
    pool = (PoolSender(TOLL_FREE, SenderType.TOLL_FREE),)
    [only] = warnings_of(replying(GOOD), pool)
    assert "network sends its own reply" in str(only)


def test_r11_a_country_override_with_a_stop_of_its_own_and_every_kind_needs_no_look() -> None:
    kinds = {
        STOP: KeywordSet(("stop",), GOOD),
        START: KeywordSet(("volver",), "You are back."),
        HELP: KeywordSet(("auxilio",), "Reply STOP to end."),
    }
    config = OptOutConfig(countries={"MX": CountryOverride({"es": kinds})})
    assert not [one for one in warnings_of(config, POOL) if str(one).startswith("countries.MX: ")]


def test_r11_r20_a_toll_free_number_never_shows_our_stop_reply_and_knows_only_start() -> None:
    pool = (PoolSender(TOLL_FREE, SenderType.TOLL_FREE),)
    config = replying("You get no more. Reply YES to come back.")
    assert lines(warnings_of(config, pool)) == [
        "standard.STOP.reply: not sent if someone texts STOP to a toll-free number from the US or "
        "Canada; the network sends its own reply there. Nothing to change",
        "standard.STOP.reply: asks people to come back with yes, but only START and UNSTOP lift a "
        "toll-free network's block; name START",
    ]
    kinds = {START: KeywordSet(("alta",), "x"), STOP: KeywordSet(("baja",), "ALTA para volver")}
    told = "asks people to come back with alta, but only START and UNSTOP lift a toll-free"
    assert lines(warnings_of(OptOutConfig(languages={"es": kinds}), pool)) == [
        f"languages.es.STOP.reply: {told} network's block; name START"
    ]
    for country, times in (("CA", 1), ("MX", 0)):
        config = OptOutConfig(countries={country: CountryOverride({"es": kinds})})
        said = f"countries.{country}.languages.es.STOP.reply: {told} network's block; name START"
        assert lines(warnings_of(config, pool)).count(said) == times


def test_r13_a_word_of_start_that_is_hard_to_tell_from_anothers_is_named() -> None:
    config = OptOutConfig(standard=sets(stop="stop, si", start="start, sí"))
    told = (
        "standard.START.keywords: 'sí' is hard to tell from 'si' of standard.STOP; choose another"
    )
    assert told in lines(warnings_of(config, ()))
    languages = {"es": sets(start="sí"), "it": sets(stop="si")}
    told = (
        "languages.es.START.keywords: 'sí' is hard to tell from 'si' of languages.it.STOP;"
        " choose another"
    )
    assert told in lines(warnings_of(OptOutConfig(languages=languages), ()))
    apart = CountryOverride({"es": sets(start="end")}, country_fallback=False)
    assert not any(
        "hard to tell" in warning
        for warning in lines(warnings_of(OptOutConfig(countries={"MX": apart}), ()))
    )


def test_r11_a_country_override_without_the_usual_kinds_is_named() -> None:
    fr = {STOP: KeywordSet(("arret",), "Fini. START pour revenir.")}
    config = OptOutConfig(countries={"CA": CountryOverride({"fr": fr})})
    assert lines(warnings_of(config, POOL)) == [
        "countries.CA: no `stop` of its own, no START, no HELP; until added, the standard"
        " replies answer"
    ]


def test_r7_r11_a_reserved_word_that_a_list_leaves_out_is_named() -> None:
    sets = {START: KeywordSet(("start", "volver"), GOOD), HELP: KeywordSet(("info",), GOOD)}
    assert lines(warnings_of(OptOutConfig(standard=sets), POOL)) == [
        "standard.START.keywords: add unstop; matched here even if left out",
        "standard.HELP.keywords: add help; matched here even if left out",
    ]


def test_r11_an_accented_keyword_wants_its_twin_where_the_match_is_exact() -> None:
    sets = {
        STOP: KeywordSet(("parár",), "Bien. VOLVÉR."),
        START: KeywordSet(("volvér",), "Bien. BAJA."),
    }
    languages = {"es": sets}
    assert lines(warnings_of(OptOutConfig(languages=languages), POOL)) == [
        "languages.es.START.keywords: add 'volver': many phones send it in place of 'volvér'"
    ]
    exact = OptOutConfig(match=MatchMode.EXACT, languages=languages)
    assert len(lines(warnings_of(exact, POOL))) == 2
    assert problems_of(exact) == []
