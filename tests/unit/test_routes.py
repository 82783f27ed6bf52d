"""No resource imports another's routes: code that two of them share has a file without routes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.parsing import parsed

_ROOT = Path(__file__).parents[2]
_ASSEMBLED_IN = {"processor.http.api", "processor.http.console.routes"}


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for path in (_ROOT / "processor" / "http").rglob("*.py"):
        parts = path.relative_to(_ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), parsed(path.read_text("utf-8"))


def _has_routes(source: ast.Module) -> bool:
    calls = (node for node in ast.walk(source) if isinstance(node, ast.Call))
    return any(isinstance(call.func, ast.Name) and call.func.id == "APIRouter" for call in calls)


def _imports(source: ast.Module) -> Iterator[str]:
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_no_resource_imports_anothers_routes() -> None:
    with_routes = {name: source for name, source in _sources() if _has_routes(source)}
    assert len(with_routes) > 20
    assert {
        (name, imported)
        for name, source in with_routes.items()
        if name not in _ASSEMBLED_IN
        for imported in _imports(source)
        if imported in with_routes
    } == set()
