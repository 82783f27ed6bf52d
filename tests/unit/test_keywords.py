"""R6 to R10 of the languages' own files: 54 starter packs that a service may take as they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import pytest

from processor.configuration.languages import (
    MIN_REPLY_CHARACTERS,
    Language,
    language_of,
    languages,
    read,
    starter,
    tag_of,
)
from processor.configuration.rules import problems_of
from processor.core.messages import OptOutType
from processor.core.normalise import exact
from processor.core.policy import STANDARD, KeywordSet, MatchMode, OptOutConfig, Policy
from processor.core.segments import segments_of
from processor.errors import ConfigError
from schemas.messaging_service import (
    MAX_KEYWORD_CHARACTERS,
    MAX_KEYWORDS,
    MAX_REPLY_CHARACTERS,
    OptOut,
)

STOP, START, HELP = OptOutType

# The guide's list, in its order.
GUIDES = {
    "af": "Afrikaans",
    "ar": "Arabic",
    "bn": "Bengali",
    "zh": "Chinese",
    "hr": "Croatian",
    "cs": "Czech",
    "da": "Danish",
    "nl": "Dutch",
    "en": "English",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "de": "German",
    "el": "Greek",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lv": "Latvian",
    "lt": "Lithuanian",
    "ms": "Malay",
    "ms-MY": "Malaysian",
    "nb": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovene",
    "es": "Spanish",
    "nr": "Southern Ndebele",
    "st": "Southern Sotho",
    "ss": "Swati",
    "sv": "Swedish",
    "ta": "Tamil",
    "tn": "Tswana",
    "ts": "Tsonga",
    "ve": "Venda",
    "xh": "Xhosa",
    "zu": "Zulu",
}
NAMES = {
    **GUIDES,
    "bg": "Bulgarian",
    "ca": "Catalan",
    "fa": "Persian",
    "fil": "Filipino",
    "id": "Indonesian",
    "ro": "Romanian",
    "sr": "Serbian",
    "sw": "Swahili",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
}
# Words that people text in the countries of both languages, so both packs need them. Together in
# `languages` they are refused (R9); `starter_of` puts them into country overrides.
SHARED = {
    ("bg", "ru"): ["стоп"],
    ("bg", "sr"): ["стоп"],
    ("bg", "uk"): ["стоп"],
    ("ca", "pt"): ["ajuda"],
    ("de", "nb"): ["stopp"],
    ("de", "sv"): ["stopp"],
    ("fa", "ur"): ["شروع"],
    ("hr", "sr"): ["odjava", "prijava"],
    ("id", "ms"): ["berhenti", "bantuan"],
    ("id", "ms-MY"): ["batal"],
    ("nb", "sv"): ["stopp"],
    ("pl", "sr"): ["pomoć", "pomoc"],
    ("ru", "sr"): ["стоп"],
    ("ru", "uk"): ["стоп"],
    ("sr", "uk"): ["стоп"],
}
# Encoding and segments of the STOP, START and HELP reply.
COSTS = {
    "af": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ar": "UCS-2 1, UCS-2 1, UCS-2 1",
    "bn": "UCS-2 1, UCS-2 1, UCS-2 1",
    "zh": "UCS-2 1, UCS-2 1, UCS-2 1",
    "hr": "GSM-7 1, UCS-2 1, GSM-7 1",
    "cs": "UCS-2 1, UCS-2 1, UCS-2 1",
    "da": "GSM-7 1, GSM-7 1, GSM-7 1",
    "nl": "GSM-7 1, GSM-7 1, GSM-7 1",
    "en": "GSM-7 1, GSM-7 1, GSM-7 1",
    "et": "UCS-2 1, UCS-2 1, UCS-2 1",
    "fi": "GSM-7 1, GSM-7 1, GSM-7 1",
    "fr": "GSM-7 1, GSM-7 1, GSM-7 1",
    "de": "GSM-7 1, GSM-7 1, GSM-7 1",
    "el": "UCS-2 1, UCS-2 1, UCS-2 1",
    "he": "UCS-2 1, UCS-2 1, UCS-2 1",
    "hi": "UCS-2 1, UCS-2 1, UCS-2 1",
    "hu": "UCS-2 1, UCS-2 1, UCS-2 1",
    "it": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ja": "UCS-2 1, UCS-2 1, UCS-2 1",
    "ko": "UCS-2 1, UCS-2 1, UCS-2 1",
    "lv": "UCS-2 1, UCS-2 1, UCS-2 2",
    "lt": "UCS-2 1, UCS-2 1, UCS-2 2",
    "ms": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ms-MY": "GSM-7 1, GSM-7 1, GSM-7 1",
    "nb": "GSM-7 1, GSM-7 1, GSM-7 1",
    "pl": "UCS-2 1, UCS-2 1, UCS-2 1",
    "pt": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ru": "UCS-2 1, UCS-2 1, UCS-2 1",
    "sk": "UCS-2 1, UCS-2 1, UCS-2 1",
    "sl": "UCS-2 1, UCS-2 1, GSM-7 1",
    "es": "GSM-7 1, GSM-7 1, GSM-7 1",
    "nr": "GSM-7 1, GSM-7 1, GSM-7 1",
    "st": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ss": "GSM-7 1, GSM-7 1, GSM-7 1",
    "sv": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ta": "UCS-2 2, UCS-2 2, UCS-2 2",
    "tn": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ts": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ve": "UCS-2 2, UCS-2 2, GSM-7 1",
    "xh": "GSM-7 1, GSM-7 1, GSM-7 1",
    "zu": "GSM-7 1, GSM-7 1, GSM-7 1",
    "bg": "UCS-2 2, UCS-2 2, UCS-2 2",
    "ca": "GSM-7 1, GSM-7 1, GSM-7 1",
    "fa": "UCS-2 2, UCS-2 1, UCS-2 1",
    "fil": "GSM-7 1, GSM-7 1, GSM-7 1",
    "id": "GSM-7 1, GSM-7 1, GSM-7 1",
    "ro": "UCS-2 2, UCS-2 2, UCS-2 2",
    "sr": "UCS-2 2, UCS-2 1, GSM-7 1",
    "sw": "GSM-7 1, GSM-7 1, GSM-7 1",
    "th": "UCS-2 1, UCS-2 1, UCS-2 1",
    "tr": "UCS-2 2, UCS-2 1, UCS-2 1",
    "uk": "UCS-2 2, UCS-2 2, UCS-2 2",
    "ur": "UCS-2 1, UCS-2 1, UCS-2 1",
    "vi": "UCS-2 1, UCS-2 1, UCS-2 1",
}
# The documented keywords of each language; the rest are unreviewed.
SOURCED = {
    "ar": "إيقاف ايقاف قف",
    "zh": "td",
    "nl": "uit",
    "en": "remove unsub subscribe",
    "fr": "arret arrete démarrer aide",
    "de": "stopp",
    "el": "στοπ",
    "it": "annulla",
    "ms-MY": "batal unblock",
    "nb": "stopp",
    "pt": "sair pare parar cancelar voltar receber começar ajuda",
    "es": "baja alto detener salir alta inicio volver recibir auxilio",
    "sv": "stopp",
    "fa": "لغو",
    "ro": "dezabonare ajutor",
    "sr": "odjava",
    "sw": "ondoka toka msaada",
    "tr": "ret iptal dur yardim",
    "vi": "huy dk",
}

every_language = pytest.mark.parametrize(
    "language", languages().values(), ids=lambda each: each.tag
)


def keywords(language: Language) -> Iterator[tuple[OptOutType, str]]:
    return ((kind, word) for kind, given in language.pack.items() for word in given.keywords)


def speaking(*given: Language, match: MatchMode = MatchMode.TOLERANT) -> OptOutConfig:
    return OptOutConfig(match=match, languages={each.tag: each.pack for each in given})


def test_r6_the_languages_are_the_guides_and_thirteen_more() -> None:
    assert {tag: language.name for tag, language in languages().items()} == NAMES
    assert len(GUIDES) == 41
    assert len(NAMES) == len(set(NAMES.values())) == 54


def test_a_language_is_the_file_named_by_its_tag() -> None:
    found = sorted(path.name for path in (files("processor.configuration") / "data").iterdir())
    assert found == sorted(f"{tag}.toml" for tag in NAMES)
    assert all(tag == language.tag for tag, language in languages().items())


def test_the_files_are_read_once() -> None:
    assert languages() is languages()


@every_language
def test_a_language_is_written_the_way_its_own_name_is(language: Language) -> None:
    strong = {unicodedata.bidirectional(letter) for letter in language.native_name} & {"R", "AL"}
    assert language.direction == ("rtl" if strong else "ltr")
    assert (language.direction == "rtl") == (language.tag in ("ar", "fa", "he", "ur"))


@every_language
@pytest.mark.parametrize("match", MatchMode)
def test_r9_a_pack_goes_with_the_default_standard(language: Language, match: MatchMode) -> None:
    assert problems_of(speaking(language, match=match)) == []


def test_r9_two_packs_go_together_but_for_words_they_share() -> None:
    refused = {
        (one.tag, other.tag): [problem.text.split("'")[1] for problem in problems]
        for one, other in combinations(languages().values(), 2)
        if (problems := problems_of(speaking(one, other)))
    }
    assert refused == SHARED


@every_language
def test_r11_words_that_answer_questions_are_keywords_of_the_pack(language: Language) -> None:
    assert language.everyday <= {word for _, word in keywords(language)}


@every_language
def test_r10_packs_keep_the_limits(language: Language) -> None:
    assert list(language.pack) == [STOP, START, HELP]
    for given in language.pack.values():
        assert 1 <= len(given.keywords) <= MAX_KEYWORDS
        assert len({exact(word) for word in given.keywords}) == len(given.keywords)
        assert all(len(word) <= MAX_KEYWORD_CHARACTERS for word in given.keywords)
        assert MIN_REPLY_CHARACTERS <= len(given.reply) <= MAX_REPLY_CHARACTERS


@every_language
def test_no_pack_has_a_standard_word(language: Language) -> None:
    standard = {word for given in STANDARD.values() for word in given.keywords}
    assert standard.isdisjoint(exact(word) for _, word in keywords(language))


@every_language
def test_a_keyword_with_latin_or_greek_accents_has_its_bare_twin_beside_it(
    language: Language,
) -> None:
    for given in language.pack.values():
        for word in given.keywords:
            bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", word))
            assert unicodedata.normalize("NFC", bare) in given.keywords


@every_language
def test_a_keyword_has_a_source_or_is_as_reviewed_as_its_file(language: Language) -> None:
    sourced = " ".join(word for _, word in keywords(language) if word in language.sources)
    assert sourced == SOURCED.get(language.tag, "")
    assert re.fullmatch(r"unreviewed|reviewed by .+, \d{4}-\d\d-\d\d", language.status)


@every_language
def test_replies_cost_what_we_think(language: Language) -> None:
    costs = [segments_of(given.reply) for given in language.pack.values()]
    assert ", ".join(f"{cost.encoding} {cost.segments}" for cost in costs) == COSTS[language.tag]
    assert max(cost.segments for cost in costs) <= 4


@every_language
def test_replies_have_neither_placeholders_nor_addresses(language: Language) -> None:
    for given in language.pack.values():
        assert not re.search(r"[{}<>\[\]@%0-9]|https?:|www", given.reply)
        assert given.reply == unicodedata.normalize("NFC", given.reply).strip()


@every_language
def test_replies_name_a_word_that_works(language: Language) -> None:
    def names(reply: OptOutType, kind: OptOutType) -> bool:
        words = (*language.pack[kind].keywords, kind)
        return any(word.upper() in language.pack[reply].reply for word in words)

    assert names(STOP, START)
    assert names(START, STOP)
    assert names(HELP, STOP)


@every_language
def test_a_body_in_capital_letters_matches(language: Language) -> None:
    policy = Policy(speaking(language))
    for kind, word in keywords(language):
        for body in (word, word.upper(), word.capitalize(), f" {word.upper()}\n"):
            match = policy.match(body, None)
            assert match is not None
            assert (match.kind, match.language) == (kind, language.tag)
            # YARDIM is both `yardım` and `yardim`, in a language that has both letters.
            assert exact(match.keyword) in (exact(word), exact(body))
            assert match.reply == language.pack[kind].reply


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("es", "es"),
        ("ES", "es"),
        ("Spanish", "es"),
        ("southern NDEBELE", "nr"),
        ("malay", "ms"),
        ("MALAYSIAN", "ms-MY"),
        ("ms-my", "ms-MY"),
        ("es-mx", "es-MX"),
        ("PT-br", "pt-BR"),
        ("es-419", "es-419"),
        ("ZH-HANT-tw", "zh-Hant-TW"),
        ("de-CH-1996", "de-CH-1996"),
        ("sl-ROZAJ-biske", "sl-rozaj-biske"),
        ("tlh", None),
        ("no", "nb"),
        ("NO", "nb"),
        ("Klingon", None),
        ("", None),
        ("es-", None),
        ("es_MX", None),
        ("es-mexico-MX", None),
        ("eſ", None),
    ],
)
def test_a_tag_or_a_name_in_any_case_is_a_tag(given: str, tag: str | None) -> None:
    assert tag_of(given) == tag


def test_a_region_without_a_pack_has_its_languages() -> None:
    assert language_of("es-MX") is languages()["es"]
    assert language_of("ms-MY") is languages()["ms-MY"]
    assert language_of("ms-SG") is languages()["ms"]


@pytest.mark.parametrize("tag", [*NAMES, "pt-BR", "zh-Hant-TW"])
def test_a_starter_pack_is_a_part_of_a_services_document(tag: str) -> None:
    given = {tag: starter(tag)}
    opt_out = OptOut.model_validate({"languages": given}, extra="forbid")
    assert opt_out.model_dump()["languages"] == given


FILE = """
language = "af"
name = "Afrikaans"
native_name = "Afrikaans"
direction = "ltr"
status = "reviewed by A. Person, 2026-11-02"
countries = ["ZA", "NA"]
everyday = ['staak']
[stop]
keywords = ["staak"]
reply = "U is uitgeteken. Antwoord INTEKEN."
[stop.sources]
staak = "somewhere public"
[start]
keywords = ["inteken"]
reply = "U is weer ingeteken. Antwoord STAAK."
[help]
keywords = ["inligting"]
reply = "Antwoord STAAK om uit te teken."
"""


def problems_in(folder: Path, text: str, name: str = "af.toml") -> list[str]:
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        read(folder)
    return refused.value.problems


def test_a_file_that_is_right_is_a_language(tmp_path: Path) -> None:
    (tmp_path / "af.toml").write_text(FILE, encoding="utf-8")
    assert read(tmp_path) == {
        "af": Language(
            tag="af",
            name="Afrikaans",
            native_name="Afrikaans",
            direction="ltr",
            status="reviewed by A. Person, 2026-11-02",
            countries=("ZA", "NA"),
            everyday=frozenset({"staak"}),
            pack={
                STOP: KeywordSet(("staak",), "U is uitgeteken. Antwoord INTEKEN."),
                START: KeywordSet(("inteken",), "U is weer ingeteken. Antwoord STAAK."),
                HELP: KeywordSet(("inligting",), "Antwoord STAAK om uit te teken."),
            },
            sources={"staak": "somewhere public"},
        )
    }


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('"af"', '"nl"', "language: must be a BCP 47 tag, and the file's name, af"),
        ('name = "Afrikaans"\n', "", "name: must be the English name"),
        ('["ZA", "NA"]', '["ZA", "XX"]', "countries: must be a list of ISO 3166 countries"),
        ('["ZA", "NA"]', "[]", "countries: must be a list of ISO 3166 countries"),
        ("['staak']", "['nee']", "everyday: must be a list of keywords of"),
        ('native_name = "Afrikaans"', "native_name = 7", "native_name: must be the language's own"),
        ('"ltr"', '"up"', "direction: must be ltr or rtl"),
        ("reviewed by", "seen by", "status: must be unreviewed, or reviewed by NAME, DATE"),
        ("status", 'colour = "red"\nstatus', "colour: unknown"),
        ("[help]", "[halp]", "help: missing, or not a table"),
        ("[stop.sources]", "[stop.origins]", "stop.origins: unknown"),
        ('[stop.sources]\nstaak = "somewhere public"', "sources = 7", "stop.sources: no table"),
        ('staak = "', 'stak = "', "stop.sources: 'stak' is not a keyword here"),
        ('"somewhere public"', '""', "stop.sources: 'staak' must be a text"),
        ('["staak"]', '"staak"', "stop.keywords: must be a list of texts"),
        ('["staak"]', '["staak", 7]', "stop.keywords: must be a list of texts"),
        ('["inteken"]', "[]", "start.keywords: has no keyword"),
        ('["inteken"]', '["inteken "]', "start.keywords: 'inteken ' is not trimmed"),
        ('["inteken"]', '["' + "i" * 35 + '"]', "start.keywords: 'iiiiii"),
        ('["inteken"]', '["teken in"]', "start.keywords: 'teken in' has white space within"),
        ('["inligting"]', '["Staak"]', "help.keywords: 'Staak' is 'staak' of stop"),
        ('["inligting"]', '["hélp"]', "help.keywords: 'hélp' is 'help' of standard.HELP"),
        ("Antwoord STAAK om uit te teken.", "STAAK", "help.reply: must have 20 to 320 characters"),
        ("te teken.", "t" * 320, "help.reply: must have 20 to 320 characters"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_key(
    tmp_path: Path, right: str, wrong: str, problem: str
) -> None:
    assert right in FILE
    assert any(
        found.startswith(f"af.toml: {problem}")
        for found in problems_in(tmp_path, FILE.replace(right, wrong, 1))
    )


def test_the_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "nl.toml").write_bytes(b"\xff")
    (tmp_path / "zu.toml").write_text('language = "zu', encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a language", encoding="utf-8")
    found = problems_in(tmp_path, FILE.replace("ltr", "up").replace("[help]", "[halp]"))
    assert [problem.split(" ")[0] for problem in found] == ["af.toml:"] * 3 + [
        "nl.toml:",
        "zu.toml:",
    ]


def test_two_files_cannot_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "af.toml").write_text(FILE, encoding="utf-8")
    assert problems_in(tmp_path, FILE.replace('"af"', '"af-ZA"'), "af-ZA.toml") == [
        "af-ZA.toml: name: 'Afrikaans' is af.toml's"
    ]


@pytest.mark.parametrize("folder", [".", "never made"])
def test_a_package_without_its_files_says_so(tmp_path: Path, folder: str) -> None:
    (tmp_path / "notes.txt").write_text("no language", encoding="utf-8")
    with pytest.raises(ConfigError, match="no languages here"):
        read(tmp_path / folder)
