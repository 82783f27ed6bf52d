"""Imports that `lint-imports` cannot judge; the contracts in pyproject.toml judge the others."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import processor.core
from tests.parsing import parsed

CORE = Path(processor.core.__file__).parent


def imported_by(source: str) -> Iterator[str]:
    """The full name of every module that a file's text imports, also within functions."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module


def is_pure(module: str) -> bool:
    """Whether the core may import it: its own, or the standard library's without a network."""
    if module in ("urllib.parse", "processor.core") or module.startswith("processor.core."):
        return True
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and top not in ("urllib", "http", "email")


@pytest.mark.parametrize("file", sorted(CORE.rglob("*.py")), ids=lambda file: file.name)
def test_the_core_imports_itself_and_the_standard_library(file: Path) -> None:
    assert [name for name in imported_by(file.read_text()) if not is_pure(name)] == []


def test_a_wrong_import_is_found_wherever_it_is() -> None:
    source = "import re, orjson\ndef late():\n    from urllib.request import urlopen\n"
    found = [name for name in imported_by(source) if not is_pure(name)]
    assert found == ["orjson", "urllib.request"]
