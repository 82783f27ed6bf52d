"""R30: texts that a reasonable person would read as a request to stop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from processor.suspicion.lexicon import documents
from processor.suspicion.values import SuspicionTier
from tests.suspicion import requests, texts
from tests.suspicion.in_force import every_word, words_of

READS_NO_MORE = """
import json, sys, tomllib
from processor.suspicion import assess, company, keywords, lexicon

def refuse(*args):
    raise AssertionError("read late")

assess.load()
json.loads = tomllib.loads = refuse
for module in (company, keywords, lexicon):
    module.expressions = module.documents = refuse
for text in sys.argv[1:]:
    assess.assess(text, {"stop": frozenset({"en"}), "halt": frozenset()})
"""
FIELD_CASES = Path(__file__).parents[1] / "field" / "cases.jsonl"
SUSPECTED = {
    "en": (
        "I pay for every message, stop sending these",
        "wrong number, take me off your list",
        "you have the wrong guy, quit texting here",
        "could you please remove my number?",
        "I already told you people to stop",
        "if I get one more text I will call my lawyer",
        "one more of these and I switch dentists",
        "quit calling and texting this house",
        "nah we're good here, take us off",
        "We moved away last year so there is no need to text us anymore, please take us off",
    ),
    "es": ("ya les dije que no me escriban", "número equivocado, borren mi número"),
    "fr": ("trop de sms, désinscrivez moi", "j'ai déjà envoyé STOP trois fois"),
    "pt": ("número errado, me tira da lista", "já falei pra não mandar mais"),
    "de": ("falsche Nummer, bitte löschen", "habe schon dreimal Stop geschickt"),
    "it": ("numero sbagliato, cancellatelo", "ho già scritto STOP"),
    "nl": ("veel te veel berichten, stop", "verkeerd nummer, verwijder het"),
    "pl": ("za dużo sms, wypiszcie mnie", "ile razy mam pisać stop"),
    "sv": ("för många sms, avregistrera mig", "jag har redan skrivit stopp"),
    "ar": ("زهقت من رسائلكم وقفوها", "رسائل كثيرة، الغوا اشتراكي"),
    "hi": ("kitni baar bolu band karo", "गलत नंबर है, मैसेज मत भेजो"),
    "zh": ("我已经退订了", "烦死了退订"),
    "ja": ("迷惑です。送らないでください", "何度も停止と言いました", "STOPお願いします"),
    "tl": ("maling numero, tanggalin nyo ako", "ilang beses ko na sinabi, tigilan nyo na"),
}
ORDINARY = {
    "en": (
        "Please don't take me off the list",
        "stop by the office when you can",
        "can you cancel my appointment on Friday",
        "the texts stopped coming last week",
        "Liked “Text STOP to opt out”",
        "you guys are too kind, stop it 🥰",
        "my ex won't stop texting me",
        "no more appointments this week, right",
        "running ten minutes late",
        "Thanks for texting us! Reply STOP to opt out.",
        "You were unsubscribed and will get no further messages",
        "what is your block number",
        "forget it, I can pull it off alone",
    ),
    "es": ("cancelar mi cita", "no para de llover", "me di de baja por error, pónganme otra vez"),
    "fr": ("annuler mon rendez-vous", "il n'arrête pas de pleurer"),
    "pt": ("cancelar minha consulta", "não parou de chover"),
    "de": ("Termin absagen", "ich bekomme keine SMS mehr"),
    "it": ("disdire l'appuntamento di domani", "non ricevo più i messaggi"),
    "nl": ("afspraak afzeggen", "ik krijg geen berichten meer"),
    "pl": ("odwołać wizytę", "nie przestaje padać"),
    "sv": ("avboka tiden", "jag slutar fem"),
    "ar": ("الغاء الموعد", "ما توصلني الرسائل"),
    "hi": ("दुकान कब बंद होगी", "msg nahi aa raha"),
    "zh": ("取消预约", "下雨不停"),
    "ja": ("予約をキャンセル", "笑いが止まらない"),
    "tl": ("paki cancel ng booking ko", "hindi tumitigil ang ulan", "wag tumawag, text na lang"),
}
# Field cases that are too short or too mild to be a request; their label is ambiguous.
UNDECIDED = ("S", "wrong number")
# Ambiguous, too, but with a word that stops: a person looks.
LOOKED_AT = (("en", "STOP 12345"), ("de", "Kündigen bitte"))
# Keywords that are everyday words, or ambiguous, where the pack of their language is not in force.
WITHOUT_ITS_PACK = {"cancelar", "uit", "td"}
_NAMED = 0.98  # of the fixed requests of a language; the others have common words only


def _pairs(of: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(language, body) for language, bodies in of.items() for body in bodies]


@pytest.mark.parametrize(("language", "body"), _pairs(SUSPECTED))
def test_r30_a_request_in_other_words_is_suspected(language: str, body: str) -> None:
    found = assess(body, words_of(language))
    assert found is not None
    assert found.tier is SuspicionTier.SUSPECTED or found.score == 1
    assert 0.5 < found.score <= 1
    assert found.reasons


@pytest.mark.parametrize(("language", "body"), _pairs(ORDINARY))
def test_r30_an_ordinary_message_is_not_suspected(language: str, body: str) -> None:
    assert assess(body, words_of(language)) is None


def test_r30_a_keyword_of_another_language_is_suspected() -> None:
    words = words_of("en")
    others = {word for language in documents() for word in words_of(language)} - words.keys()
    missed = {word for word in others if assess(word, words) is None}
    assert missed == WITHOUT_ITS_PACK


def _field_bodies() -> list[str]:
    lines = FIELD_CASES.read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    return [one["body"] for one in cases if one["case"][0] == "D" and one["case"][1:].isdigit()]


def test_r30_opt_outs_from_the_field_are_at_least_suspected() -> None:
    words = {**words_of("es"), **words_of("fr"), **words_of("pt"), **words_of("en")}
    missed = [body for body in _field_bodies() if assess(body, words) is None]
    assert {*missed} <= {*UNDECIDED}


@pytest.mark.parametrize(("language", "body"), LOOKED_AT)
def test_r30_a_person_looks_at_what_may_be_a_request_to_someone_else(
    language: str, body: str
) -> None:
    found = assess(body, words_of(language))
    assert found is not None
    assert found.tier is SuspicionTier.SUSPECTED


def test_r30_a_glance_names_the_fixed_requests_of_every_language() -> None:
    glance = Glance(())
    named: dict[str, list[bool]] = {}
    for text in requests.written_out():
        named.setdefault(text.language, []).append(glance.names(text.body))
    assert len(named) >= 14
    few = {language: sum(those) / len(those) for language, those in named.items()}
    assert {language: share for language, share in few.items() if share < _NAMED} == {}


def test_r30_reasons_are_words_of_our_own() -> None:
    words = words_of("en")
    reasons = {
        reason
        for text in texts.field()
        if (found := assess(text.body, words)) is not None
        for reason in found.reasons
    }
    assert reasons <= {
        *("courtesy", "echo", "keyword", "object", "request", "signature", "slip"),
        *("stop", "unsub", "remove", "cancel", "enough", "away", "revoke", "consent", "nomore"),
        *("negation", "contact", "message", "list", "number", "legal", "wrong", "already", "call"),
    }


@pytest.mark.parametrize(
    "body",
    [
        "stop " * 13_000,
        "stop" * 16_000,
        "🛑" * 16_000,
        "停止" * 30_000,
        "\x1e" * 65_536,
        "\ud800stop texting me\udfff",
        "a\u0301" * 30_000 + " stop",
        "'" * 65_536,
        "stop\n" * 13_000,
    ],
)
def test_of_a_hostile_body_only_so_much_is_read(body: str) -> None:
    assess(body, words_of("en"))
    Glance(every_word()).at([body, "hello", body])


def test_a_long_body_has_its_request_at_either_end() -> None:
    story = "and then we went to the market and bought some apples for the cake " * 40
    words = words_of("en")
    assert assess(f"{story}. Stop texting me.", words) is not None
    assert assess(f"Stop texting me. {story}", words) is not None
    assert assess(story, words) is None


def test_once_loaded_no_text_waits_for_data() -> None:
    given = [text for each in SUSPECTED.values() for text in each]
    asked = subprocess.run(
        [sys.executable, "-c", READS_NO_MORE, *given], check=False, capture_output=True, text=True
    )
    assert asked.stderr == ""
    assert asked.returncode == 0
