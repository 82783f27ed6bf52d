"""How a lane is, as health, metrics and the watchdog see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aiokafka import TopicPartition


class Doing(Enum):
    """The state of a lane; its value is the text for people."""

    QUEUED = "waits for its turn to be taken"
    TAKING = "taking"
    RUNNING = "running"
    WAITING = "waiting"  # its stage waits for something in the middle of its work
    FAILED = "failed"  # it takes the partition again in a moment
    FENCED = "checks who owns the partition"


@dataclass(frozen=True, slots=True)
class LaneState:
    """A look at a lane from outside."""

    partition: int
    doing: Doing
    progressed_at: float  # when it last finished something, monotonic seconds
    next_offsets: Mapping[TopicPartition, int]  # the first not processed yet, by source
    ill_since: float | None = None  # it does not get to work, though another worker's might
    reason: str | None = None  # why it waits or failed, in words

    @property
    def is_running(self) -> bool:
        """Whether it gets on with its records."""
        return self.doing is Doing.RUNNING

    @property
    def text(self) -> str:
        """The text to show for the lane."""
        return self.reason or self.doing.value
