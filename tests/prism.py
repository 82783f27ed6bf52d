"""Prism, a mock server made from a provider's published OpenAPI document, which checks requests."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.processes import a_port, run, started

_FILES = Path(__file__).parent / "clients" / "prism"
_PLACE = Path(__file__).parents[1] / ".cache" / "clients" / "prism"
_START_S = 120.0  # it reads the whole document first


async def installed() -> Path:
    """The folder of the installed packages, as the lock file says."""
    _PLACE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_FILES / name, _PLACE)
    await run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=_PLACE)
    return _PLACE / "node_modules"


def reduced(document: Path, path: str) -> dict[str, Any]:
    """A document with one path only.

    Args:
        document: JSON or YAML.
        path: as the document writes it.
    """
    text = document.read_text("utf-8")
    whole = json.loads(text) if document.suffix == ".json" else yaml.safe_load(text)
    operation = whole["paths"][path]["post"]
    for content in operation["requestBody"]["content"].values():
        lists = [
            name
            for one in _objects(content["schema"], whole)
            for name, field in one.items()
            if field.get("type") == "array"
        ]
        # OpenAPI's default, which Prism goes by only where a document says it.
        content["encoding"] = {name: {"style": "form", "explode": True} for name in lists}
    return {**whole, "paths": {path: {"post": operation}}}


def names_of(document: dict[str, Any]) -> frozenset[str]:
    """The names of all fields that a request may have."""
    [path] = document["paths"].values()
    contents = path["post"]["requestBody"]["content"].values()
    found = [_objects(one["schema"], document) for one in contents]
    return frozenset(name for each in found for properties in each for name in properties)


def _objects(schema: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of every object that a schema is made of."""
    if "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return _objects(found, document)
    parts = [*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())]
    made = [one for part in parts for one in _objects(part, document)]
    return [*made, schema["properties"]] if "properties" in schema else made


@asynccontextmanager
async def mocking(document: dict[str, Any], folder: Path) -> AsyncIterator[str]:
    """Run a mock of a document; the URL of its API.

    Args:
        document: OpenAPI 3.
        folder: for the document's file.
    """
    modules = await installed()
    file, port = folder / "openapi.json", a_port()
    file.write_text(json.dumps(document, default=str))
    command = (str(modules / ".bin" / "prism"), "mock", "--errors", "--port", str(port), str(file))
    async with started(command) as process:
        await process.says("Prism is listening on", _START_S)
        yield f"http://127.0.0.1:{port}"
