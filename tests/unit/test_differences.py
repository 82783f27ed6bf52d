"""The differences between two configurations."""

from __future__ import annotations

from processor.configuration.differences import differences
from processor.core.messages import OptOutType, SenderType
from processor.core.policy import CountryOverride, KeywordSet, LateReply, MatchMode, OptOutConfig
from processor.core.suspected import Overdue, OwnWords, TierPolicy
from tests.builders import lines

STOP = OptOutType.STOP
BAJA = {STOP: KeywordSet(("baja",), "Adiós.")}


def test_a_configuration_does_not_differ_from_itself() -> None:
    config = OptOutConfig(languages={"es": BAJA}, countries={"MX": CountryOverride({"es": BAJA})})
    assert differences(config, config) == []


def test_words_that_mean_the_same_are_no_difference() -> None:
    written = OptOutConfig(standard={STOP: KeywordSet(("STOP", "End"), "Bye.")})
    other = OptOutConfig(standard={STOP: KeywordSet(("end",), "Bye.")})
    assert differences(written, other) == []


def test_every_layer_and_setting_is_compared() -> None:
    before = OptOutConfig(
        standard={STOP: KeywordSet(("stop", "end"), "Bye.")}, languages={"es": BAJA}
    )
    after = OptOutConfig(
        match=MatchMode.EXACT,
        help_when_blocked=frozenset({SenderType.SHORT_CODE}),
        stop_when_blocked=frozenset(),
        reply_limit=9,
        late_reply=LateReply.DROP,
        own_words=OwnWords(TierPolicy.OFF, None, Overdue.KEEP),
        standard={STOP: KeywordSet(("stop", "halt"), "Gone.")},
        countries={"MX": CountryOverride({"es": BAJA}, country_fallback=False)},
    )
    assert lines(differences(before, after)) == [
        "match: tolerant -> exact",
        "help_when_blocked: none -> short_code",
        "stop_when_blocked: short_code -> none",
        "reply_limit: 4 -> 9",
        "late_reply: send -> drop",
        "phrases: by country -> off",
        "overdue: by country -> keep",
        "standard.STOP.keywords: - end, + halt",
        "standard.STOP.reply: 'Bye.' -> 'Gone.'",
        "languages.es.STOP.keywords: - baja",
        "languages.es.STOP.reply: - 'Adiós.'",
        "countries.MX.languages.es.STOP.keywords: + baja",
        "countries.MX.languages.es.STOP.reply: + 'Adiós.'",
    ]


def test_whether_a_country_tries_the_other_layers_is_compared() -> None:
    alone, with_others = (
        OptOutConfig(countries={"MX": CountryOverride({"es": BAJA}, country_fallback=fallback)})
        for fallback in (False, True)
    )
    [said] = differences(alone, with_others)
    assert str(said).startswith("countries.MX.country_fallback: ")
