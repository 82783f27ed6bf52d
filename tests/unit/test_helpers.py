"""What tests share is in modules that hold no tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MODULES = sorted(path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts)
HELPERS = [path for path in MODULES if not path.name.startswith("test_")]


def imported(path: Path) -> Iterator[str]:
    """Every module that may be meant by an import, with its dots."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_nothing_is_imported_from_a_module_of_tests(path: Path) -> None:
    of_tests = [
        name
        for name in imported(path)
        if name.startswith("tests.") and name.split(".")[-1].startswith("test_")
    ]
    assert not of_tests, "move what is shared to a module whose name does not begin with test_"


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: str(path.relative_to(TESTS)))
def test_helpers_hold_no_tests(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    assert not [
        one.name for one in tree if isinstance(one, functions) and one.name.startswith("test_")
    ]
