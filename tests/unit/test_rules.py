"""`processor/RULES.md` defines every rule that is cited, and each rule that is built has a test."""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import processor
from tests.parsing import parsed

ROOT = Path(processor.__file__).parent.parent
BOOK = ROOT / "processor" / "RULES.md"
CITED = re.compile(r"\bR([0-9]+)\b")
NAMED = re.compile(r"(?<=_)r([0-9]+)(?=_)")  # in the name of a test: test_r18_r21_…
TEST = re.compile(r"\bdef (test_\w+)")
STATUS = re.compile(r"^\*(Built|Built in part|Not built yet)\.\*", re.M)
# All other files are data, or come from elsewhere.
WORDS = {"", ".html", ".md", ".py", ".toml", ".tpl", ".yaml", ".yml"}


@cache
def rules() -> dict[str, str]:
    """Each rule's number and its section of the rule book."""
    _, *sections = re.split(r"^### R(?=[0-9])", BOOK.read_text("utf-8"), flags=re.M)
    found = [(section.split(maxsplit=1)[0], section) for section in sections]
    assert len(found) == len(dict(found)), "a rule is defined once"
    return dict(found)


def not_built() -> set[str]:
    """The rules that are not built at all."""
    return {
        number
        for number, section in rules().items()
        if STATUS.findall(section) == ["Not built yet"]
    }


@cache
def texts() -> dict[str, str]:
    """Every tracked file of words, by its path: code, tests, pages, manifests."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no checkout of git: which files are the project's is not known")
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in paths
        if path.suffix in WORDS and "node_modules" not in path.parts and path.is_file()
    }


def named_by(module: str) -> Iterator[str]:
    """The rules that a test module names: in names of tests, in docstrings and in comments."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(parsed(module)):
        if isinstance(node, functions) and node.name.startswith("test_"):
            yield from NAMED.findall(node.name)
        if isinstance(node, functions | ast.ClassDef | ast.Module):
            yield from CITED.findall(ast.get_docstring(node) or "")
    for token in tokenize.generate_tokens(iter(module.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT:
            yield from CITED.findall(token.string)


@cache
def naming() -> dict[str, set[str]]:
    """The test modules that name each rule."""
    found = defaultdict(set)
    for path, text in texts().items():
        if path.startswith("tests/") and Path(path).name.startswith("test_"):
            for number in named_by(text):
                found[number].add(path)
    return found


def test_every_rule_says_where_it_comes_from_and_what_is_built() -> None:
    for number, section in rules().items():
        assert section.count("\nSource: ") == 1, f"R{number} has one source paragraph"
        assert len(STATUS.findall(section)) == 1, f"R{number} says once how much of it is built"
        is_part = STATUS.findall(section) == ["Built in part"]
        assert is_part == ("Not built yet:" in section), f"R{number} names the part that is missing"


def test_every_rule_that_is_cited_is_in_the_book() -> None:
    unknown = {
        f"{path}: R{number}"
        for path, text in texts().items()
        for number in {*CITED.findall(text), *NAMED.findall(" ".join(TEST.findall(text)))}
        if number not in rules()
    }
    assert unknown == set()


def test_every_rule_that_is_built_has_a_test_that_names_it() -> None:
    assert {f"R{number}" for number in rules().keys() - not_built() - naming().keys()} == set()


def test_a_rule_that_a_test_names_is_built() -> None:
    assert {
        f"R{number}: {path}" for number in not_built() for path in naming().get(number, ())
    } == set()


def test_a_test_names_rules_in_its_name_its_docstring_or_a_comment() -> None:
    module = (
        '"""R1, R2: a module."""\n'
        "def test_r3_r4_a_name() -> None:\n"
        '    """R5: a docstring."""\n'
        '    assert "R6"  # R7\n'
        "def helper_r8_() -> None: ...\n"
    )
    assert set(named_by(module)) == {"1", "2", "3", "4", "5", "7"}
