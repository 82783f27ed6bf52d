"""The stalls of partitions, computed from the broker's times of records in topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.raw_log import Entry
from tests.worker_process import Place, Take


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as a read_committed reader sees it."""

    entry: Entry
    at_ms: int  # when it and all before it in its partition were decided on
    committed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A record of the load and what came of it."""

    place: Place
    asked_ms: int  # the broker appended the input
    seen_ms: int  # a read_committed reader could have its output


@dataclass(slots=True)
class Window:
    """A time in which one thing happened to workers; UTC."""

    what: str
    began_ms: int
    ended_ms: int = 0
    killed_ms: int = 0  # when a worker was killed in it; 0: none was
    nobody_works: bool = False  # only what was held counts then
    goes_on: bool = False  # what happened may still stop partitions when the window ends

    @property
    def times(self) -> tuple[int, int]:
        """From when to when."""
        return self.began_ms, self.ended_ms


@dataclass(frozen=True, slots=True)
class Stops:
    """Each partition's longest stop in a window, ms, by what the window did to it."""

    stayed: Mapping[Place, int]
    moved: Mapping[Place, int]
    gaps: Mapping[Place, int]  # the longest between outputs, wherever the partition was


def seen(entries: Iterable[Entry]) -> list[Seen]:
    """Records of one partition with the time from which a read_committed reader has them.

    It has a record once the record's transaction and every one that began before it have ended. A
    transaction that is open at the end counts as never decided on: its records and those behind
    are left out.

    Args:
        entries: in order.
    """
    records: list[Entry] = []
    ends: dict[int, Entry] = {}  # offset to the mark of its transaction
    open_: dict[int, list[int]] = {}  # producer's id to offsets
    for entry in entries:
        if entry.producer is None:
            ends[entry.offset] = entry
            records.append(entry)
        elif entry.mark:
            ends |= dict.fromkeys(open_.pop(entry.producer[0], ()), entry)
        else:
            open_.setdefault(entry.producer[0], []).append(entry.offset)
            records.append(entry)
    found, at_ms = [], 0
    for record in records:
        if (end := ends.get(record.offset)) is None:
            break
        at_ms = max(at_ms, end.at_ms)
        found.append(Seen(record, at_ms, end.mark != "abort"))
    return found


def held(records: Iterable[Seen], at_ms: int) -> int:
    """How long from a time on readers waited for a transaction that was open then; 0: for none."""
    ends = [one.at_ms for one in records if one.entry.at_ms <= at_ms < one.at_ms]
    return max(ends, default=at_ms) - at_ms


def answers(
    role: str,
    inputs: Iterable[Entry],
    outputs: Iterable[Seen],
    input_id: Callable[[bytes], str],
    output_id: Callable[[bytes], str],
) -> tuple[list[Answer], list[str]]:
    """Each input with its output, in order of the inputs; and the ids of those that have none."""
    at_ms: dict[str, int] = {}
    for one in outputs:
        if one.committed:
            at_ms.setdefault(output_id(one.entry.value or b"{}"), one.at_ms)
    found, lost = [], []
    for entry in inputs:
        id_ = input_id(entry.value or b"{}")
        if id_ in at_ms:
            found.append(Answer((role, entry.tp.partition), entry.at_ms, at_ms[id_]))
        else:
            lost.append(id_)
    return found, lost


def stops(window: Window, answered: Sequence[Answer], takes: Iterable[Take]) -> Stops:
    """The measurements of a window.

    A partition *stayed* if the process that had it before had it all the time. Its stop is the
    longest time in the window for which an input lay there and its output could not be read. It
    counts past the end of a window that goes on: at the end of any other all had settled, and
    what comes then is of the next window.
    """
    before: dict[Place, Take] = {}
    others: set[Place] = set()
    for take in sorted(takes, key=lambda one: one.at_ms):
        if take.at_ms < window.began_ms:
            before[take.place] = take
        elif take.at_ms <= window.ended_ms and take.log != before[take.place].log:
            others.add(take.place)
    waits: dict[Place, int] = {}
    gaps: dict[Place, int] = {}
    last: dict[Place, int] = {}
    for one in sorted(answered, key=lambda one: one.seen_ms):
        before_ms, last[one.place] = last.get(one.place, one.seen_ms), one.seen_ms
        if one.seen_ms < window.began_ms or one.asked_ms > window.ended_ms:
            continue
        ended_ms = one.seen_ms if window.goes_on else min(one.seen_ms, window.ended_ms)
        for longest, since_ms in ((waits, one.asked_ms), (gaps, before_ms)):
            took_ms = ended_ms - max(since_ms, window.began_ms)
            longest[one.place] = max(longest.get(one.place, 0), took_ms)
    return Stops(
        stayed={place: wait for place, wait in waits.items() if place not in others},
        moved={place: wait for place, wait in waits.items() if place in others},
        gaps=gaps,
    )
