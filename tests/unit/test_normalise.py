"""R13: the two forms of a text."""

import pytest

from processor.core.normalise import core_of, exact, tolerant


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
        ("st\u200bop", "st\u200bop"),
        ("…", "..."),
        ("", ""),
        (" ", ""),
    ],
)
def test_r13_exact_is_nfkc_trimmed_and_case_folded(text: str, form: str) -> None:
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
        ('""stop""', '""stop""'),
        ("“'stop'”", "“'stop'”"),
        ('"stop', '"stop'),
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
        ("ЅТОР", "stop"),
        ("ΗЕlр", "help"),
        ("һе\u04cfр", "help"),
        ("стоп", "стоп"),
        ("енд", "енд"),
        ("बंद", "बंद"),
        ("がば", "がば"),
        ("해지", "해지"),
        ("stop?", "stop?"),
        ("stop;", "stop;"),
        ("stop\u037e", "stop;"),
        ("(stop)", "(stop)"),
        ("stop:", "stop:"),
        ("st.op", "st.op"),
        ("①stop", "1stop"),
        ("🛑", ""),
        ("", ""),
    ],
)
def test_r13_tolerant_drops_what_does_not_change_the_word(text: str, form: str) -> None:
    assert tolerant(text) == form


@pytest.mark.parametrize("text", ["STOP", " stop! ", '"Stop"', "'\"stop\"'", "...stop,", "`STOP`"])
def test_the_core_of_an_ascii_text_is_that_of_its_forms(text: str) -> None:
    assert (core_of(text), core_of(exact(text)), core_of(tolerant(text))) == ("stop",) * 3
