"""Write `processor/core/lookalikes.py` from Unicode's data on confusable characters (UTS #39).

    python deploy/lookalikes.py confusables.txt

The file is https://www.unicode.org/Public/security/17.0.0/confusables.txt. The table has the
letters of other scripts that look like one Latin letter, as a small letter or as a capital.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

_TABLE = Path(__file__).resolve().parent.parent / "processor" / "core" / "lookalikes.py"
_HEAD = '''"""Letters of other scripts that look Latin. Written by `deploy/lookalikes.py`.

Source: Unicode's confusables.txt, version {version} of {date}.
Copyright {years} Unicode, Inc.; see https://www.unicode.org/copyright.html.
"""

# Each script's letters, and in the same order the small Latin letters that they look like. A
# capital I is given as `l`, which it looks like.
SCRIPTS: dict[str, tuple[str, str]] = {{
'''


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    source = parser.parse_args().file.read_text("utf-8-sig")
    _TABLE.write_text(written(source), "utf-8")


def written(source: str) -> str:
    """The module, from the text of confusables.txt."""
    scripts: dict[str, list[tuple[str, str]]] = {}
    for letter, latin in sorted(letters(source).items()):
        scripts.setdefault(_script_of(letter), []).append((letter, latin))
    head = _HEAD.format(
        version=_said("Version", source),
        date=_said("Date", source).partition(",")[0],
        years=_said("Date", source)[:4],
    )
    return head + "".join(_entry(*each) for each in sorted(scripts.items())) + "}\n"


def letters(source: str) -> Mapping[str, str]:
    """Each letter of another script that looks like a Latin letter, with that small letter."""
    found = {
        letter: looks.lower()
        for letter, looks in _pairs(source)
        if len(looks) == 1 and looks.isascii() and looks.isalpha() and _is_of_another_script(letter)
    }
    for letter, looks in list(found.items()):
        # The small letter of a capital: a small Cyrillic TE looks like a small capital T.
        if len(small := letter.lower()) == 1:
            found.setdefault(small, looks)
    return found


def _pairs(source: str) -> Iterator[tuple[str, str]]:
    for line in source.splitlines():
        if line and not line.startswith("#"):
            letter, looks, *_ = line.split(";")
            yield _text(letter), _text(looks)


def _text(code_points: str) -> str:
    return "".join(chr(int(each, 16)) for each in code_points.split())


def _is_of_another_script(letter: str) -> bool:
    return (
        unicodedata.category(letter).startswith("L")
        and unicodedata.normalize("NFKC", letter) == letter
        and _script_of(letter) != "Latin"
    )


def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "unknown").split()[0].title()


def _said(key: str, source: str) -> str:
    found = re.search(rf"^# {key}: (.+)$", source, re.MULTILINE)
    if found is None:
        raise SystemExit(f"no line `# {key}: …`; is this Unicode's confusables.txt?")
    return found[1].strip()


def _entry(script: str, pairs: list[tuple[str, str]]) -> str:
    lines = (f'        "{"".join(side)}",' for side in zip(*pairs, strict=True))
    return "\n".join((f'    "{script}": (', *lines, "    ),\n"))


if __name__ == "__main__":
    main()
