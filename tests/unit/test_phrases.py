"""R30: opt-outs by phrase, in the recipient's own words."""

from __future__ import annotations

import pytest

from processor.suspicion.assess import assess
from processor.suspicion.values import SuspicionTier
from tests.suspicion import texts
from tests.suspicion.in_force import policy_of, words_of

CAUGHT = {
    "en": (
        "please stop",
        "stop pls thx",
        "Stop. Thx",
        "Reply STOP",
        "STOP to end",
        "STOP2END",
        "stop texting me",
        "unsubscribe me",
        "END ALL",
        "STOP\n\nSent from my phone",
        "STOP\n--\nJane",
        "STOP\nDale Whitmore\nWhitmore & Daughters Plumbing",
        "SOTP",
        "STPO",
        "Stopp",
        "Unsuscribe",
        "STOP to 55022",
        "please opt me out",
        "take me off this list",
        "kindly do not contact me again",
        "no more texts",
        "lose this number",
        "stop it",
        "STOP 🛑",
        "cease and desist",
        "cancel texts",
        "take my phone off",
        "sign us off",
        "turn off all alerts",
        "leave me in peace",
    ),
    "tl": ("alisin nyo po ako sa list", "wag na po kayong magtext", "tigilan nyo na ako"),
    "es": ("quiero darme de baja", "baja por favor", "no más mensajes", "Responda BAJA"),
    "fr": ("Arrêtez svp", "désinscrivez-moi", "STOP au 36111", "ne m'écrivez plus"),
    "pt": ("não quero mais receber", "sair por favor", "parem de mandar mensagem"),
    "de": ("bitte stopp", "meldet mich ab", "keine SMS mehr", "STOP an 55022"),
    "it": ("stop grazie", "cancellatemi dalla lista", "basta messaggi"),
    "nl": ("stop aub", "schrijf me uit", "geen berichten meer"),
    "pl": ("stop proszę", "usuńcie mój numer", "nie piszcie do mnie"),
    "sv": ("stopp tack", "ta bort mig från listan", "inga fler sms"),
    "ar": ("الرجاء إيقاف", "الغوا اشتراكي", "لا ترسلوا لي رسائل"),
    "hi": ("कृपया मैसेज बंद करें", "mera number hata do", "msg mat bhejo"),
    "zh": ("请退订", "不要再发短信了", "把我从名单里删掉"),
    "ja": ("配信停止お願いします", "もう送らないでください", "番号を消してください"),
}
NEVER = {
    "en": (
        "can I stop?",
        "stop?",
        "STOP 12345",
        "please cancel",
        "cancel please",
        "cancel it",
        "cancel my order",
        'Liked "Reply STOP to end"',
        "> Reply STOP to end\nSounds good",
        "don't stop",
        "please don't stop texting me",
        "do not unsubscribe me",
        "unsubscribe my mother",
        "take my mom off the list",
        "stop by at 3",
        "stop and help me",
        "please stop at the gate",
        "shop please",
        "please remote",
        "stop it 🥰",
        "STOP\nIs the clinic open",
        "STOP\nI want the coupons",
        "no",
        "",
    ),
    "es": ("no quiero darme de baja", "cancelar por favor", "baja el volumen", "para mañana"),
    "fr": ("ne me désabonnez pas", "annulez svp", "je suis en arrêt", "n'arrêtez pas"),
    "pt": ("não quero sair da lista", "cancelar por favor", "para amanhã"),
    "de": ("bitte nicht abmelden", "stornieren bitte", "am Ende der Straße"),
    "it": ("non cancellatemi", "basta così", "fine settimana"),
    "nl": ("niet uitschrijven", "afspraak annuleren aub"),
    "pl": ("nie wypisujcie mnie", "anuluj wizytę proszę"),
    "sv": ("sluta inte", "avboka tiden tack"),
    "ar": ("لا توقفوا الرسائل", "الغاء الموعد من فضلكم"),
    "hi": ("बंद मत करो", "band mat karo", "light band karo"),
    "zh": ("不要停", "取消预约", "请取消"),
    "ja": ("停止しないで", "予約をキャンセルしてください"),
}


def _pairs(of: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(language, body) for language, bodies in of.items() for body in bodies]


def _tier(body: str, language: str) -> SuspicionTier | None:
    found = assess(body, words_of(language))
    return found.tier if found else None


@pytest.mark.parametrize(("language", "body"), _pairs(CAUGHT))
def test_r30_a_keyword_in_plain_company_or_a_fixed_request_is_a_phrase(
    language: str, body: str
) -> None:
    assert _tier(body, language) is SuspicionTier.PHRASE


@pytest.mark.parametrize(("language", "body"), _pairs(NEVER))
def test_r30_other_texts_are_no_phrases(language: str, body: str) -> None:
    assert _tier(body, language) is not SuspicionTier.PHRASE


def test_r30_a_phrase_is_certain_and_says_what_it_is_made_of() -> None:
    found = assess("Reply STOP please", words_of("en"))
    assert found is not None
    assert (found.score, found.reasons) == (1.0, ("echo", "keyword", "courtesy"))


def test_r30_a_keyword_of_a_language_takes_that_languages_company() -> None:
    assert _tier("baja por favor", "es") is SuspicionTier.PHRASE
    assert _tier("baja svp", "es") is not SuspicionTier.PHRASE
    assert _tier("STOP por favor", "en") is SuspicionTier.PHRASE


def test_r30_keywords_that_are_not_in_force_make_no_phrase() -> None:
    assert assess("please wein", {"wein": frozenset()}) is not None
    assert assess("please wein", words_of("en")) is None


def test_r30_a_slip_that_makes_another_word_is_none() -> None:
    words = {"quit": frozenset[str](), "remove": frozenset[str]()}
    assert assess("quti", words) is not None
    assert assess("quiet", words) is None
    assert assess("remote", words) is None


def test_r30_phrases_are_right_99_times_of_100_in_the_field_and_in_our_own_wording() -> None:
    known = [text for text in texts.all_known() if text.label != "ambiguous"]
    found = [
        text.label
        for text in known
        if policy_of(text.language).match(text.body, None) is None
        and _tier(text.body, text.language) is SuspicionTier.PHRASE
    ]
    assert len(found) > 1_000
    assert found.count("stop") >= 0.99 * len(found)
