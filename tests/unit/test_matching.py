"""R13, R14, R16: which bodies are a keyword, in both modes."""

from __future__ import annotations

import pytest

from processor.core.lookup import Tier
from processor.core.messages import OptOutType
from processor.core.policy import DEFAULT_POLICY, CountryOverride, MatchMode, OptOutConfig, Policy
from tests.builders import sets

STOP, START, HELP = OptOutType
WORDS = sets(
    "says",
    stop="stop, stopall, end, optout, cancel, unsubscribe, arrêt, baja, iptal, отписка, στοπ,"
    " बंद करो, 退订, إلغاء, 수신거부",
    start="start, yes, sí, alta",
    help="help, info, βοήθεια",
)
EXACT = Policy(OptOutConfig(match=MatchMode.EXACT, standard=WORDS))
TOLERANT = Policy(OptOutConfig(match=MatchMode.TOLERANT, standard=WORDS))

BY_EXACT = [
    ("STOP", STOP, "stop"),
    ("stop", STOP, "stop"),
    ("sToP", STOP, "stop"),
    (" stop \n", STOP, "stop"),
    ("\u3000stop\u00a0", STOP, "stop"),
    ("ＳＴＯＰ", STOP, "stop"),
    ("StopAll", STOP, "stopall"),
    ("STOP\u200b", STOP, "stop"),
    ("\ufeffSTOP", STOP, "stop"),
    ("S\u200bT\u200cO\u200dP", STOP, "stop"),
    ("st\u00adop", STOP, "stop"),
    ("\u202dstop\u202c", STOP, "stop"),
    ("STOP\u034f", STOP, "stop"),
    ("STOP\ufe0e", STOP, "stop"),
    ("\0S\0T\0O\0P", STOP, "stop"),
    ("STOP\0", STOP, "stop"),
    ("STOP\x1a", STOP, "stop"),
    ("OPTOUT", STOP, "optout"),
    ("END", STOP, "end"),
    ("ARRÊT", STOP, "arrêt"),
    ("arre\u0302t", STOP, "arrêt"),
    ("ОТПИСКА", STOP, "отписка"),
    ("बंद करो", STOP, "बंद करो"),
    ("START", START, "start"),
    ("Unstop", START, "unstop"),
    ("yes", START, "yes"),
    ("SÍ", START, "sí"),
    ("ｙｅｓ", START, "yes"),
    ("START\u200b", START, "start"),
    ("Help", HELP, "help"),
    ("INFO", HELP, "info"),
]
BY_TOLERANT = [
    ("Stop.", STOP, "stop"),
    ("STOP!", STOP, "stop"),
    ("STOP!!!", STOP, "stop"),
    ("stop...", STOP, "stop"),
    ("stop…", STOP, "stop"),
    (", stop ,", STOP, "stop"),
    ("! STOP", STOP, "stop"),
    ('"STOP"', STOP, "stop"),
    ("'stop'", STOP, "stop"),
    ("“Stop.”", STOP, "stop"),
    ("‘stop’!", STOP, "stop"),
    ("«STOP»", STOP, "stop"),
    ("‹stop›", STOP, "stop"),
    ("「STOP」", STOP, "stop"),
    ("STOP 🛑", STOP, "stop"),
    ("🛑🛑 stop 🛑🛑", STOP, "stop"),
    ("🙏🏽stop", STOP, "stop"),
    ("stop ❤️", STOP, "stop"),
    ("stop👩‍👩‍👧", STOP, "stop"),
    ("STÓP", STOP, "stop"),
    ("ştop", STOP, "stop"),
    ("arret", STOP, "arrêt"),
    ("ARRÉT", STOP, "arrêt"),
    ("İPTAL", STOP, "iptal"),
    ("İptal!", STOP, "iptal"),
    ("ЅТОР", STOP, "stop"),
    ("sтоp", STOP, "stop"),
    ("ЅΤΟΡ", STOP, "stop"),
    ("ｓτоp.", STOP, "stop"),
    ("СANCEL", STOP, "cancel"),
    ("UNSUBSCRІBE", STOP, "unsubscribe"),
    ("ЕND", STOP, "end"),
    ("unsubscrıbe", STOP, "unsubscribe"),
    ("UNSUBSCRİBE", STOP, "unsubscribe"),
    ("STOP;", STOP, "stop"),
    ("STOP；", STOP, "stop"),
    ("STOP:", STOP, "stop"),
    ("(STOP)", STOP, "stop"),
    ("[stop]", STOP, "stop"),
    ("STOP)", STOP, "stop"),
    ("*STOP*", STOP, "stop"),
    ("_stop_", STOP, "stop"),
    ("#stop", STOP, "stop"),
    ("/stop", STOP, "stop"),
    ("-stop-", STOP, "stop"),
    ("STOP/", STOP, "stop"),
    ("<STOP>", STOP, "stop"),
    ("stop :(", STOP, "stop"),
    ("STOPALL@", STOP, "stopall"),
    ('"STOP', STOP, "stop"),
    ("STOP”", STOP, "stop"),
    ('""STOP""', STOP, "stop"),
    ("“‘stop’”", STOP, "stop"),
    ("'\"STOP!\"'", STOP, "stop"),
    ("¡Baja!", STOP, "baja"),
    ("退订。", STOP, "退订"),
    ("बंद करो।", STOP, "बंद करो"),
    ("बंद  करो", STOP, "बंद करो"),
    ("إلغـــاء", STOP, "إلغاء"),
    ("إِلغَاء", STOP, "إلغاء"),
    ("s t o p", STOP, "stop"),
    ("S.T.O.P.", STOP, "stop"),
    ("S - T - O - P", STOP, "stop"),
    ("e n d", STOP, "end"),
    ("E.N.D.", STOP, "end"),
    ("S T O P  S T O P", STOP, "stop"),
    ("STOP STOP", STOP, "stop"),
    ("stop, stop", STOP, "stop"),
    ("stop stop stop", STOP, "stop"),
    ("Stop\nStop\nSTOP", STOP, "stop"),
    ("“Stop!” *stop*", STOP, "stop"),
    ("opt out\nopt-out", STOP, "optout"),
    ("बंद करो बंद करो", STOP, "बंद करो"),
    ("opt  out", STOP, "optout"),
    ("opt_out", STOP, "optout"),
    ("opt – out", STOP, "optout"),
    ("Opt—out", STOP, "optout"),
    ("Stop  all", STOP, "stopall"),
    ("stop\nall", STOP, "stopall"),
    ("un subscribe", STOP, "unsubscribe"),
    ("수신 거부", STOP, "수신거부"),
    ("help?", HELP, "help"),
    ("Help ??", HELP, "help"),
    ("¿info?", HELP, "info"),
    ("help? help?", HELP, "help"),
    ("H E L P", HELP, "help"),
    ("ΒΟΗΘΕΙΑ;", HELP, "βοήθεια"),
    ("opt out", STOP, "optout"),
    ("OPT-OUT", STOP, "optout"),
    ("opt\u2010out", STOP, "optout"),
    ("opt\u2011out", STOP, "optout"),
    ("Opt\u00a0out.", STOP, "optout"),
    ("STOP ALL", STOP, "stopall"),
    ("stop-all!", STOP, "stopall"),
    ("“Stop All”", STOP, "stopall"),
    ("Отписка.", STOP, "отписка"),
    ("help!", HELP, "help"),
    ('"INFO"', HELP, "info"),
    ("НЕLР", HELP, "help"),
    ("ΗΕLΡ", HELP, "help"),
    ("ΗΕΙΡ", HELP, "help"),
    ("hélp", HELP, "help"),
    ("help 🆘", HELP, "help"),
]
BY_CLEAN = [
    ("start.", "start"),
    ("START!", "start"),
    ('"start"', "start"),
    ("“START”", "start"),
    ("(Start)", "start"),
    ("*start*", "start"),
    ("_start_", "start"),
    ("START:", "start"),
    ("start 👍", "start"),
    ("START 🙂", "start"),
    ("unstop!", "unstop"),
    ("¡Alta!", "alta"),
]
BY_NOTHING = [
    "",
    " ",
    ".",
    "👍",
    "🛑",
    "STOP?",
    "stop ?",
    "STOP？",
    "STOP?!",
    "?STOP",
    "STOP؟",
    "STOP❓",
    "STOP‽",
    "STOP\u037e",
    "ΣΤΟΠ;",
    "ΣΤΟΠ ;",
    "ЅΤΟΡ;",
    "ЅТОР\u037e",
    "stop? stop?",
    "st op",
    "s top",
    "q u i",
    "i n f",
    "stopp",
    "stopstop",
    "st0p",
    "СТОП",
    "стор",
    "optout all",
    "stop all all",
    "end all",
    "KALDIR",
    "stárt",
    "ѕtart",
    "START?",
    "start 🚫",
    "START ⛔️",
    "start 👎",
    "start/",
    "start start",
    "s t a r t",
    "un stop",
    "yes!",
    "YES 🙂",
    "“yes”",
    "Sí.",
    "si",
    "help me",
]
LONGER = [
    "Stop please",
    "STOP PLEASE",
    "please stop",
    "STOP 12345",
    "12345 STOP",
    "STOP STOP now",
    "stop stop end",
    "STOP end",
    "stop\nend",
    "STOP it!",
    "Don't stop",
    "please cancel",
    "cancel please",
    "stop texting me",
    'Liked "Reply STOP to end"',
    "Liked “STOP”",
    "Loved “Reply STOP to unsubscribe”",
    "Emphasized “Stop”",
    "Disliked “HELP”",
    "Reacted 👎 to “STOP”",
    "👍 to “ STOP ”",
    "“STOP” — what does that do?",
    "Start now",
    "Yes please",
    "yes yes",
    "HELP me out",
    "help, info",
    "STOP 1",
    "“STOP” “HELP”",
    "I need help",
]


def found(policy: Policy, body: str) -> tuple[OptOutType, str, Tier] | None:
    match = policy.match(body, "US")
    return (match.kind, match.keyword, match.tier) if match else None


@pytest.mark.parametrize(("body", "kind", "keyword"), BY_EXACT)
def test_r13_the_exact_form_matches_in_both_modes(
    body: str, kind: OptOutType, keyword: str
) -> None:
    assert found(EXACT, body) == found(TOLERANT, body) == (kind, keyword, Tier.EXACT)


@pytest.mark.parametrize(("body", "kind", "keyword"), BY_TOLERANT)
def test_r13_the_tolerant_form_matches_in_tolerant_mode_only(
    body: str, kind: OptOutType, keyword: str
) -> None:
    assert found(TOLERANT, body) == (kind, keyword, Tier.TOLERANT)
    assert found(EXACT, body) is None


@pytest.mark.parametrize(("body", "keyword"), BY_CLEAN)
def test_r13_the_clean_form_decides_start_in_tolerant_mode_only(body: str, keyword: str) -> None:
    assert found(TOLERANT, body) == (START, keyword, Tier.CLEAN)
    assert found(EXACT, body) is None


@pytest.mark.parametrize("body", BY_NOTHING)
def test_r13_nothing_else_is_dropped(body: str) -> None:
    assert (found(EXACT, body), found(TOLERANT, body)) == (None, None)


@pytest.mark.parametrize("body", LONGER)
def test_r14_a_longer_message_is_no_keyword(body: str) -> None:
    assert (found(EXACT, body), found(TOLERANT, body)) == (None, None)


@pytest.mark.parametrize("body", ["opt out", "opt-out", "stop all", "STOP-ALL"])
def test_r13_two_words_are_read_as_one_only_where_that_one_is_configured(body: str) -> None:
    policy = Policy(OptOutConfig(standard=sets(stop="stop, end")))
    assert found(policy, body) is None
    assert found(DEFAULT_POLICY, body) is not None


def test_r13_a_keyword_of_two_words_as_configured_is_matched_whole() -> None:
    assert found(TOLERANT, "बंद") is None
    assert found(TOLERANT, "बंद करो!") == (STOP, "बंद करो", Tier.TOLERANT)


@pytest.mark.parametrize("keyword", ["👍", "!", "\u200b", '""'])
def test_r13_a_keyword_of_decoration_only_is_no_other_decoration(keyword: str) -> None:
    """An empty body is a picture without a text, not a STOP."""
    policy = Policy(OptOutConfig(standard=sets(stop=keyword)))
    assert [body for body in ("", " ", "...", "🎉", "\u200d") if found(policy, body)] == []


@pytest.mark.parametrize("body", ["opt out", "opt-out", "OPT OUT"])
def test_r13_two_words_never_give_a_consent(body: str) -> None:
    policy = Policy(OptOutConfig(standard=sets(stop="stop", start="start, optout")))
    assert found(policy, body) is None


@pytest.mark.parametrize("keyword", ["yes", "ok", "Oui", "да", "네", "y", "1"])
def test_r13_everyday_answers_give_a_consent_in_their_exact_form_only(keyword: str) -> None:
    policy = Policy(OptOutConfig(standard=sets(start=keyword)))
    assert found(policy, keyword.upper()) == (START, keyword, Tier.EXACT)
    assert [body for body in (f"{keyword}!", f"“{keyword}”") if found(policy, body)] == []


@pytest.mark.parametrize(("keyword", "body"), [("1", "1."), ("🛑", "🛑!"), ("100%", "100")])
def test_r13_a_keyword_without_a_letter_matches_exactly_only(keyword: str, body: str) -> None:
    policy = Policy(OptOutConfig(standard=sets(stop=f"stop, {keyword}")))
    assert found(policy, keyword) == (STOP, keyword, Tier.EXACT)
    assert found(policy, body) is None
    assert found(policy, f"{keyword} {keyword}") is None


def test_r13_an_emoji_matches_in_both_of_its_presentations() -> None:
    policy = Policy(OptOutConfig(standard=sets(stop="stop, ⛔")))
    assert found(policy, "⛔\ufe0f") == (STOP, "⛔", Tier.EXACT)


@pytest.mark.parametrize("body", ["кот", "КОТ", "Кот!"])
def test_r13_a_word_of_another_script_is_not_read_as_latin(body: str) -> None:
    """All of `кот`, a cat, looks Latin; one letter in `koт` is a slip of the keyboard."""
    policy = Policy(OptOutConfig(standard=sets(stop="kot, ok")))
    assert found(policy, body) is None
    assert found(policy, "koт") == (STOP, "kot", Tier.TOLERANT)
    assert found(policy, "oк") is None  # a keyword of two letters


def test_r13_a_keyword_in_its_own_script_comes_before_one_that_it_looks_like() -> None:
    policy = Policy(OptOutConfig(standard=sets(stop="stop", help="ѕтор")))
    assert found(policy, "ЅТОР!") == (HELP, "ѕтор", Tier.TOLERANT)


def test_r16_every_layer_is_tried_exactly_before_any_is_tried_more_widely() -> None:
    spanish = CountryOverride({"es": sets("MX", stop="sí, ármate", help="arrêt")})
    config = OptOutConfig(standard=sets(stop="stop", start="armate"), countries={"MX": spanish})
    match = Policy(config).match("Armate", "MX")
    assert match is not None
    assert (match.kind, match.country, match.tier) == (START, None, Tier.EXACT)


@pytest.mark.parametrize("body", ["Élan!", "élan elan", "elan?!"])
def test_r16_stop_wins_where_wider_forms_disagree(body: str) -> None:
    french = CountryOverride({"fr": sets("FR", help="élan", start="elan-elan")})
    config = OptOutConfig(standard=sets(stop="élàn"), countries={"FR": french})
    match = Policy(config).match(body, "FR")
    assert match is not None
    assert (match.kind, match.country) == ((HELP, "FR") if "?" in body else (STOP, None))


def test_r16_without_fallback_a_miss_tries_the_reserved_words_only() -> None:
    french = CountryOverride({"fr": sets("FR", stop="arrêt")}, country_fallback=False)
    config = OptOutConfig(standard=sets(stop="end", start="yes"), countries={"FR": french})
    found_in_france = [
        Policy(config).match(body, "FR") is not None
        for body in ("ARRET!", "end", "*end*", "yes", "*STOP*", "Start!", "help?")
    ]
    assert found_in_france == [True, False, False, False, True, True, True]
