"""The files of the schemas: the topics and the examples."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import schemas

FOLDER = Path(schemas.__file__).parent
TOPICS: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "topics.toml").read_text("utf-8"))
EXAMPLES = sorted((FOLDER / "examples").glob("*/*.json"))


def example(topic: str, name: str, **changes: Any) -> dict[str, Any]:
    """An example of a topic's record, with fields changed."""
    file = FOLDER / "examples" / topic / f"{name}.json"
    record: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return record | changes
