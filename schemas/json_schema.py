"""The JSON Schema files of `json/`: generated from the models, for readers in any language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas import MODELS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def export(folder: Path) -> list[Path]:
    """Write a file for every topic's model, ``<topic>.json``.

    Args:
        folder: created if missing; other files in it stay.

    Returns:
        The files, in the order of the topics' names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _files().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def differences(folder: Path) -> list[str]:
    """List the files of a folder that differ from the models, each with the reason."""
    made = _files()
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return [
        *(f"{name}: missing" for name in made if name not in found),
        *(f"{name}: differs" for name, text in found.items() if made.get(name, text) != text),
        *(f"{name}: no topic has this name" for name in sorted(found) if name not in made),
    ]


def _files() -> dict[str, str]:
    return {f"{topic}.json": _text_of(topic) for topic in sorted(MODELS)}


def schema_of(topic: str) -> dict[str, Any]:
    """Make the JSON Schema of a topic's values."""
    schema = MODELS[topic].model_json_schema(by_alias=True)
    return {"$schema": DIALECT, "$id": f"urn:optout:{topic}", **schema}


def _text_of(topic: str) -> str:
    return json.dumps(schema_of(topic), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
