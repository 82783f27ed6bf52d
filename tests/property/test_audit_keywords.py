"""The audit reads texts by its own code, and never contradicts match on them (R13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.audit.keywords import DEFAULT, DEFAULT_RCS, Found, Keywords
from processor.audit.prefilter import Words
from processor.configuration.languages import languages
from processor.core.policy import DEFAULT_POLICY, RCS_POLICY, Policy
from processor.wire.services import config_of
from schemas.messaging_service import OptOut

CONFIG: dict[str, Any] = {
    "enabled": True,
    "standard": {
        "STOP": {"keywords": ["stop", "end", "opt out", "no more", "haha"], "reply": "Out."},
        "START": {"keywords": ["start", "yes", "ok", "go", "subscribe"], "reply": "In."},
        "HELP": {"keywords": ["help", "info", "assist me"], "reply": "Call."},
    },
    "languages": {
        "fr": {"STOP": {"keywords": ["arrêt", "désabonner"], "reply": "Fini."}},
        "ru": {"STOP": {"keywords": ["стоп"], "reply": "Всё."}},
        "zh": {
            "STOP": {"keywords": ["退订"], "reply": "好"},
            "START": {"keywords": ["订阅"], "reply": "好"},
        },
        "ar": {"STOP": {"keywords": ["توقف"], "reply": "تم"}},
        "el": {"STOP": {"keywords": ["διακοπή"], "reply": "Τέλος."}},
    },
    "countries": {
        "MX": {
            "languages": {
                "es": {
                    "STOP": {"keywords": ["baja"], "reply": "Sí."},
                    "START": {"keywords": ["alta", "acepto"], "reply": "No."},
                }
            },
            "country_fallback": False,
        }
    },
}
ACTIVE: dict[str, Any] = {
    "enabled": True,
    "standard": {"STOP": {"keywords": ["stop", "Halt", "🛑", "stopall", "αδιέξοδο"], "reply": "a"}},
    "languages": {
        "fr": {
            "STOP": {"keywords": ["arrêt"], "reply": "b"},
            "HELP": {"keywords": ["aide"], "reply": "c"},
        },
        "de": {"START": {"keywords": ["anfang", "ja"], "reply": "d"}},
    },
    "countries": {
        "CA": {
            "country_fallback": False,
            "languages": {"en": {"HELP": {"keywords": ["assist", "halt"], "reply": "e"}}},
        },
        "MX": {"languages": {"es": {"STOP": {"keywords": ["baja", "alto"], "reply": "f"}}}},
    },
}
PAIRS = [
    (Policy(config_of(OptOut.model_validate(ACTIVE))), Keywords(ACTIVE)),
    (Policy(config_of(OptOut.model_validate(CONFIG))), Keywords(CONFIG)),
    (
        Policy(config_of(OptOut.model_validate(CONFIG | {"match": "exact"}))),
        Keywords(CONFIG | {"match": "exact"}),
    ),
    (DEFAULT_POLICY, DEFAULT),
    (RCS_POLICY, DEFAULT_RCS),
]
WORDS = (
    *("stop", "end", "opt out", "optout", "no more", "haha", "start", "yes", "ok", "go", "help"),
    *("subscribe", "info", "assist me", "arrêt", "arret", "désabonner", "стоп", "退订", "订阅"),
    *("توقف", "تَوَقُّف", "διακοπή", "baja", "alta", "acepto", "parar", "começar", "cancel", "unstop"),
    *(
        "ѕтор",
        "ЅТОР",
        "НЕLP",
        "СANCEL",
        "ＳＴＯＰ",
        "st",
        "op",
        "please",
        "S",
        "T",
        "O",
        "P",
        "e",
        "n",
    ),
)
SIGNS = (
    " \t\n.,!:*_-?¿;'\"“”()[]–—·•…@#/+=~^&%$🙂🛑👍🚫❓\u200b\ufe0f\u00a0。،؟؛\u037e\u0301\u0640ß1"
)
signs = st.text(SIGNS, max_size=3)
words = st.sampled_from(WORDS).flatmap(
    lambda word: st.sampled_from([word, word.upper(), word.title(), " ".join(word), ".".join(word)])
)
bodies = st.one_of(
    st.tuples(signs, words, signs).map("".join),
    st.tuples(signs, words, signs, words, signs).map("".join),
    st.tuples(signs, words, signs, st.integers(2, 3)).map(lambda one: (one[0] + one[1]) * one[3]),
    st.lists(st.one_of(words, signs), max_size=6).map("".join),
    st.text(max_size=8),
)


def agrees(body: str, country: str | None) -> None:
    """The audit takes each match for right, and expects none where there is none."""
    for policy, keywords in PAIRS:
        match = policy.match(body, country)
        if match is None:
            assert keywords.surely(body, country) is None
            continue
        said = Found(match.kind, match.keyword, match.language, match.country, match.tier)
        assert keywords.fits(body, country, said)
        if match.tier == "exact" and len(body) < 200:
            assert keywords.may_be(body)
        if body.isascii() and match.kind != "START" and len(body) < 200:
            assert keywords.surely(body, country) == said
            assert keywords.may_be(body)
        assert match.reply in keywords.replies(said, {})


@given(bodies, st.sampled_from([None, "US", "CA", "MX", "BR"]))
@example("STOP.", None)
@example("*STOP*", None)
@example("S T O P", None)
@example("opt – out", None)
@example("Start!", None)
@example("e n d", None)
@example("help?help", None)
def test_it_never_contradicts_match(body: str, country: str | None) -> None:
    agrees(body, country)


@given(bodies)
def test_a_word_that_it_is_sure_of_passes_its_prefilter(body: str) -> None:
    for _, keywords in PAIRS:
        if len(body) < 200 and keywords.surely(body, None):
            assert keywords.may_be(body)


def test_it_never_contradicts_match_on_texts_of_the_field() -> None:
    cases = Path(__file__).parents[1] / "field" / "cases.jsonl"
    for line in cases.read_bytes().splitlines():
        body = orjson.loads(line).get("body")
        if isinstance(body, str):
            for country in (None, "US", "CA", "MX", "BR"):
                agrees(body, country)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("STOP?", Found("STOP", "stop", None, None, "tolerant")),
        ("STOP？！", Found("STOP", "stop", None, None, "tolerant")),
        ("stop it", Found("STOP", "stop", None, None, "tolerant")),
        ("st op", Found("STOP", "stop", None, None, "tolerant")),
        ("yes!", Found("START", "yes", None, None, "clean")),
        ("start?", Found("START", "start", None, None, "clean")),
        ("start 🚫", Found("START", "start", None, None, "clean")),
        ("Start!", Found("START", "start", None, None, "tolerant")),
        ("stop", Found("STOP", "stop", None, None, "tolerant")),
        ("STOP!", Found("STOP", "stop", None, None, "exact")),
        ("стар", Found("STOP", "стоп", "ru", None, "tolerant")),
    ],
)
def test_it_contradicts_a_match_that_the_rules_exclude(body: str, said: Found) -> None:
    keywords = Keywords(CONFIG)
    assert not keywords.fits(body, None, said)


def test_every_word_of_every_language_is_surely_a_keyword() -> None:
    for tag, language in languages().items():
        sets = {
            str(kind): {"keywords": list(one.keywords), "reply": one.reply}
            for kind, one in language.pack.items()
        }
        keywords = Keywords({"languages": {tag: sets}})
        for kind, one in sets.items():
            for word in one["keywords"]:
                found = keywords.surely(word.upper(), None)
                assert found is not None, (tag, word)
                assert found.kind == kind or found.language is None, (tag, word)


def test_words_of_buttons_pass_the_prefilter_of_all_services() -> None:
    assert Words().may_be("Começar")
