"""`released/<version>/`: the contract as others have it, and what this one would break of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas import MODELS, json_schema
from schemas.compatibility import breaks

FOLDER = Path(__file__).parent / "released"
TOPICS = Path(__file__).parent / "topics.toml"
REDIS = Path(__file__).parent / "redis"  # what the block list looks like there, byte for byte
_FIXED = ("key", "partitions", "cleanup")  # what all who write and read a topic agree on


def latest(folder: Path = FOLDER) -> Path:
    """The golden copy of the last released version.

    Raises:
        FileNotFoundError: where there is none.
    """
    versions = [path for path in folder.iterdir() if path.is_dir()]
    if not versions:
        raise FileNotFoundError(f"{folder}: no released version")
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".")])


def keep(version: str, folder: Path = FOLDER) -> Path:
    """Keep the contract as it is now as a released version's.

    Raises:
        FileExistsError: where that version has one: what was released does not change.
    """
    copy = folder / version
    copy.mkdir(parents=True)
    json_schema.export(copy)
    (copy / TOPICS.name).write_bytes(TOPICS.read_bytes())
    for golden in sorted(REDIS.glob("*.json")):
        (copy / f"redis-{golden.name}").write_bytes(golden.read_bytes())
    return copy


def broken(copy: Path) -> list[str]:
    """What would break readers or writers of a released version, topic by topic."""
    was, now = _topics(copy / TOPICS.name), _topics(TOPICS)
    problems = []
    for topic, about in was.items():
        if topic not in now and set(about["writers"]) == set(about["readers"]):
            continue  # one role's own notes to itself are no contract
        if any(other.get("replaces") == topic for other in now.values()):
            continue  # its next version takes its place, and `optout topics move` its records
        if topic not in now:
            problems.append(f"{topic}: breaks readers and writers: the topic is gone")
            continue
        problems += [f"{topic}: {why}" for why in _moved(about, now[topic])]
        if topic in MODELS:
            released = json.loads((copy / f"{topic}.json").read_text("utf-8"))
            made = json_schema.schema_of(topic)
            problems += [f"{topic}: {one}" for one in breaks(released, made)]
    return problems


def _moved(was: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name in _FIXED:
        if was.get(name) != now.get(name):
            yield f"breaks readers and writers: {name} {was.get(name)} is now {now.get(name)}"


def _topics(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))
