"""Shared code is in modules without tests, and the first tier only needs `.[test]`."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.parsing import parsed

TESTS = Path(__file__).resolve().parents[1]
LOCK = TESTS.parent / "deploy" / "test.lock"
TREES = {
    str(path.relative_to(TESTS)): parsed(path.read_text("utf-8"))
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
    """Shared code belongs in a module whose name does not begin with ``test_``."""
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


def of_the_first_tier() -> set[str]:
    """The files of the first tier, and the files of ``tests/`` that these import."""
    found: set[str] = set()
    rest = ["conftest.py", *(one for one in TREES if one.startswith(("unit/", "property/")))]
    while rest:
        if (file := rest.pop()) not in found:
            found.add(file)
            names = (name.split(".")[1:] for name in imported(TREES[file]) if "." in name)
            rest += [one for name in names if (one := f"{'/'.join(name)}.py") in TREES]
    return found


def test_the_first_tier_needs_no_package_that_make_unit_does_not_install() -> None:
    installed = set(re.findall(r"^([a-z0-9-]+)==", LOCK.read_text("utf-8"), re.MULTILINE))
    ours = {"tests", "processor", "schemas", "deploy"} | sys.stdlib_module_names
    distributions = packages_distributions()
    missing = {
        f"{file}: {package}"
        for file in of_the_first_tier()
        for package in {name.partition(".")[0] for name in imported(TREES[file])} - ours
        if not installed.intersection(
            re.sub(r"[-_.]+", "-", one).lower() for one in distributions.get(package, ())
        )
    }
    assert not missing
