"""Audits one partition: opens its topics where the last audit ended, and compares Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from processor.audit.context import Context, Range
from processor.audit.engine import Engine, Streams
from processor.audit.following import TOPICS, Following, refuse_gap
from processor.audit.history import Histories
from processor.audit.letter_round import about_of, path_of
from processor.audit.opening import open_streams
from processor.audit.options import Options, Snapshot
from processor.audit.parsing import KafkaRecord
from processor.audit.redis_check import check_redis
from processor.audit.report import Findings, Report
from processor.audit.services import Accounts, Services
from processor.audit.source_records import is_redriven, letter
from processor.audit.state import PartitionState
from processor.audit.streams import Counted, Fill
from processor.audit.values import (
    ALLOWED,
    CHANGES,
    DELIVERIES,
    HAND_OVERS,
    INBOUND,
    LETTERS,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    OUTPUTS,
    RETRIES,
    SOURCES,
    STATUSES,
)
from processor.config import Settings
from processor.kafka.bounded_reading import (
    LARGE,
    SMALL,
    Bounds,
    bounded_reader,
    bounds_of,
    offsets_since,
)

OnRecords = Callable[[int, int], None]

_MARGIN_MS = 3_600_000  # records in the range may refer to records written before it
_TOPICS = (*SOURCES, *OUTPUTS, LETTERS)
_SHOWN_EACH = 2_000  # records
_LARGE = (INBOUND, OUTBOUND, ALLOWED)  # topics with most of the records


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """A partition's findings, and the places that other partitions must know of."""

    report: Report
    forwarded: Mapping[str, int]
    arrived: Mapping[str, int]
    letters: int  # verdicts by a link, which wait for other partitions


async def audit_partition(
    settings: Settings,
    number: int,
    options: Options,
    snapshot: Snapshot,
    configuration: tuple[Services, Accounts],
    about: Mapping[str, str],
    directory: Path,
    on_records: OnRecords,
) -> PartitionReport:
    """Audit a partition up to a snapshot.

    Args:
        settings: of the installation.
        number: of the partition.
        options: of the audit.
        snapshot: where it ends.
        configuration: services and accounts, as they were at every time.
        about: identifies the installation; the state of another installation is refused.
        directory: of the states.
        on_records: called with the number of records read since the last call, and how many more
            were found to read.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StoreUnavailable: Redis does not answer.
        StateRefused: the state cannot be gone on from.
    """
    state = PartitionState(path_of(directory, number), about_of(about, number))
    try:
        return await _Audit(
            settings, number, options, snapshot, configuration, state, on_records
        ).run()
    finally:
        state.close()


class _Audit:
    def __init__(
        self,
        settings: Settings,
        number: int,
        options: Options,
        snapshot: Snapshot,
        configuration: tuple[Services, Accounts],
        state: PartitionState,
        on_records: OnRecords,
    ) -> None:
        self._settings, self._number, self._options = settings, number, options
        self._snapshot, self._state = snapshot, state
        self._services, self._accounts = configuration
        self._on_records = on_records
        self._read = 0
        self._all: tuple[Counted, ...] = ()
        self._prefix = settings.topic_prefix
        self._findings = Findings(options.since_ms, options.until_ms)

    async def run(self) -> PartitionReport:
        names = [self._prefix + topic for topic in (*_TOPICS, *TOPICS)]
        found = await bounds_of(self._settings, names, self._number)
        bounds = {name.removeprefix(self._prefix): one for name, one in found.items()}
        bounds[HAND_OVERS] = bounds[STATUSES]
        is_first = self._state.get("floor") is None
        begins, range_ = await (self._from_start(bounds) if is_first else self._go_on(bounds))
        self._on_records(0, sum(bounds[topic].end - begins[topic] for topic in begins))
        context = Context(
            self._number,
            self._settings.partitions,
            self._state,
            Histories(self._state),
            self._services,
            self._accounts,
            range_,
            self._findings,
            await self._letters(bounds),
            self._options.skew_ms,
            round(3_600_000 * self._settings.dedupe_hours),
            has_whole_history=self._has_whole_history(bounds, is_first),
            last_ms=int(self._state.get("last_ms") or 0),
            until_ms=self._snapshot.at_ms - self._options.skew_ms,
        )
        async with AsyncExitStack() as stack:
            streams = await self._streams(stack, begins, bounds)
            self._all = tuple(streams.by_topic().values())
            await self._check(context, streams, range_, bounds)
        self._count(streams, bounds)
        report = Report(dict(self._findings.counts), tuple(self._findings.violations))
        letters = self._state.people.count_letters()
        return PartitionReport(report, context.forwarded, context.arrived, letters)

    async def _check(
        self, context: Context, streams: Streams, range_: Range, bounds: Mapping[str, Bounds]
    ) -> None:
        engine = Engine(context, streams, self._show)
        saved = await engine.run()
        later = await engine.later_entries()
        engine.check_list(later)
        if self._options.with_redis:
            begin, wrong = streams.entries.next, self._unreadable
            await check_redis(self._settings, context, later, begin, wrong)
        following = Following(self._settings, context, bounds, self._snapshot, self._unreadable)
        followed = await following.run(self._options.since_ms)
        kept = {
            **followed,
            "floor": orjson.dumps(dict(range_.floor)).decode(),
            "start": orjson.dumps(dict(range_.end)).decode(),
            "handled_since_ms": str(range_.handled_since_ms),
            "has_whole_history": str(context.has_whole_history),
            "snapshot_ms": str(self._snapshot.at_ms),
        }
        self._state.save({**saved, **kept}, engine.forget_before_ms)
        await engine.look_ahead()  # it applies changes to the state without saving them
        self._show()

    async def _from_start(self, bounds: Mapping[str, Bounds]) -> tuple[dict[str, int], Range]:
        """Begin where every topic still has its records, or a margin before the given time."""
        settings, since_ms = self._settings, self._options.since_ms
        oldest_ms = max(
            (
                one.first_ms
                for topic, one in bounds.items()
                if one.first > 0
                and one.first_ms is not None
                and topic not in (LIST, CHANGES, LETTERS, HAND_OVERS)
            ),
            default=None,
        )
        begins = {topic: one.first for topic, one in bounds.items()}
        dedupe_ms = round(1.5 * 3_600_000 * settings.dedupe_hours)
        asked = {}
        for topic in _TOPICS:
            if topic in (LIST, CHANGES, LETTERS):
                continue
            margin_ms = _MARGIN_MS + (0 if topic in (OUTBOUND, ALLOWED, STATUSES) else dedupe_ms)
            times = [oldest_ms, None if since_ms is None else since_ms - margin_ms]
            if (
                from_ms := max((one for one in times if one is not None), default=None)
            ) is not None:
                asked[self._prefix + topic] = max(0, from_ms)
        if asked:
            found = await offsets_since(settings, asked, self._number)
            begins |= {name.removeprefix(self._prefix): offset for name, offset in found.items()}
            begins[HAND_OVERS] = begins[STATUSES]
        handled_since = asked.get(self._prefix + NOTIFICATIONS, float("-inf"))
        floor = {topic: begins[topic] for topic in SOURCES}
        ends = self._snapshot.ends(self._number)
        end = {topic: max(ends[topic], floor[topic]) for topic in SOURCES}
        return begins, Range(floor, floor, end, handled_since)

    async def _go_on(self, bounds: Mapping[str, Bounds]) -> tuple[dict[str, int], Range]:
        """Begin where the last audit ended."""
        get = self._state.get
        read = (*SOURCES, *OUTPUTS, HAND_OVERS)
        begins = {topic: int(get(f"next {topic}") or 0) for topic in read}
        for topic, begin in begins.items():
            one = bounds[topic]
            first = 0 if topic == LIST else one.first  # compaction leaves gaps
            refuse_gap(topic, self._number, begin, replace(one, first=first))
        floor = orjson.loads(get("floor") or b"{}")
        start = orjson.loads(get("start") or b"{}")
        ends = self._snapshot.ends(self._number)
        end = {topic: max(ends[topic], start[topic]) for topic in SOURCES}
        handled_since = float(get("handled_since_ms") or "-inf")
        return begins, Range(floor, start, end, handled_since)

    def _has_whole_history(self, bounds: Mapping[str, Bounds], is_first: bool) -> bool:
        if is_first:
            return bounds[CHANGES].first == 0
        return self._state.get("has_whole_history") == "True"

    async def _letters(self, bounds: Mapping[str, Bounds]) -> Mapping[str, set[int]]:
        """Read which records of this partition's topics were put aside."""
        found: dict[str, set[int]] = defaultdict(set)
        one = bounds[LETTERS]
        name = self._prefix + LETTERS
        async with bounded_reader(
            self._settings, name, self._number, begin=one.first, end=one.end
        ) as reader:
            while batch := await reader.fill():
                for record in batch:
                    found_at = letter(record)
                    if found_at and found_at[1] == self._number:
                        topic = found_at[0].removeprefix(self._prefix)
                        found[topic].add(found_at[2])
        return found

    async def _streams(
        self, stack: AsyncExitStack, begins: Mapping[str, int], bounds: Mapping[str, Bounds]
    ) -> Streams:
        fills: dict[str, Fill] = {}
        for topic in (*SOURCES, *OUTPUTS, HAND_OVERS):
            name = STATUSES if topic == HAND_OVERS else topic
            reader = await stack.enter_async_context(
                bounded_reader(
                    self._settings,
                    self._prefix + name,
                    self._number,
                    begin=begins[topic],
                    end=bounds[topic].end,
                    portion=LARGE if topic in _LARGE else SMALL,
                )
            )
            fills[topic] = reader.fill

        return open_streams(fills, begins, self._unreadable)

    def _unreadable(self, topic: str, record: KafkaRecord) -> None:
        if is_redriven(record):
            return
        where = f"{topic}[{self._number}]@{record.offset}"
        what = "is not a valid value of its topic"
        self._findings.add("contradictory", where, what, record.timestamp)

    def _show(self) -> None:
        """Tell how many records were read since the last time."""
        read = sum(stream.count for stream in self._all)
        if read - self._read >= _SHOWN_EACH:
            self._on_records(read - self._read, 0)
            self._read = read

    def _count(self, streams: Streams, bounds: Mapping[str, Bounds]) -> None:
        counts, range_end = self._findings.counts, self._snapshot.ends(self._number)
        for topic, stream in streams.by_topic().items():
            if topic != HAND_OVERS:  # its records are counted as statuses
                counts[topic] += stream.count
        counts["sends_not_judged_yet"] += max(0, bounds[OUTBOUND].end - range_end[OUTBOUND])
        counts["messages_not_matched_yet"] += max(0, bounds[INBOUND].end - range_end[INBOUND])
        waiting = (bounds[topic].end - range_end[topic] for topic in (DELIVERIES, *RETRIES))
        counts["deliveries_waiting"] += sum(max(0, one) for one in waiting)
        self._on_records(sum(one.count for one in self._all) - self._read, 0)
