"""The checker's own reading of keywords agrees with the decisions, wherever it is sure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.audit.keywords import DEFAULT, Found, Keywords, keywords_of
from processor.configuration.languages import languages
from processor.core.policy import DEFAULT_POLICY, Policy
from processor.wire.services import read_service
from tests.builders import ACCOUNT, NOW, SERVICE

ACTIVE = {
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


def policies() -> tuple[Policy, Keywords]:
    stored = {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "opt_out": ACTIVE,
        "active": ACTIVE,
        "version": 1,
        "updated_at": NOW,
    }
    service = read_service(json.dumps(stored).encode())
    assert service.policy is not None
    return service.policy, keywords_of(json.dumps(ACTIVE).encode())


CONFIGURED = policies()
WORDS = (
    *("stop", "stopall", "stop all", "opt-out", "start", "yes", "unstop", "help", "info", "cancel"),
    *("halt", "🛑", "αδιέξοδο", "arrêt", "arret", "aide", "anfang", "ja", "assist", "baja", "alto"),
)
noise = st.text(" \t\n.!,?;\"'`“”«»*_-()🙂🛑\u200b\ufe0f¡…", max_size=4)
spelled = st.sampled_from(WORDS).flatmap(
    lambda word: st.sampled_from([word, word.upper(), word.title(), " ".join(word), f"{word} now"])
)
bodies = st.one_of(
    st.builds(lambda before, word, after: before + word + after, noise, spelled, noise),
    st.text(max_size=20),
)


@pytest.mark.parametrize(
    ("policy", "keywords"), [(DEFAULT_POLICY, DEFAULT), CONFIGURED], ids=["default", "configured"]
)
@given(body=bodies, country=st.sampled_from([None, "US", "CA", "MX"]))
@example(body="“Stop!” 🙂", country=None)
@example(body="ЅТОР", country="US")
def test_what_is_surely_a_keyword_matches_and_what_matches_may_be_one(
    policy: Any, keywords: Keywords, body: str, country: str | None
) -> None:
    match = policy.match(body, country)
    sure = keywords.surely(body, country)
    if match is None:
        assert sure is None
        return
    said = Found(
        str(match.kind),
        match.keyword,
        match.language,
        match.country,
        match.reply,
        match.tier == "exact",
    )
    assert keywords.may_be(body)
    assert keywords.fits(body, country, said)
    assert match.reply in keywords.replies(said)
    assert sure in (None, said._replace(reply=sure.reply if sure else ""))


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
