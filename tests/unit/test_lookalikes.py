"""`deploy/lookalikes.py`: letters that look Latin, from Unicode's data; R13 reads them."""

from __future__ import annotations

import importlib.util
import unicodedata
from pathlib import Path
from string import ascii_lowercase
from types import ModuleType

import pytest

from processor.core import lookalikes
from processor.core.lookalikes import SCRIPTS

ROOT = Path(__file__).parent.parent.parent
DATA = """\ufeff# confusables.txt
# Date: 2025-07-22, 05:49:37 GMT
# Version: 17.0.0

0421 ;\t0043 ;\tMA\t# ( С → C ) CYRILLIC CAPITAL LETTER ES → LATIN CAPITAL LETTER C\t#
0422 ;\t0054 ;\tMA\t# ( Т → T ) CYRILLIC CAPITAL LETTER TE → LATIN CAPITAL LETTER T\t#
0406 ;\t006C ;\tMA\t# ( І → l ) CYRILLIC CAPITAL LETTER BYELORUSSIAN-UKRAINIAN I\t#
03B9 ;\t0069 ;\tMA\t# ( ι → i ) GREEK SMALL LETTER IOTA → LATIN SMALL LETTER I\t# →ɩ→
042B ;\t0062 006C ;\tMA\t# ( Ы → bl ) two letters\t#
0131 ;\t0069 ;\tMA\t# ( ı → i ) Latin itself\t#
1D7CE ;\t004F ;\tMA\t# ( 𝟎 → O ) a digit\t#
FF23 ;\t0043 ;\tMA\t# ( Ｃ → C ) NFKC reads it\t#
0430 ;\t0251 ;\tMA\t# ( а → ɑ ) not ASCII\t#
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lookalikes", ROOT / "deploy" / "lookalikes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_has_the_letters_of_other_scripts_that_look_like_one_latin_letter(
    script: ModuleType,
) -> None:
    data = DATA.removeprefix("\ufeff")
    assert script.letters(data) == {
        **{"С": "c", "с": "c", "Т": "t", "т": "t", "І": "l", "і": "l", "ι": "i"},
    }
    written = script.written(data)
    assert "version 17.0.0 of 2025-07-22." in written
    assert '    "Cyrillic": (\n        "ІСТсті",\n        "lctctl",\n    ),\n' in written


def test_a_file_that_is_not_the_data_is_refused(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"is this Unicode's confusables\.txt"):
        script.written("0421 ;\t0043 ;\tMA\n")


def test_the_table_names_its_source_and_pairs_each_letter_with_one() -> None:
    assert "confusables.txt, version" in (lookalikes.__doc__ or "")
    for script_name, (letters, latin) in SCRIPTS.items():
        assert len(letters) == len(latin) == len(set(letters)), script_name
        assert set(latin) <= set(ascii_lowercase), script_name
        assert all(unicodedata.category(letter)[0] == "L" for letter in letters), script_name


@pytest.mark.parametrize("letter", "АВСЕНІЈКМОРЅТХУасеорѕхуΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
def test_the_letters_that_keyboards_have_are_in_the_table(letter: str) -> None:
    assert any(letter in letters for letters, _ in SCRIPTS.values())
