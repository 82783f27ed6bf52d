"""Where an audit ends, and how it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from processor.audit.values import DUE, SOURCES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far match, gate and webhooks had come at a moment.

    ``offsets`` has the groups' offsets by topic and partition.
    """

    at_ms: int
    offsets: Mapping[str, Mapping[int, int]]

    def ends(self, partition: int) -> dict[str, int]:
        """Find the ends of a partition, by topic."""
        return {topic: self.offsets.get(topic, {}).get(partition, 0) for topic in (*SOURCES, *DUE)}


@dataclass(frozen=True, slots=True)
class Options:
    """The extent and the manner of an audit."""

    directory: Path | None = None  # of the states; None: begin at the start, keep nothing
    since_ms: int | None = None
    until_ms: int | None = None
    with_redis: bool = True
    skew_ms: int = 1_000
