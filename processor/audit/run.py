"""Runs an audit: the snapshot where it ends, the configuration, all partitions, in processes."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from tempfile import TemporaryDirectory

from processor import clocks
from processor.audit import results
from processor.audit.configuration import keep_services, read_configuration
from processor.audit.context import ANYWHERE
from processor.audit.letter_round import run_round
from processor.audit.options import Options, Snapshot
from processor.audit.partitions import OnRecords, PartitionReport, audit_partition
from processor.audit.report import Findings, Report, Violation
from processor.audit.services import Accounts, Services
from processor.audit.source_records import sent_on_of
from processor.audit.values import (
    COMMANDS,
    DUE,
    INBOUND,
    LETTERS,
    MADE,
    OUTBOUND,
    OUTPUTS,
    RETRIES,
    SERVICES,
    SOURCES,
)
from processor.config import Settings
from processor.kafka.bounded_reading import bounded_reader, bounds_of, committed_at, ids_of

_LISTEN_S = 0.2


async def take_snapshot(settings: Settings) -> Snapshot:
    """Note how far match, gate and webhooks have come.

    The gate is asked first. So match has committed every change that it judged by, or soon will.

    Raises:
        BrokerUnavailable: Kafka does not answer.
    """
    prefix, every = settings.topic_prefix, range(settings.partitions)
    at_ms = clocks.now_ms()
    asked = (("gate", [OUTBOUND]), ("match", [INBOUND, COMMANDS]), ("webhooks", DUE))
    found: dict[str, dict[int, int]] = {}
    for role, topics in asked:
        names = [prefix + topic for topic in topics]
        committed = await committed_at(settings, f"{prefix}{role}", names, every)
        for (name, partition), offset in committed.items():
            found.setdefault(name.removeprefix(prefix), {})[partition] = offset
    return Snapshot(at_ms, found)


@dataclass(frozen=True, slots=True)
class _Work:
    """The task of a process."""

    settings: Settings
    options: Options
    snapshot: Snapshot
    about: Mapping[str, str]
    states: Path  # their directory


async def audit(
    settings: Settings,
    options: Options | None = None,
    *,
    partitions: Iterable[int] | None = None,
    processes: int = 0,
    snapshot: Snapshot | None = None,
    on_records: OnRecords = lambda read, more: None,
) -> Report:
    """Compare the topics of an installation with each other and with Redis.

    Args:
        settings: of the installation.
        options: of the audit.
        partitions: partitions to check; all if None.
        processes: that share the work; 0: this process does it.
        snapshot: where the audit ends; None: now.
        on_records: called with the number of records read since the last call, and how many more
            were found to read.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StoreUnavailable: Redis does not answer.
        StateRefused: the state cannot be gone on from.
    """
    options = options or Options()
    with results.alone_in(options.directory), TemporaryDirectory(prefix="optout-audit-") as scratch:
        directory = options.directory or Path(scratch)
        return await _audit(
            settings, options, directory, partitions, processes, snapshot, on_records
        )


async def _audit(
    settings: Settings,
    options: Options,
    directory: Path,
    partitions: Iterable[int] | None,
    processes: int,
    snapshot: Snapshot | None,
    on_records: OnRecords,
) -> Report:
    about = await _about(settings)
    snapshot = snapshot or await take_snapshot(settings)
    if options.directory is not None:
        await keep_services(settings, options.directory, about)
    numbers = list(range(settings.partitions) if partitions is None else partitions)
    work = _Work(settings, options, snapshot, about, directory)
    if processes:
        found = await _in_processes(work, numbers, min(processes, len(numbers)), on_records)
    else:
        found = await _audited(work, numbers, on_records)
    violations = await _follow_forwarded(work, found, numbers)
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one.report.counts)
        counts["sent_on"] += len(one.forwarded)
        violations += one.report.violations
    if any(one.letters for one in found):
        judged = await _judge_letters(work, numbers)
        counts.update(judged.counts)
        violations += judged.violations
    report = Report(dict(counts), tuple(violations), snapshot.at_ms)
    if options.directory is not None:
        results.keep(options.directory, report)
    return report


async def _about(settings: Settings) -> dict[str, str]:
    """Identify the installation: its partitions, and the ids of its topics."""
    topics = (*SOURCES, *OUTPUTS, *RETRIES, MADE, LETTERS, SERVICES)
    names = [settings.topic_prefix + topic for topic in topics]
    ids = await ids_of(settings, names)
    return {"partition count": str(settings.partitions)} | {
        f"topic {name}": id_ for name, id_ in ids.items()
    }


async def _audited(
    work: _Work, numbers: Sequence[int], on_records: OnRecords
) -> list[PartitionReport]:
    global _configuration
    if _said is None or _configuration is None:
        directory = work.options.directory
        _configuration = await read_configuration(work.settings, directory, work.about)
    found = []
    for number in numbers:
        report = await audit_partition(
            work.settings,
            number,
            work.options,
            work.snapshot,
            _configuration,
            work.about,
            work.states,
            on_records,
        )
        found.append(report)
        gc.collect()  # clients are cycles: several partitions' would add up
    return found


# Of a process that works for another, and ends with the audit.
_configuration: tuple[Services, Accounts] | None = None
_said: SimpleQueue[tuple[int, int]] | None = None


def _begin(said: SimpleQueue[tuple[int, int]]) -> None:
    global _said
    _said = said


def _one(work: _Work, number: int) -> PartitionReport:
    """Audit a partition in a process that works for another."""
    [report] = asyncio.run(_audited(work, [number], lambda *counts: _tell(counts)))
    return report


def _tell(counts: tuple[int, int]) -> None:
    if _said is not None:
        _said.put(counts)


async def _in_processes(
    work: _Work, numbers: Sequence[int], processes: int, on_records: OnRecords
) -> list[PartitionReport]:
    spawning = multiprocessing.get_context("spawn")
    said: SimpleQueue[tuple[int, int]] = spawning.SimpleQueue()
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, spawning, _begin, (said,))
    futures: list[Future[PartitionReport]] = []
    try:
        futures += [pool.submit(_one, work, number) for number in numbers]
        while any(not future.done() for future in futures):
            await asyncio.sleep(_LISTEN_S)
            while not said.empty():
                on_records(*said.get())
            for future in futures:
                if future.done() and (error := future.exception()):
                    raise error
        return [future.result() for future in futures]
    finally:
        is_done = all(future.done() for future in futures)
        pool.shutdown(wait=is_done, cancel_futures=True)
        if not is_done:  # it failed or was cancelled: no one needs the other results
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()


async def _judge_letters(work: _Work, numbers: Sequence[int]) -> Findings:
    """Judge verdicts by the lists of two partitions (R32)."""
    options = work.options
    findings = Findings(options.since_ms, options.until_ms)
    services, _ = await read_configuration(work.settings, options.directory, work.about)
    checks = services, findings, options.skew_ms
    await run_round(work.settings, work.states, work.about, numbers, checks)
    return findings


async def _follow_forwarded(
    work: _Work, found: Sequence[PartitionReport], numbers: Collection[int]
) -> list[Violation]:
    """Check that each misplaced record came to its recipient's partition, once."""
    arrived: Counter[str] = Counter()
    for one in found:
        arrived.update(one.arrived)
    violations = [
        Violation("duplicated", place, f"was sent on {count} times")
        for place, count in arrived.items()
        if count > 1
    ]
    expected = defaultdict(set)
    for one in found:
        for place, target in one.forwarded.items():
            if place not in arrived and (target in numbers or target == ANYWHERE):
                expected[place.partition("[")[0], target].add(place)
    for (topic, target), places in expected.items():
        targets = range(work.settings.partitions) if target == ANYWHERE else [target]
        if not set(targets) <= set(numbers):
            continue  # other partitions may have them
        behind = {place for one in targets for place in await _sent_on(work, topic, one)}
        what = "was not sent on to its recipient's partition"
        violations += [Violation("lost", place, what) for place in sorted(places - behind)]
    return violations


async def _sent_on(work: _Work, topic: str, partition: int) -> set[str]:
    """Find which misplaced records lie behind the snapshot in a partition."""
    name = work.settings.topic_prefix + topic
    bounds = (await bounds_of(work.settings, [name], partition))[name]
    begin = max(work.snapshot.ends(partition)[topic], bounds.first)
    found = set()
    async with bounded_reader(
        work.settings, name, partition, begin=min(begin, bounds.end), end=bounds.end
    ) as reader:
        while batch := await reader.fill():
            found |= {place for record in batch if (place := sent_on_of(record)) is not None}
    return found
