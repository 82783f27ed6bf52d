"""How SMS texts are encoded and divided."""

from __future__ import annotations

import pytest

from processor.core.segments import Encoding, Segments, segments_of

GSM_7, UCS_2 = Encoding


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", Segments(GSM_7, 0, 1)),
        ("a" * 160, Segments(GSM_7, 160, 1)),
        ("a" * 161, Segments(GSM_7, 161, 2)),
        ("a" * 153 * 2, Segments(GSM_7, 306, 2)),
        ("a" * (153 * 2 + 1), Segments(GSM_7, 307, 3)),
        ("ж" * 70, Segments(UCS_2, 70, 1)),
        ("ж" * 71, Segments(UCS_2, 71, 2)),
        ("ж" * 67 * 2, Segments(UCS_2, 134, 2)),
        ("ж" * (67 * 2 + 1), Segments(UCS_2, 135, 3)),
    ],
)
def test_a_part_of_several_holds_less_than_a_message_alone(text: str, segments: Segments) -> None:
    assert segments_of(text) == segments


@pytest.mark.parametrize("letter", "\f^{}\\[~]|€")
def test_the_extension_alphabet_takes_two_septets(letter: str) -> None:
    assert segments_of(letter * 80) == Segments(GSM_7, 160, 1)
    assert segments_of(letter * 80 + "a") == Segments(GSM_7, 161, 2)


def test_an_escape_is_not_split_across_parts() -> None:
    assert segments_of("a" * 152 + "€" + "a" * 6) == Segments(GSM_7, 160, 1)
    assert segments_of("a" * 151 + "€" + "a" * 153) == Segments(GSM_7, 306, 2)
    assert segments_of("a" * 152 + "€" + "a" * 152) == Segments(GSM_7, 306, 3)


def test_a_surrogate_pair_is_not_split_across_parts() -> None:
    assert segments_of("😀" * 35) == Segments(UCS_2, 70, 1)
    assert segments_of("😀" * 36) == Segments(UCS_2, 72, 2)
    assert segments_of("😀" * 67) == Segments(UCS_2, 134, 3)
    assert segments_of("a" * 65 + "😀" + "a" * 67) == Segments(UCS_2, 134, 2)
    assert segments_of("a" * 66 + "😀" + "a" * 66) == Segments(UCS_2, 134, 3)


def test_the_basic_alphabet_has_127_characters_and_no_escape() -> None:
    letters = [letter for letter in map(chr, range(0x10000)) if segments_of(letter).units == 1]
    gsm_7 = [letter for letter in letters if segments_of(letter).encoding is GSM_7]
    assert len(gsm_7) == 127
    assert "\x1b" not in gsm_7


@pytest.mark.parametrize("letter", ["ç", "á", "ê", "ő", "Α", "`", "’", "\t", "\u00a0"])
def test_one_character_outside_the_alphabet_makes_the_whole_text_ucs_2(letter: str) -> None:
    assert segments_of("a" * 69 + letter) == Segments(UCS_2, 70, 1)
    assert segments_of("€" * 70 + letter) == Segments(UCS_2, 71, 2)
