"""When two texts are the same keyword: the exact, the clean and the tolerant form (R13)."""

from __future__ import annotations

import unicodedata

from processor.core.characters import (
    AROUND_CONSENT,
    FOLDED,
    INVISIBLE,
    JOINTS,
    is_kept,
    is_letter,
    with_greek_questions,
)

_ASCII_OUTSIDE = "".join(chr(code) for code in range(128) if not is_kept(chr(code)))


def exact(text: str) -> str:
    """The form that texts of the same keyword share in every mode.

    NFKC, without control and invisible characters, trimmed, case-folded. Applying it twice is the
    same as applying it once.
    """
    if text.isascii():
        return (text if text.isprintable() else INVISIBLE.sub("", text)).strip().lower()
    while True:
        # One pass is not always enough: a folded letter may have a form that NFKC changes again.
        # NFKC makes a semicolon of the Greek question mark, which asks beside any letter.
        seen = INVISIBLE.sub("", text).replace("\u037e", "?")
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
        folded = folded.strip()
        if folded == text:
            return folded
        text = folded


def clean(text: str) -> str:
    """The form that decides START where an exact match failed: nothing inside the word changes.

    On top of ``exact``: outer quotes, brackets, punctuation and emoji are dropped. Signs that doubt
    or say no stay.
    """
    return exact(text).strip(AROUND_CONSENT)


def tolerant(text: str) -> str:
    """The form that decides STOP and HELP where an exact match failed.

    On top of ``exact``: accents and Arabic vowel signs are folded. All outer characters are dropped
    but letters, marks, digits and question marks. White space, dashes and underscores within become
    one space. Applying it twice is the same as applying it once.
    """
    return JOINTS.sub(" ", trimmed(plain(text)))


def tolerant_forms(keyword: str) -> tuple[str, ...]:
    """Every tolerant form of a keyword: its own, and that without spaces.

    A keyword without a letter, such as a digit or an emoji, has none: it matches exactly only.
    """
    form = tolerant(keyword)
    if not any(map(is_letter, form)):
        return ()
    joined = form.replace(" ", "")
    return (form,) if joined == form else (form, joined)


def plain(text: str) -> str:
    """The exact form without accents, Arabic vowel signs and tatweel; a dotless i has its dot.

    The Greek question mark becomes a question mark where it is one.
    """
    if text.isascii():
        return exact(text)
    while (bare := _bare(text)) != text:
        text = bare
    return with_greek_questions(text)


def _bare(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", exact(text))
    return exact(FOLDED.sub("", decomposed).replace("ı", "i"))


def trimmed(text: str, also: str = "") -> str:
    """A text without outer characters that no word keeps, nor those given besides."""
    if text.isascii():
        return text.strip(_ASCII_OUTSIDE + also)
    start, end = 0, len(text)
    while start < end and (text[start] in also or not is_kept(text[start])):
        start += 1
    while start < end and (text[end - 1] in also or not is_kept(text[end - 1])):
        end -= 1
    return text[start:end]
