"""`released/<version>/`: released contracts, and the check of today's contract against them."""

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
REDIS = Path(__file__).parent / "redis"  # golden copies of the block list in Redis
_FIXED = ("key", "partitions", "cleanup")  # properties on which all writers and readers rely


def latest(folder: Path = FOLDER) -> Path:
    """Find the golden copy of the last released version.

    Raises:
        FileNotFoundError: there is none.
    """
    versions = [path for path in folder.iterdir() if path.is_dir()]
    if not versions:
        raise FileNotFoundError(f"{folder}: no released version")
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".")])


def keep(version: str, folder: Path = FOLDER) -> Path:
    """Keep today's contract as that of a released version.

    Raises:
        FileExistsError: the version exists already, and released contracts do not change.
    """
    copy = folder / version
    copy.mkdir(parents=True)
    json_schema.export(copy)
    (copy / TOPICS.name).write_bytes(TOPICS.read_bytes())
    for golden in sorted(REDIS.glob("*.json")):
        (copy / f"redis-{golden.name}").write_bytes(golden.read_bytes())
    return copy


def broken(copy: Path) -> list[str]:
    """List the breaks for readers or writers of a released version, topic by topic."""
    was, now = _topics(copy / TOPICS.name), _topics(TOPICS)
    problems = []
    for topic, about in was.items():
        if topic not in now and set(about["writers"]) == set(about["readers"]):
            continue  # a role's private topics are not part of the contract
        if any(other.get("replaces") == topic for other in now.values()):
            continue  # its next version replaces it, and `optout topics move` moves the records
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
