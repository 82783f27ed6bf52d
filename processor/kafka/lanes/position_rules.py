"""Decide whether the position that a group committed in a partition is credible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

_FORMAT = "2"
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Position:
    """A group's position in a partition, and the log that it read up to there."""

    offset: int  # of the next record
    topic_id: str | None = None  # None: another program set the offset
    leader_epoch: int | None = None  # of the furthest batch that was read; None: none was yet
    stage_note: str = ""  # the stage's note for the next owner
    read_to: int = 0  # behind the last record read, where that is further
    writer: str | None = None  # name of the relay that may write for the partition

    @property
    def note(self) -> str:
        """The text that is committed beside the offset."""
        epoch = _UNKNOWN if self.leader_epoch is None else self.leader_epoch
        known = self.topic_id or _UNKNOWN, epoch, self.read_to, self.writer or _UNKNOWN
        return f"{_FORMAT} {' '.join(map(str, known))} {self.stage_note}"

    def read_on(self, offset: int, leader_epoch: int | None) -> Position:
        """The position after reading further.

        Continuing from a position before the furthest means reading records again that an older
        epoch wrote.

        Args:
            offset: after the last record read.
            leader_epoch: of the last record read; None: nothing was read.
        """
        known = [one for one in (self.leader_epoch, leader_epoch) if one is not None]
        return replace(self, offset=offset, leader_epoch=max(known, default=None))

    @property
    def furthest(self) -> int:
        """The offset up to which the log was read; the note may list later records as done."""
        return max(self.offset, self.read_to)


class NewerNote(ValueError):
    """A newer version wrote the note."""


def position_of(offset: int, note: str) -> Position:
    """Read a position as it was committed; a foreign note is ignored.

    Raises:
        NewerNote: a newer version wrote it.
    """
    version, _, rest = note.partition(" ")
    parts = rest.split(" ", 4)
    if not version.isdecimal():
        return Position(offset)
    if int(version) > int(_FORMAT):
        raise NewerNote
    if version != _FORMAT or len(parts) != 5 or not parts[2].isdecimal():
        return Position(offset)
    topic_id, epoch, read_to, writer, stage_note = parts
    return Position(
        offset,
        None if topic_id == _UNKNOWN else topic_id,
        int(epoch) if epoch.isdecimal() else None,
        stage_note,
        int(read_to),
        None if writer == _UNKNOWN else writer,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """A partition's log as the brokers have it now."""

    topic_id: str
    start: int
    end: int
    epoch_end: int | None = None  # see ``diverged``


class Cause(StrEnum):
    """The reason why a position is not credible."""

    NEVER_COMMITTED = "never_committed"
    OTHER_TOPIC = "other_topic"
    BELOW_START = "below_start"
    BEYOND_END = "beyond_end"
    DIVERGED = "diverged"


class Doubt(NamedTuple):
    """The reason why a position is not credible, as a word and as a sentence."""

    cause: Cause
    text: str


def doubt(position: Position | None, log: Log, *, has_outputs: bool) -> Doubt | None:
    """Decide whether a group may continue from a position.

    A wrong position would send messages twice, lift blocks by old STARTs, or silently skip records.

    Args:
        position: as committed; None: the group has not committed one.
        log: the log to continue in.
        has_outputs: whether the partition's outputs contain records: then the group was here
            before.

    Returns:
        The reason against it, or None if the group may continue.
    """
    if position is None:
        if log.start == log.end or not has_outputs:
            return None
        return Doubt(
            Cause.NEVER_COMMITTED,
            "no offset is committed, but outputs exist: the offset was deleted, or it expired",
        )
    if position.topic_id not in (None, log.topic_id):
        return Doubt(Cause.OTHER_TOPIC, "the topic was deleted and created again")
    at = position.offset
    if at < log.start:
        return Doubt(
            Cause.BELOW_START,
            f"the committed offset {at} is below the log's start {log.start}: "
            "records were deleted before they were read",
        )
    if position.furthest > log.end:
        return Doubt(
            Cause.BEYOND_END,
            f"the log was read up to {position.furthest} and ends at {log.end}: it lost records",
        )
    return diverged(position, log.epoch_end)


def diverged(position: Position, epoch_end: int | None) -> Doubt | None:
    """Whether the log lost records below a position, and others took their places.

    Args:
        position: with the leader epoch of the last batch read.
        epoch_end: where that epoch ends in the log; -1: the log does not know it; None: not asked.
    """
    if epoch_end is None or epoch_end >= position.furthest:
        return None
    ends = "is not in the log" if epoch_end < 0 else f"ends at {epoch_end} in the log"
    return Doubt(
        Cause.DIVERGED,
        f"the log was read up to {position.furthest} under leader epoch {position.leader_epoch}, "
        f"which {ends}: the log lost records, and others took their places",
    )
