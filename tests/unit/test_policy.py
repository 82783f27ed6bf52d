"""R6, R7, R16, R17: three layers in one look-up."""

from __future__ import annotations

import pytest

from processor.core.lookup import Tier
from processor.core.messages import OptOutType
from processor.core.policy import (
    DEFAULT_POLICY,
    STANDARD,
    CountryOverride,
    KeywordSet,
    Match,
    OptOutConfig,
    Policy,
    standard_sets,
)
from tests.builders import a_config, sets

STOP, START, HELP = OptOutType


def who(policy: Policy, body: str, country: str | None = None) -> tuple[str, str] | None:
    match = policy.match(body, country)
    return (match.keyword, match.reply) if match else None


@pytest.mark.parametrize(
    ("body", "country", "match"),
    [
        (
            "Stop",
            "US",
            Match(STOP, "stop", "stop", Tier.EXACT, None, None, "standard STOP"),
        ),
        ("BAJA", "US", Match(STOP, "baja", "baja", Tier.EXACT, "es", None, "es STOP")),
        ("baja!", None, Match(STOP, "baja", "baja", Tier.TOLERANT, "es", None, "es STOP")),
        ("alto", "MX", Match(STOP, "alto", "alto", Tier.EXACT, "es", "MX", "MX STOP")),
        ("Volver", "MX", Match(START, "volver", "volver", Tier.EXACT, "es", "MX", "MX START")),
        ("ayuda", "MX", Match(HELP, "ayuda", "ayuda", Tier.EXACT, "es", None, "es HELP")),
        ("alto", "US", None),
        ("alto", None, None),
        ("cancel", "US", None),
    ],
)
def test_r6_each_layer_has_its_keywords_and_its_reply(
    body: str, country: str | None, match: Match | None
) -> None:
    assert Policy(a_config()).match(body, country) == match


def test_r7_reserved_words_cannot_be_lost() -> None:
    config = OptOutConfig(standard=sets("x", stop="fin", start="otra", help="socorro"))
    assert standard_sets(config) == sets(
        "x", stop="stop, fin", start="start, unstop, otra", help="help, socorro"
    )


def test_r7_a_list_that_is_given_is_the_whole_list() -> None:
    policy = Policy(OptOutConfig(standard=sets("x", stop="fin", start="otra", help="socorro")))
    words = ("unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel", "yes", "info")
    assert [policy.match(word, "US") for word in words] == [None] * len(words)


def test_r7_an_empty_list_keeps_the_reserved_words() -> None:
    config = OptOutConfig(standard={START: KeywordSet((), "Welcome back.")})
    assert standard_sets(config)[START] == KeywordSet(("start", "unstop"), "Welcome back.")


def test_r7_a_reserved_word_that_is_given_stays_as_it_is_written() -> None:
    config = OptOutConfig(standard={STOP: KeywordSet(("end", " ＳＴＯＰ"), "Bye.")})
    assert standard_sets(config)[STOP] == KeywordSet(("end", " ＳＴＯＰ"), "Bye.")


def test_r7_a_kind_that_is_not_given_has_the_default_words_and_reply() -> None:
    config = OptOutConfig(standard=sets("x", stop="stop"))
    assert standard_sets(config) == {**STANDARD, **sets("x", stop="stop")}
    assert standard_sets(OptOutConfig()) == STANDARD


def test_r7_reserved_words_match_where_only_languages_are_configured() -> None:
    policy = Policy(OptOutConfig(languages={"es": sets("es", stop="baja")}))
    assert who(policy, "stop") == ("stop", STANDARD[STOP].reply)


def test_r16_the_country_wins_where_a_keyword_stands_in_both() -> None:
    config = a_config(countries={"MX": CountryOverride({"es": sets("MX", stop="stop, baja")})})
    assert who(Policy(config), "STOP", "MX") == ("stop", "MX STOP")
    assert who(Policy(config), "baja", "MX") == ("baja", "MX STOP")
    assert who(Policy(config), "STOP", "US") == ("stop", "standard STOP")


def test_r16_a_country_may_mean_something_else_by_a_word() -> None:
    config = a_config(countries={"MX": CountryOverride({"es": sets("MX", help="end, yes")})})
    match = Policy(config).match("end", "MX")
    assert match == Match(HELP, "end", "end", Tier.EXACT, "es", "MX", "MX HELP")


def test_r16_a_miss_in_the_country_falls_to_standard_then_to_the_languages() -> None:
    policy = Policy(a_config())
    assert who(policy, "end", "MX") == ("end", "standard STOP")
    assert who(policy, "baja", "MX") == ("baja", "es STOP")


def test_r16_without_fallback_only_the_reserved_words_are_left() -> None:
    override = CountryOverride({"es": sets("MX", stop="alto")}, country_fallback=False)
    policy = Policy(a_config(countries={"MX": override}))
    words = ("alto", "stop", "Stop!", "start", "unstop", "help", "end", "yes", "info", "baja")
    assert [who(policy, word, "MX") for word in words] == [
        ("alto", "MX STOP"),
        ("stop", "standard STOP"),
        ("stop", "standard STOP"),
        ("start", "standard START"),
        ("unstop", "standard START"),
        ("help", "standard HELP"),
        None,
        None,
        None,
        None,
    ]
    assert who(policy, "end", "US") == ("end", "standard STOP")


def test_r16_standard_goes_before_the_languages() -> None:
    """No valid configuration has such a clash, but an older stored configuration may."""
    policy = Policy(a_config(languages={"es": sets("es", help="end")}))
    assert [who(policy, body) for body in ("end", "end!")] == [("end", "standard STOP")] * 2


def test_r9_of_two_spellings_in_one_list_the_first_is_named() -> None:
    policy = Policy(a_config(standard=sets("x", stop="stop, Arret, arrêt, ARRET")))
    bodies = ("arret", "arrêt", "arrét")
    assert [who(policy, body) for body in bodies] == [
        ("Arret", "x STOP"),
        ("arrêt", "x STOP"),
        ("Arret", "x STOP"),
    ]


def test_r16_every_layer_is_tried_exactly_before_any_is_tried_tolerantly() -> None:
    config = a_config(
        languages={"fr": sets("fr", stop="arrêt")},
        countries={"CA": CountryOverride({"fr": sets("CA", stop="arret")})},
    )
    policy = Policy(config)
    assert who(policy, "ARRÊT", "CA") == ("arrêt", "fr STOP")
    assert who(policy, "arret", "CA") == ("arret", "CA STOP")
    assert who(policy, "arrêt!", "CA") == ("arret", "CA STOP")
    assert who(policy, "arret", "US") == ("arrêt", "fr STOP")


def test_r16_the_exact_entry_of_another_kind_goes_before_a_tolerant_one() -> None:
    config = a_config(standard=sets("x", stop="stop, sí", start="start, si"))
    match = Policy(config).match("SI", None)
    assert match == Match(START, "si", "si", Tier.EXACT, None, None, "x START")


def test_r17_the_reply_is_of_the_language_that_owns_the_keyword() -> None:
    languages = {"es": sets("es", stop="baja"), "pt-BR": sets("pt", stop="sair")}
    policy = Policy(a_config(languages=languages))
    assert who(policy, "sair", "MX") == ("sair", "pt STOP")
    assert who(policy, "baja", "BR") == ("baja", "es STOP")


def test_only_country_overrides_ask_for_the_country() -> None:
    asks = [Policy(config).asks_country for config in (a_config(), a_config(countries={}))]
    assert asks == [True, False]


@pytest.mark.parametrize(
    ("body", "may_match"),
    [
        ("Stop", True),
        (" 'stop'! ", True),
        ("OPT-OUT", True),
        ("stop all", True),
        ("stop please", False),
        ("See you tomorrow at 10", False),
        ("", False),
        ("…", False),
        ("Grüße", False),
        ("¡Está!", False),
        ("štopp", False),
        ("stop\nstop", True),
        ("s t o p", True),
        ("st op", True),
        ("stöp", True),
        ("I am at home", False),
        ("(stop it now)", False),
        ("(s)top", True),
        ("((((((((s)))))))))top", True),
        ("stop now (stop)", False),
        ("\u200b«Ѕтор»", True),
        ("Sí, quiero mi stop", False),
        ("Stau, später am Stop", True),
    ],
)
def test_the_sieve_passes_what_has_the_letters_of_a_keyword_or_its_ends(
    body: str, may_match: bool
) -> None:
    assert DEFAULT_POLICY.may_match(body) is may_match


def test_the_sieve_knows_the_words_of_every_country() -> None:
    assert Policy(a_config()).may_match("alto")
    assert Policy(a_config(languages={"fr": sets("fr", stop="arrêt")})).may_match("ARRET.")


def test_configurations_that_differ_in_replies_share_what_is_compiled() -> None:
    one, other = Policy(a_config()), Policy(a_config(standard=sets("other", stop="stop, end")))
    same = Policy(a_config(languages={"es": sets("ours", stop="baja", start="alta", help="ayuda")}))
    assert who(same, "baja") == ("baja", "ours STOP")
    assert who(one, "baja") == ("baja", "es STOP")
    assert same._lookup is one._lookup
    assert other._lookup is not one._lookup
