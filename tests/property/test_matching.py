"""R13, R14, R16: the bodies that a configuration matches."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from processor.core.lookup import Tier
from processor.core.messages import OptOutType
from processor.core.normalise import clean, exact, tolerant, tolerant_forms
from processor.core.policy import (
    DEFAULT_POLICY,
    KeywordSets,
    MatchMode,
    OptOutConfig,
    Policy,
    standard_sets,
)
from processor.core.readings import disguises, readings
from processor.core.services import Directory
from tests.builders import OTHER_SERVICE, a_service
from tests.strategies import any_configurations, anything, bodies, configurations, countries


@given(any_configurations, bodies, countries)
def test_the_sieve_lets_through_whatever_matches(
    config: OptOutConfig, body: str, country: str | None
) -> None:
    policy = Policy(config)
    assert policy.may_match(body) or policy.match(body, country) is None


@given(any_configurations, any_configurations, bodies, countries)
def test_what_any_service_matches_passes_before_the_service_is_known(
    one: OptOutConfig, other: OptOutConfig, body: str, country: str | None
) -> None:
    directory = Directory([a_service(active=one)])
    directory.change({OTHER_SERVICE: a_service(sid=OTHER_SERVICE, active=other)})
    for policy in (DEFAULT_POLICY, Policy(one), Policy(other)):
        assert directory.may_match(body) or policy.match(body, country) is None


@given(any_configurations, bodies, countries)
def test_r13_a_match_is_the_whole_body_in_the_form_it_says(
    config: OptOutConfig, body: str, country: str | None
) -> None:
    match = Policy(config).match(body, country)
    assume(match is not None)
    assert match is not None
    assert match.key == exact(match.keyword)
    if match.tier is Tier.EXACT:
        assert exact(body) == match.key
        return
    assert config.match is MatchMode.TOLERANT
    if match.tier is Tier.CLEAN:
        assert match.kind is OptOutType.START
        assert clean(body) == clean(match.keyword)
        return
    assert match.kind is not OptOutType.START
    found = [readings(body), *(disguise.readings for disguise in disguises(body))]
    forms = {form for one in found for form in one.stop}
    if match.kind is OptOutType.HELP:
        forms |= {form for one in found for form in one.help}
    assert forms & set(tolerant_forms(match.keyword))


@given(configurations)
def test_r6_every_keyword_as_configured_is_found(config: OptOutConfig) -> None:
    policy = Policy(config)
    layers: list[tuple[str | None, str | None, KeywordSets]]
    layers = [(None, None, standard_sets(config))]
    layers += [(None, language, kinds) for language, kinds in config.languages.items()]
    layers += [
        (country, language, kinds)
        for country, override in config.countries.items()
        for language, kinds in override.languages.items()
    ]
    for country, language, kinds in layers:
        for kind, keyword_set in kinds.items():
            for keyword in keyword_set.keywords:
                match = policy.match(keyword, country)
                assert match is not None
                assert (match.kind, match.key, match.tier) == (kind, exact(keyword), "exact")
                assert (match.language, match.country) == (language, country)
                assert match.reply == keyword_set.reply


@given(configurations, countries, st.sampled_from(["stop", "start", "unstop", "help"]))
def test_r7_reserved_words_match_under_any_configuration(
    config: OptOutConfig, country: str | None, word: str
) -> None:
    match = Policy(config).match(word.upper(), country)
    assert match is not None
    assert match.key == word
    assert match.kind is {"stop": OptOutType.STOP, "help": OptOutType.HELP}.get(
        word, OptOutType.START
    )


@given(any_configurations, anything, countries)
def test_no_text_at_all_breaks_matching(
    config: OptOutConfig, text: str, country: str | None
) -> None:
    for policy in (Policy(config), DEFAULT_POLICY):
        policy.match(text, country)
        policy.may_match(text)
    tolerant(text)


@given(anything, countries)
def test_the_country_matters_only_where_there_are_overrides(body: str, country: str | None) -> None:
    assert not DEFAULT_POLICY.asks_country
    assert DEFAULT_POLICY.match(body, country) == DEFAULT_POLICY.match(body, None)
