"""R13, R14: which bodies are a keyword, in both modes."""

from __future__ import annotations

import pytest

from processor.core.messages import OptOutType
from processor.core.policy import DEFAULT_POLICY, MatchMode, OptOutConfig, Policy
from tests.builders import sets

STOP, START, HELP = OptOutType
WORDS = sets(
    "says",
    stop="stop, stopall, end, optout, arrêt, iptal, отписка, बंद करो",
    start="start, yes, sí",
    help="help, info",
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
    ("STOP\u200b", STOP, "stop"),
    ("\ufeffSTOP", STOP, "stop"),
    ("S\u200bT\u200cO\u200dP", STOP, "stop"),
    ("st\u00adop", STOP, "stop"),
    ("\u202dstop\u202c", STOP, "stop"),
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
BY_NOTHING = [
    "",
    " ",
    ".",
    "👍",
    "🛑",
    "STOP?",
    "stop ?",
    "STOP？",
    "STOP；",
    "STOP;",
    "STOP\u037e",
    "STOP:",
    "(STOP)",
    "[stop]",
    "STOP)",
    "*STOP*",
    "_stop_",
    "#stop",
    "/stop",
    "-stop-",
    '"STOP',
    "STOP”",
    '""STOP""',
    "“‘stop’”",
    "'\"STOP!\"'",
    "s t o p",
    "S.T.O.P.",
    "st op",
    "stopp",
    "st0p",
    "СТОП",
    "стор",
    "ΣΤΟΠ",
    "opt  out",
    "opt_out",
    "optout all",
    "stop all all",
    "end all",
    "KALDIR",
    "start.",
    "START!",
    '"start"',
    "start 👍",
    "START\u200b",
    "stárt",
    "ѕtart",
    "yes!",
    "si",
    "un stop",
    "help?",
    "help me",
]
LONGER = [
    "Stop please",
    "STOP PLEASE",
    "please stop",
    "STOP 12345",
    "12345 STOP",
    "STOP STOP",
    "stop, stop",
    "stop stop stop",
    "STOP end",
    "stop\nend",
    "STOP it!",
    "Don't stop",
    "please cancel",
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
    "I need help",
]


def found(policy: Policy, body: str) -> tuple[OptOutType, str, MatchMode] | None:
    match = policy.match(body, "US")
    return (match.kind, match.keyword, match.tier) if match else None


@pytest.mark.parametrize(("body", "kind", "keyword"), BY_EXACT)
def test_r13_the_exact_form_matches_in_both_modes(
    body: str, kind: OptOutType, keyword: str
) -> None:
    assert found(EXACT, body) == found(TOLERANT, body) == (kind, keyword, MatchMode.EXACT)


@pytest.mark.parametrize(("body", "kind", "keyword"), BY_TOLERANT)
def test_r13_the_tolerant_form_matches_in_tolerant_mode_only(
    body: str, kind: OptOutType, keyword: str
) -> None:
    assert found(TOLERANT, body) == (kind, keyword, MatchMode.TOLERANT)
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
    assert found(TOLERANT, "बंद करो!") == (STOP, "बंद करो", MatchMode.TOLERANT)


@pytest.mark.parametrize("keyword", ["👍", "!", "\u200b", '""'])
def test_r13_a_keyword_of_decoration_only_is_no_other_decoration(keyword: str) -> None:
    """An empty body is a picture without a text, not a STOP."""
    policy = Policy(OptOutConfig(standard=sets(stop=keyword)))
    assert [body for body in ("", " ", "...", "🎉", "\u200d") if found(policy, body)] == []


@pytest.mark.parametrize("body", ["opt out", "opt-out", "OPT OUT"])
def test_r13_two_words_never_give_a_consent(body: str) -> None:
    policy = Policy(OptOutConfig(standard=sets(stop="stop", start="start, optout")))
    assert found(policy, body) is None
