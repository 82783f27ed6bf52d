"""R13: the three forms of a text."""

import pytest

from processor.core.normalise import clean, exact, tolerant, tolerant_forms


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("STOP", "stop"),
        (" \t\nStop\r\n\u2003", "stop"),
        ("\x1cstop\x1f", "stop"),
        ("ＳＴＯＰ", "stop"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ARRÊT", "arrêt"),
        ("arre\u0302t", "arrêt"),
        ("ﬁn", "fin"),
        ("ΣΤΟΠ", "στοπ"),
        ("στος", "στοσ"),
        ("İPTAL", "i\u0307ptal"),
        ("KALDIR", "kaldir"),
        ("kaldır", "kaldır"),
        ("ｽﾄｯﾌﾟ", "ストップ"),
        ("stop  all", "stop  all"),
        ("stop\u00a0all", "stop all"),
        ("stop.", "stop."),
        ("st\u200bop", "stop"),
        ("\ufeffst\u00adop\u034f\ufe0e\U000e0101", "stop"),
        ("\0S\0T\0O\0P", "stop"),
        ("STOP\x1a", "stop"),
        ("stop\x7f\x9f", "stop"),
        ("opt\tout", "opt\tout"),
        ("⛔\ufe0f", "⛔"),
        ("stop\u037e", "stop?"),
        ("…", "..."),
        ("", ""),
        (" ", ""),
    ],
)
def test_r13_exact_is_nfkc_trimmed_case_folded_and_has_nothing_invisible(
    text: str, form: str
) -> None:
    assert exact(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Stop.", "stop"),
        ("...stop!!!", "stop"),
        ("stop…", "stop"),
        (", stop ,", "stop"),
        ("！ＳＴＯＰ！", "stop"),
        ('"stop"', "stop"),
        ("'STOP.'", "stop"),
        ("“Stop!”.", "stop"),
        ("«stop»", "stop"),
        ("„stop“", "stop"),
        ("「stop」", "stop"),
        ("`stop`", "stop"),
        ('""stop""', "stop"),
        ("“'stop'”", "stop"),
        ('"stop', "stop"),
        ("*stop*", "stop"),
        ("_stop_", "stop"),
        ("[(stop)]", "stop"),
        ("<stop>", "stop"),
        ("stop:", "stop"),
        ("stop/", "stop"),
        ("#stop", "stop"),
        ("stop@", "stop"),
        ("~stop~", "stop"),
        ("- stop -", "stop"),
        ("stop :(", "stop"),
        ("¡stop!", "stop"),
        ("stop。", "stop"),
        ("stop।", "stop"),
        ("stop۔", "stop"),
        ("stop،", "stop"),
        ("stop™️", "stoptm"),
        ("🛑stop🛑", "stop"),
        ("stop 👍🏽", "stop"),
        ("stop ❤️", "stop"),
        ("stop 🇺🇸", "stop"),
        ("stop 👩‍💻", "stop"),
        ("s\u200bt\u200do\u00adp\ufeff", "stop"),
        ("\u202estop\u202c", "stop"),
        ("STÓP", "stop"),
        ("arre\u0302t", "arret"),
        ("İptal", "iptal"),
        ("Ёлка", "елка"),
        ("ЅТОР", "ѕтор"),
        ("kaldır", "kaldir"),
        ("إلغـــاء", "إلغاء"),
        ("إِلغَاء", "إلغاء"),
        ("هٰذا", "هذا"),
        ("الآن", "الآن"),
        ("стоп", "стоп"),
        ("енд", "енд"),
        ("बंद", "बंद"),
        ("がば", "がば"),
        ("해지", "해지"),
        ("stop?", "stop?"),
        ("?stop", "?stop"),
        ("stop?!", "stop?"),
        ("stop؟", "stop؟"),
        ("stop❓", "stop❓"),
        ("stop‽", "stop‽"),
        ("stop;", "stop"),
        ("στοπ;", "στοπ?"),
        ("στοπ !;", "στοπ !?"),
        (";στοπ", "?στοπ"),
        ("στοπ: стоп;", "στοπ: стоп"),
        ("stop\u037e", "stop?"),
        ("st.op", "st.op"),
        ("stop  all", "stop all"),
        ("opt – out", "opt out"),
        ("opt—_-out", "opt out"),
        ("stop\nall", "stop all"),
        ("①stop", "1stop"),
        ("🛑", ""),
        ("", ""),
    ],
)
def test_r13_tolerant_drops_what_does_not_change_the_word(text: str, form: str) -> None:
    assert tolerant(text) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Start!", "start"),
        ("“START” 🙂", "start"),
        ("(start)", "start"),
        ("*START*", "start"),
        ("_start_:", "start"),
        ("<start>, ...", "start"),
        ("start\u200b", "start"),
        ("¡Alta!", "alta"),
        ("订阅。", "订阅"),
        ("stárt", "stárt"),
        ("s.tart", "s.tart"),
        ("start  all", "start  all"),
        ("start?", "start?"),
        ("start!?", "start!?"),
        ("start❓", "start❓"),
        ("start 🚫", "start 🚫"),
        ("⛔\ufe0fstart", "⛔start"),
        ("start ❌", "start ❌"),
        ("start 👎🏽", "start 👎"),
        ("start 🛑", "start 🛑"),
        ("-start", "-start"),
        ("start/", "start/"),
        ("start;", "start;"),
        ("start@", "start@"),
        ("...", ""),
    ],
)
def test_r13_clean_drops_only_what_doubts_nothing(text: str, form: str) -> None:
    assert clean(text) == form


@pytest.mark.parametrize(
    ("keyword", "forms"),
    [
        ("Stop", ("stop",)),
        ("stop promotions", ("stop promotions", "stoppromotions")),
        ("x-out", ("x out", "xout")),
        ("arrêt", ("arret",)),
        ("stop2end", ("stop2end",)),
        ("1", ()),
        ("100%", ()),
        ("🛑", ()),
        ("\u200b", ()),
    ],
)
def test_r13_a_keyword_without_a_letter_has_no_tolerant_form(
    keyword: str, forms: tuple[str, ...]
) -> None:
    assert tolerant_forms(keyword) == forms
