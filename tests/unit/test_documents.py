"""`services.yaml` as YAML: words stay words, and nothing is lost."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from processor.cli import main
from processor.cli.documents import load
from processor.errors import ConfigError


def loaded(text: str) -> object:
    file = io.BytesIO(text.encode())
    file.name = "services.yaml"
    return load(file)


def test_words_and_numbers_are_what_they_look_like() -> None:
    assert loaded("{no: [yes, on, 12345, +15551234567, 1.10, 2026-11-02, truely]}") == [
        {"no": ["yes", "on", "12345", "+15551234567", "1.10", "2026-11-02", "truely"]}
    ]


def test_true_false_and_nothing_are_themselves() -> None:
    assert loaded("[true, false, null, ~, ]") == [True, False, None, None]


def test_a_part_can_be_written_once_and_used_twice() -> None:
    assert loaded("- &one {a: x}\n- {<<: *one, b: y}\n") == [{"a": "x"}, {"a": "x", "b": "y"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- {es: 1, pt: 2, es: 3}", "'es' appears twice"),
        ("- {es: 1, 'es': 3}", "'es' appears twice"),
        ("- [", "not YAML"),
        ("[]", "must be a list of services, one document each"),
        ("word", "must be a list of services, one document each"),
    ],
)
def test_what_is_no_list_of_documents_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(text)
    assert str(refused.value).startswith("services.yaml: ")
    assert problem in str(refused.value)


def test_every_file_is_checked_whatever_is_wrong_with_another(tmp_path: Path) -> None:
    tabs, twice = tmp_path / "tabs.yaml", tmp_path / "twice.yaml"
    tabs.write_text("- friendly_name:\tx\n\taccount_sid: AC1\n")
    words = "{keywords: [baja], reply: x}"
    twice.write_text(
        "account_sid: AC1\nfriendly_name: Clinic\nopt_out:\n"
        f"  languages: {{es: {{STOP: {words}}}, pt: {{STOP: {words}}}}}\n"
    )
    run = CliRunner().invoke(main, ["services", "check", "--json", str(tabs), str(twice)])
    found = list(map(orjson.loads, run.stdout.splitlines()))
    assert (run.exit_code, len(found)) == (2, 2)
    [broken], [clash] = (one["errors"] for one in found)
    assert broken.pop("message").startswith("not YAML: ")
    assert broken == {"document": None, "place": [], "code": "not_yaml"}
    assert clash == {
        "document": "service 1 (Clinic)",
        "place": ["opt_out", "languages", "pt", "STOP", "keywords"],
        "code": "keyword_clash",
        "message": "'baja' is 'baja' of languages.es.STOP; a keyword has one meaning, so take one"
        " out",
    }
