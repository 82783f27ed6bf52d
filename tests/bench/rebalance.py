"""How long partitions stand still when workers come, go, freeze or die.

    python -m tests.bench.rebalance --repeats 3 --against HEAD~5

Workers are processes; every partition gets a steady trickle of STOPs and of sends. A *stop* is the
longest time from the append of an input until a read_committed reader could read its output. Both
are by the broker's clock, so a slow observer does not matter. A partition *stayed* if one process
had it all the time, else it *moved*.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import stack
from processor import config
from processor.config import Settings
from processor.kafka.reading import reader
from processor.wire.topics import Topics
from tests.bench.programs import Broken
from tests.bench.standstill import Seen, Window, answers, held, seen, stops
from tests.bench.trickle import reply_id, text_id, trickle
from tests.groups import Generation, generations
from tests.installation import Installation, until
from tests.raw_log import Entry, entries
from tests.worker_process import OURS, Version, WorkerProcess, settled, version

ROLES = ("match", "gate")
_DEADLINE_S = 120.0
_QUIET_S = 5.0
_FROZEN_FOR_S = 3.0  # longer than the session time-out
_TRIES = 200  # until a worker is caught in a transaction
_LOOK_S = 0.1
_STATIC_SESSION_S = 45.0  # longer than a restart


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    repeats: int
    partitions: int
    rate: float  # of texts and of sends, for each second and partition
    more: int  # further messages a second, and as many sends
    session_s: float


@dataclass(slots=True)
class Found:
    """The results of one kind of window, over all repeats, in ms."""

    stayed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    moved: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    rebalances: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    held: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    ended: int = 0  # workers that ended by themselves


Figures = dict[str, Found]
"""Results by kind of event."""


class Stage:
    """An installation with its workers, under load, and the record of its events."""

    def __init__(self, settings: Settings, home: Path, version: Version) -> None:
        self.settings = settings
        self.windows: list[Window] = []
        self._home = home
        self._version = version
        self.workers: list[WorkerProcess] = []

    def worker(self, instance_id: str | None = None) -> WorkerProcess:
        """Another worker, not started."""
        log = self._home / f"{self.settings.topic_prefix}{len(self.workers)}"
        made = WorkerProcess(self.settings, log, instance_id, self._version, revived=True)
        self.workers.append(made)
        return made

    async def stop(self) -> None:
        """Stop all workers."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    async def settled(self, *workers: WorkerProcess) -> None:
        """Wait until these workers share all partitions."""
        await settled(workers, self.settings)

    @asynccontextmanager
    async def window(
        self, what: str, *, nobody_works: bool = False, goes_on: bool = False
    ) -> AsyncIterator[Window]:
        """Measure the block's effects under this name; see ``Window``."""
        made = Window(what, _now_ms(), nobody_works=nobody_works, goes_on=goes_on)
        yield made
        made.ended_ms = _now_ms()
        self.windows.append(made)

    async def kill_in_a_transaction(self, worker: WorkerProcess, window: Window) -> None:
        """Kill it while some of its outputs are written but undecided."""
        async with _something_open(self.settings) as is_open:
            for _ in range(_TRIES):
                worker.signal(signal.SIGSTOP)
                await asyncio.sleep(_LOOK_S)  # earlier requests to the broker may be pending
                if await is_open():
                    window.killed_ms = _now_ms()
                    await worker.kill()
                    return
                worker.signal(signal.SIGCONT)
                await asyncio.sleep(random.uniform(0.05, 0.2))
        raise Broken("a worker was never caught in a transaction")

    async def nothing_open(self) -> None:
        """Wait until a read_committed reader has all records."""
        async with _something_open(self.settings) as is_open:

            async def is_decided() -> bool:
                return not await is_open()

            await until(is_decided, "end of every transaction", _DEADLINE_S)


async def come_and_go(stage: Stage, plan: Plan) -> None:
    """Two workers; a third joins, leaves; one freezes, wakes, dies and is replaced."""
    first, second, third = stage.worker(), stage.worker(), stage.worker()
    await first.start()
    await second.start()
    await stage.settled(first, second)
    async with trickle(stage.settings, plan.rate, plan.more):
        await third.launch()  # not measured: a new broker is slow at the first rebalance
        await stage.settled(first, second, third)
        await third.stop()
        await stage.settled(first, second)
        async with stage.window("nothing"):
            await asyncio.sleep(_QUIET_S)
        for _ in range(plan.repeats):
            async with stage.window("a worker joins"):
                await third.launch()
                await stage.settled(first, second, third)
            async with stage.window("a worker leaves"):
                await third.stop()
                await stage.settled(first, second)
            async with stage.window("a worker freezes"):
                second.signal(signal.SIGSTOP)
                await asyncio.sleep(plan.session_s + _FROZEN_FOR_S)
                await stage.settled(first)
            async with stage.window("it wakes"):
                second.signal(signal.SIGCONT)
                await stage.settled(first, second)
            async with stage.window("a worker is killed, another takes over") as window:
                await stage.kill_in_a_transaction(second, window)
                await stage.settled(first)
            await second.launch()
            await stage.settled(first, second)
    await Installation(stage.settings).wait_for_no_lag(*ROLES, deadline_s=_DEADLINE_S)


async def roll(stage: Stage, plan: Plan, *, static: bool) -> None:
    """Three workers, restarted one after another."""
    kind = "with" if static else "without"
    workers = [stage.worker(f"worker-{one}" if static else None) for one in range(3)]
    for worker in workers:
        await worker.start()
    await stage.settled(*workers)
    async with trickle(stage.settings, plan.rate, plan.more):
        await stage.settled(*workers)
        for _ in range(plan.repeats):
            for worker in workers:
                async with stage.window(f"rolling restart {kind} ids, a worker", goes_on=True):
                    await worker.stop()
                    await worker.start()
            async with stage.window(f"rolling restart {kind} ids, afterwards"):
                await stage.settled(*workers)
    await Installation(stage.settings).wait_for_no_lag(*ROLES, deadline_s=_DEADLINE_S)


async def die_alone(stage: Stage, plan: Plan) -> None:
    """One worker, killed in a transaction, without a successor."""
    worker = stage.worker()
    async with trickle(stage.settings, plan.rate, plan.more):
        for _ in range(plan.repeats):
            await worker.launch()
            await stage.settled(worker)
            dead = stage.window("a worker is killed, nobody takes over", nobody_works=True)
            async with dead as window:
                await stage.kill_in_a_transaction(worker, window)
                await stage.nothing_open()
        await worker.launch()
        await stage.settled(worker)
    await Installation(stage.settings).wait_for_no_lag(*ROLES, deadline_s=_DEADLINE_S)


async def figures(stage: Stage) -> Figures:
    """The results of a stage's windows.

    Raises:
        Broken: an input has no output.
    """
    settings, topics = stage.settings, Topics.under(stage.settings.topic_prefix)
    takes = [take for worker in stage.workers for take in worker.takes()]
    found: Figures = defaultdict(Found)
    for role, source, output, output_id in (
        ("match", topics.inbound_messages, topics.reply_sends, reply_id),
        ("gate", topics.outbound_messages, topics.allowed_sends, text_id),
    ):
        outputs = await _seen(settings, output)
        asked = [one async for one in entries(settings, source) if text_id(one.value or b"{}")]
        answered, lost = answers(role, asked, _flat(outputs.values()), text_id, output_id)
        if lost:
            raise Broken(f"{role}: {len(lost)} of {len(asked)} inputs have no output")
        told = await generations(settings, f"{settings.topic_prefix}{role}")
        mine = [take for take in takes if take.place[0] == role]
        for window in stage.windows:
            of = found[window.what]
            if not window.nobody_works:
                stopped = stops(window, answered, mine)
                of.stayed[role] += stopped.stayed.values()
                of.moved[role] += stopped.moved.values()
                of.gaps[role] += stopped.gaps.values()
            of.rebalances[role].append(_rebalances(told, window))
            if window.killed_ms:
                waits = [held(one, window.killed_ms) for one in outputs.values()]
                of.held[role] += [wait for wait in waits if wait]
    ended_ms = [at_ms for worker in stage.workers for at_ms in worker.ended_ms]
    for window in stage.windows:
        found[window.what].ended += sum(
            window.began_ms <= at_ms <= window.ended_ms for at_ms in ended_ms
        )
    return found


def _flat(lists: Iterable[Sequence[Seen]]) -> Iterable[Seen]:
    return (one for each in lists for one in each)


async def _seen(settings: Settings, topic: str) -> dict[int, list[Seen]]:
    """Its records by partition."""
    found: dict[int, list[Entry]] = defaultdict(list)
    async for entry in entries(settings, topic):
        found[entry.tp.partition].append(entry)
    return {partition: seen(of) for partition, of in found.items()}


def _rebalances(told: Sequence[Generation], window: Window) -> int:
    """How many rebalances of a group ended in a window."""
    numbers = [[one.number for one in told if one.at_ms <= at_ms] for at_ms in window.times]
    return numbers[1][-1] - numbers[0][-1]


@asynccontextmanager
async def _something_open(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Yields a check whether a written output is hidden from a read_committed reader."""
    topics = Topics.under(settings.topic_prefix)
    outputs = [topics.reply_sends, topics.allowed_sends]
    async with (
        reader(settings, outputs, at_end=False, paused=True) as stable,
        reader(settings, outputs, at_end=False, paused=True, isolation="read_uncommitted") as whole,
    ):
        sources = list(stable.assignment())

        async def is_open() -> bool:
            # In this order, records written meanwhile look open, never decided.
            decided = await stable.end_offsets(sources)
            return bool(decided != await whole.end_offsets(sources))

        yield is_open


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


Scenario = Callable[[Stage, Plan], Awaitable[None]]


async def _roll_dynamic(stage: Stage, plan: Plan) -> None:
    await roll(stage, plan, static=False)


async def _roll_static(stage: Stage, plan: Plan) -> None:
    await roll(stage, plan, static=True)


# With the session time-out of each, if it differs from the plan's.
SCENARIOS: Mapping[str, tuple[Scenario, float | None]] = {
    "come-and-go": (come_and_go, None),
    "rolling": (_roll_dynamic, None),
    "rolling-with-ids": (_roll_static, _STATIC_SESSION_S),
    "alone": (die_alone, None),
}


async def _measure(
    name: str, plan: Plan, servers: tuple[stack.Server, stack.Server], home: Path, of: Version
) -> Figures:
    broker, redis = servers
    scenario, session_s = SCENARIOS[name]
    settings = config.load(
        kafka_bootstrap=broker.address,
        redis_url=f"redis://{redis.address}/0",
        topic_prefix=f"{name}-{uuid.uuid4().hex[:8]}.",
        partitions=plan.partitions,
        session_timeout_s=session_s or plan.session_s,
        roles=ROLES,
    )
    await of.run(settings, "topics", "create")
    stage = Stage(settings, home, of)
    async with AsyncExitStack() as running:
        running.push_async_callback(stage.stop)
        await scenario(stage, plan)
    found = await figures(stage)
    await _remove(settings)
    return found


async def _remove(settings: Settings) -> None:
    """Remove the topics, as each costs the broker open files."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        names = [one for one in await admin.list_topics() if one.startswith(settings.topic_prefix)]
        await admin.delete_topics(names)
    finally:
        await admin.close()


@click.command()
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--partitions", type=click.IntRange(3), default=12, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(min=1, max=100),
    default=20.0,
    show_default=True,
    help="STOPs, and sends, a second and partition; a stop is exact to one over this.",
)
@click.option(
    "--load",
    "more",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Messages a second besides, a tenth of them keywords, and as many sends.",
)
@click.option(
    "--session",
    type=click.FloatRange(1),
    default=10.0,
    show_default=True,
    help="Session time-out, s; restarts with ids have 45.",
)
@click.option(
    "--scenario",
    "names",
    type=click.Choice(list(SCENARIOS)),
    multiple=True,
    default=list(SCENARIOS),
    help="Only this one; may be given several times. Default: all.",
)
@click.option(
    "--logs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Keep the logs of workers and broker in this folder.",
)
@click.option("--against", help="Measure a commit, or a checkout's folder, too, in turn.")
def main(
    repeats: int,
    partitions: int,
    rate: float,
    more: int,
    session: float,
    names: tuple[str, ...],
    logs: Path | None,
    against: str | None,
) -> None:
    """Print, for each event of the workers, how long partitions stood still."""
    plan = Plan(repeats, partitions, rate, more, session)
    with ExitStack() as held_open:
        versions = {"now": OURS}
        if against:
            versions = {"before": held_open.enter_context(version(against))} | versions
        home = logs or Path(held_open.enter_context(TemporaryDirectory()))
        servers = (
            held_open.enter_context(stack.kafka(home)),
            held_open.enter_context(stack.valkey(home)),
        )
        print(f"command  python -m tests.bench.rebalance {' '.join(sys.argv[1:])}")
        print(
            f"date     {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores with"
            f" broker and load on them, load before it {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        for number, name in enumerate(names):
            found = {}
            # Alternate who goes first, because the machine's speed changes, too.
            for label in sorted(versions, reverse=bool(number % 2)):
                measuring = _measure(name, plan, servers, home, versions[label])
                found[label] = asyncio.run(measuring)
            _print(found)


def _print(found: Mapping[str, Figures]) -> None:
    """Median and longest, in seconds."""
    labels = sorted(found)
    print(
        f"\n{'':<44}{'':<7}{'stayed':>18}{'moved':>20}{'gap':>8}{'held':>16}  rebalances",
        f"{'':<44}{'':<7}{'n median longest':>18}{'n median longest':>20}{'longest':>8}"
        f"{'n longest':>16}",
        sep="\n",
    )
    for what in found[labels[0]]:
        for role in ROLES:
            for label in labels:
                _print_line(f"{what}, {role}", label, role, found[label][what])
    for what in found[labels[0]]:
        for label in labels:
            if ended := found[label][what].ended:
                print(f"{what}, {label}: {ended} workers ended by themselves")
    print(end="", flush=True)


def _print_line(what: str, label: str, role: str, of: Found) -> None:
    times = of.rebalances[role]
    few, many = min(times), max(times)
    held_s = of.held[role]
    print(
        f"{what:<51} {label:<7}",
        _words(of.stayed[role]),
        _words(of.moved[role]),
        f"{max(of.gaps[role]) / 1000:7.2f}" if of.gaps[role] else f"{'':7}",
        f"{len(held_s):>5} {max(held_s) / 1000:6.2f}" if held_s else f"{'':12}",
        f" {few}" if few == many else f" {few} to {many}",
    )


def _words(times_ms: Sequence[int]) -> str:
    if not times_ms:
        return f"{'':20}"
    return f"{len(times_ms):4} {median(times_ms) / 1000:7.2f} {max(times_ms) / 1000:7.2f}"


if __name__ == "__main__":
    main()
