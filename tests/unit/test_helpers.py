"""What tests share is in modules that hold no tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
TREES = {
    str(path.relative_to(TESTS)): ast.parse(path.read_text("utf-8"))
    for path in TESTS.rglob("*.py")
    if "node_modules" not in path.parts
}


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that an import may mean, with its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_a_test_module(name: str) -> bool:
    """Whether a module, given with its dots, is one that pytest collects."""
    return name.startswith("tests.") and name.rpartition(".")[2].startswith("test_")


def test_nothing_is_imported_from_a_test_module() -> None:
    """What is shared belongs in a module whose name does not begin with ``test_``."""
    assert not [
        f"{file}: {name}"
        for file, tree in TREES.items()
        for name in imported(tree)
        if is_a_test_module(name)
    ]


def test_helpers_hold_no_tests() -> None:
    assert not [
        f"{file}: {node.name}"
        for file, tree in TREES.items()
        if not Path(file).name.startswith("test_")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_")
    ]
