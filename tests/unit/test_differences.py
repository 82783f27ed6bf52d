"""The differences between two configurations."""

from __future__ import annotations

from processor.configuration.differences import differences
from processor.core.messages import OptOutType, SenderType
from processor.core.policy import CountryOverride, KeywordSet, MatchMode, OptOutConfig

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
        standard={STOP: KeywordSet(("stop", "halt"), "Gone.")},
        countries={"MX": CountryOverride({"es": BAJA}, country_fallback=False)},
    )
    assert differences(before, after) == [
        "match: tolerant -> exact",
        "help_when_blocked: none -> short_code",
        "standard.STOP.keywords: - end, + halt",
        "standard.STOP.reply: 'Bye.' -> 'Gone.'",
        "languages.es.STOP.keywords: - baja",
        "languages.es.STOP.reply: - 'Adiós.'",
        "countries.MX.languages.es.STOP.keywords: + baja",
        "countries.MX.languages.es.STOP.reply: + 'Adiós.'",
    ]
