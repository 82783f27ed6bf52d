"""R7 to R10: which configurations may come into force."""

from __future__ import annotations

from typing import Any

import pytest

from processor.configuration.rules import Pool, pool_problems, problems_of
from processor.core.messages import OptOutType
from processor.core.policy import (
    CountryOverride,
    KeywordSet,
    KeywordSets,
    MatchMode,
    OptOutConfig,
)
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    a_config,
    lines,
    sets,
)


def problems(**config: Any) -> list[str]:
    return lines(problems_of(OptOutConfig(**config)))


def many(count: int) -> str:
    return ", ".join(f"word{index}" for index in range(count))


@pytest.mark.parametrize(
    "config",
    [
        OptOutConfig(),
        a_config(),
        a_config(match=MatchMode.EXACT),
        OptOutConfig(standard=sets(stop="arret, arrêt, ARRÊT, “arret”")),
        OptOutConfig(standard=sets(stop=f"stop, {many(20)}")),
        OptOutConfig(standard=sets(stop="take me off")),
        OptOutConfig(standard=sets(stop="stop, si", start="start, sí")),
        OptOutConfig(
            countries={
                "MX": CountryOverride({"es": sets(stop="fin")}),
                "BR": CountryOverride({"pt": sets(help="fin")}),
            }
        ),
        OptOutConfig(countries={"MX": CountryOverride({"es": sets(help="end", stop="stop")})}),
    ],
)
def test_r9_one_meaning_a_keyword_is_right(config: OptOutConfig) -> None:
    assert problems_of(config) == []


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (
            {"standard": sets(stop="fin", help="Fin")},
            [
                "standard.HELP.keywords: 'Fin' is 'fin' of standard.STOP; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {"standard": sets(stop="arrêt", help="arret")},
            [
                "standard.HELP.keywords: 'arret' is 'arrêt' of standard.STOP; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {"standard": sets(stop="optout", help="opt-out")},
            [
                "standard.HELP.keywords: 'opt-out' is 'optout' of standard.STOP; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {"standard": sets(stop="stop all", help="stopall")},
            [
                "standard.HELP.keywords: 'stopall' is 'stop all' of standard.STOP; a keyword has"
                " one meaning, so take one out"
            ],
        ),
        (
            {"standard": sets(stop="إلغاء", help="*إِلغَاء*")},
            [
                "standard.HELP.keywords: '*إِلغَاء*' is 'إلغاء' of standard.STOP; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {"languages": {"es": sets(stop="baja"), "pt": sets(stop="baja")}},
            [
                "languages.pt.STOP.keywords: 'baja' is 'baja' of languages.es.STOP; a keyword has"
                " one meaning, so take one out"
            ],
        ),
        (
            {"languages": {"es": sets(stop="stop")}},
            [
                "languages.es.STOP.keywords: 'stop' is 'stop' of standard.STOP; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {"languages": {"es": sets(help="yes")}},
            [
                "languages.es.HELP.keywords: 'yes' is 'yes' of standard.START; a keyword has one"
                " meaning, so take one out"
            ],
        ),
        (
            {
                "countries": {
                    "CA": CountryOverride({"en": sets(stop="fin"), "fr": sets(stop="fin")})
                }
            },
            [
                "countries.CA.languages.fr.STOP.keywords: 'fin' is 'fin' of"
                " countries.CA.languages.en.STOP; a keyword has one meaning, so take one out"
            ],
        ),
    ],
)
def test_r9_two_meanings_are_refused_and_both_places_named(
    config: dict[str, Any], found: list[str]
) -> None:
    assert problems(**config) == found


@pytest.mark.parametrize("start", ["stop", "START, end", "ｈｅｌｐ"])
def test_r9_a_consent_cannot_be_a_word_that_means_something_else(start: str) -> None:
    assert len(problems(standard=sets(start=start))) == 1


def test_r10_twenty_keywords_besides_the_reserved_ones() -> None:
    assert problems(languages={"es": sets(start=many(21))}) == [
        "languages.es.START.keywords: more than 20 besides the reserved words; take some out"
    ]


def test_r10_exact_mode_allows_no_white_space_within() -> None:
    config = {"standard": sets(stop="stop, take\u00a0off"), "match": MatchMode.EXACT}
    assert problems(**config) == [
        "standard.STOP.keywords: 'take\\xa0off' has white space within; take it out,"
        " or set match to tolerant"
    ]


@pytest.mark.parametrize("keyword", ["", "\u3000"])
def test_r10_a_keyword_has_something_to_match(keyword: str) -> None:
    kinds = {OptOutType.STOP: KeywordSet(("stop", keyword), "x")}
    assert problems(standard=kinds) == [
        f"standard.STOP.keywords: {keyword!r} has nothing to match; take it out"
    ]


@pytest.mark.parametrize("keyword", ["stop, end", "a,b", "توقف، قف", "退订，取消"])
def test_r8_keywords_of_a_list_stand_each_by_itself(keyword: str) -> None:
    kinds = {OptOutType.STOP: KeywordSet(("stop", keyword), "x")}
    said = "has a comma; write each keyword by itself"
    assert problems(standard=kinds) == [f"standard.STOP.keywords: {keyword!r} {said}"]


def test_r10_problems_are_returned_all_at_once() -> None:
    config = {
        "standard": sets(stop="fin", help="fin"),
        "languages": {"es": sets(stop=many(21))},
        "countries": {"MX": CountryOverride({"es": sets(stop="a b")})},
        "match": MatchMode.EXACT,
    }
    assert [problem.split(":")[0] for problem in problems(**config)] == [
        "languages.es.STOP.keywords",
        "countries.MX.languages.es.STOP.keywords",
        "standard.HELP.keywords",
    ]


def test_r1_a_sender_is_in_one_service_at_most() -> None:
    services = [
        Pool("service 1", ACCOUNT, [LONG_CODE]),
        Pool("service 2", ACCOUNT, [OTHER_LONG_CODE, LONG_CODE]),
    ]
    assert lines(pool_problems(services)) == [
        "service 2: senders.1.address: is in service 1 already; remove it there first"
    ]


def test_r1_a_sender_stands_once_in_a_pool() -> None:
    assert lines(pool_problems([Pool("service 1", ACCOUNT, [LONG_CODE, LONG_CODE])])) == [
        "service 1: senders.1.address: is given twice in this pool; take one out"
    ]


TAKEN = "2: senders.0.address: is not available: another account has this number; choose another"


def test_a_number_in_another_accounts_pool_is_not_available_and_whose_it_is_is_not_said() -> None:
    theirs = Pool("service 1", ACCOUNT, [LONG_CODE], {LONG_CODE})
    assert lines(pool_problems([theirs, Pool("2", OTHER_ACCOUNT, [LONG_CODE])])) == [TAKEN]
    assert lines(pool_problems([Pool("2", OTHER_ACCOUNT, [LONG_CODE]), theirs])) == [TAKEN]


def test_a_number_that_another_account_recorded_is_not_available() -> None:
    pools = [Pool("2", OTHER_ACCOUNT, [LONG_CODE])]
    assert lines(pool_problems(pools, {LONG_CODE: ACCOUNT}.get)) == [TAKEN]
    assert pool_problems(pools, {LONG_CODE: OTHER_ACCOUNT}.get) == []


def test_a_number_that_two_accounts_had_before_that_was_asked_stays_with_both() -> None:
    both = [Pool("1", ACCOUNT, ["+1"], {"+1"}), Pool("2", OTHER_ACCOUNT, ["+1"], {"+1"})]
    assert pool_problems(both) == []


def test_a_name_belongs_to_nobody_and_a_pool_of_nobody_takes_nothing() -> None:
    assert (
        pool_problems([Pool("1", ACCOUNT, ["Clinic"]), Pool("2", OTHER_ACCOUNT, ["Clinic"])]) == []
    )
    assert pool_problems([Pool("1", None, [LONG_CODE]), Pool("2", ACCOUNT, [LONG_CODE])]) == []


@pytest.mark.parametrize(
    "keyword", ["stop.", "STÓP", "“Stop!”", "(stop)", "stop stop", "s t o p", "ѕtop", "hélp"]
)
def test_r7_a_word_that_reads_as_a_reserved_one_is_no_keyword_of_start(keyword: str) -> None:
    kinds = {OptOutType.START: KeywordSet(("start", keyword), "x")}
    kind = "HELP" if keyword == "hélp" else "STOP"
    said = f"START.keywords: {keyword!r} is always a keyword of {kind}; take it out"
    assert problems(standard=kinds) == [f"standard.{said}"]
    assert problems(languages={"es": kinds}) == [
        "languages.es.START.keywords: 'start' is 'start' of standard.START; a keyword has one"
        " meaning, so take one out",
        f"languages.es.{said}",
    ]
    assert problems(countries={"MX": CountryOverride({"es": kinds})}) == [
        f"countries.MX.languages.es.{said}"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (sets(help="stop"), "HELP.keywords: 'stop' is always a keyword of STOP"),
        (sets(help="ＳＴＯＰ"), "HELP.keywords: 'ＳＴＯＰ' is always a keyword of STOP"),
        (sets(help="“stóp”"), "HELP.keywords: '“stóp”' is always a keyword of STOP"),
        (sets(help="ѕtop"), "HELP.keywords: 'ѕtop' is always a keyword of STOP"),
        (sets(help="stop stop"), "HELP.keywords: 'stop stop' is always a keyword of STOP"),
        (sets(stop="(start)"), "STOP.keywords: '(start)' is always a keyword of START"),
        (sets(stop="help?"), "STOP.keywords: 'help?' is always a keyword of HELP"),
        (sets(start="help"), "START.keywords: 'help' is always a keyword of HELP"),
        (sets(stop="unstop"), "STOP.keywords: 'unstop' is always a keyword of START"),
    ],
)
def test_r7_a_country_cannot_turn_a_reserved_word(given: KeywordSets, said: str) -> None:
    config = OptOutConfig(countries={"MX": CountryOverride({"es": given})})
    assert lines(problems_of(config)) == [f"countries.MX.languages.es.{said}; take it out"]


def test_r9_a_question_may_be_a_help_of_its_own() -> None:
    assert problems(standard=sets(help="help, stop?")) == []
    assert problems(standard=sets(help="stop stop")) == [
        "standard.HELP.keywords: 'stop stop' is always a keyword of STOP; take it out"
    ]
