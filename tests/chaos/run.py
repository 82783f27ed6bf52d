"""One chaos run, from the first server to the last check."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processor import audit
from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.topics import topic_admin
from processor.kafka.writing import Outgoing
from processor.wire.services import write_stored
from processor.wire.topics import Topics
from tests.api import create_accounts
from tests.carrier_serving import store
from tests.chaos import seen, world
from tests.chaos.application import Applications, applications
from tests.chaos.carrier import Carrier, carrier
from tests.chaos.faults import Faults, Suffered
from tests.chaos.fleet import Fleet
from tests.chaos.handed_over import wrong_hand_overs
from tests.chaos.lags import Lags
from tests.chaos.load import Load
from tests.chaos.plan import Fault, RedisKind, make_plan, one_by_one
from tests.chaos.servers import Servers, servers
from tests.chaos.stalls import Judged, Stall, judged
from tests.chaos.traffic import Traffic
from tests.chaos.verdict import deviations
from tests.installation import Installation, until

_PREFIX = "chaos."
# New brokers compile their code while they work. Partitions stand still for seconds then, without
# any fault.
_STEADY_S = 10.0
_SETTLED_S = 60.0  # at most
_STORM = 1 / 3  # of the time
_CALM_S = 8.0  # after each single fault
_LOOKS = 3  # at the lags
_ROLES = ("match", "gate", "webhooks", "carriers")
_LONGEST_S = 8.0  # of a fault, in a run of every kind once


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run."""

    seed: int
    seconds: float | None  # None: every kind of fault once
    rate: int = 10
    workers: int = 2
    partitions: int = 3
    redis: RedisKind = "one"
    brokers: int = 3
    min_replicas: int | None = None  # None: 1 if Redis fails over by itself
    only: tuple[str, ...] = ()  # kinds of faults; empty: all
    longest_s: float = _LONGEST_S
    drain_s: float = 300.0

    @property
    def storm_s(self) -> float | None:
        """How long faults run concurrently, before they run one by one."""
        return None if self.seconds is None else self.seconds * _STORM

    @property
    def replicas(self) -> int:
        """OPTOUT_REDIS_MIN_REPLICAS; without it, workers trust a replaced master that wakes."""
        if self.min_replicas is None:
            return 0 if self.redis == "one" else 1
        return self.min_replicas

    def plan(self) -> Sequence[Fault]:
        """The concurrent faults."""
        return make_plan(self.seed, seconds=self.storm_s, **self._kinds)

    def one_by_one(self) -> Iterator[Fault]:
        """The later single faults, without end."""
        return one_by_one(self.seed, **self._kinds)

    @property
    def _kinds(self) -> dict[str, Any]:
        return {
            "longest_s": self.longest_s,
            "redis": self.redis,
            "brokers": self.brokers,
            "only": self.only,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of a run."""

    options: Options
    took_s: float
    suffered: Suffered
    written: int
    unknown: int  # whether they were written
    redelivered: int
    counts: Mapping[str, int]  # of the audit
    compared: int
    violations: Mapping[str, Sequence[str]]  # kind to each
    ended_by_themselves: Sequence[str]
    stalls: Sequence[Stall]
    swallowed: int  # bytes that were sent and never arrived
    refused_elections: int  # partitions that a broker that lagged did not lead

    @property
    def judged(self) -> Sequence[Judged]:
        """The stalls compared with the design's limits, the worst first."""
        return judged(self.stalls, self.suffered.harms)

    @property
    def longest_stall_s(self) -> float:
        """The longest time without a verdict or reply in a partition that had work."""
        return max((stall.ended - stall.began for stall in self.stalls), default=0)

    @property
    def longest_stall_outside_s(self) -> float:
        """The same, without the times in which the broker or Redis was down."""
        outages = self.suffered.outages
        return max((stall.outside(outages) for stall in self.stalls), default=0)


async def run(options: Options, directory: Path, say: Callable[[str], None]) -> Outcome:
    """Start servers and workers, write, cause faults, let everything drain, and check."""
    async with (
        servers(
            directory,
            redis=options.redis,
            brokers_count=options.brokers,
            min_replicas=options.replicas,
            prefix=_PREFIX,
            broker_clocks_step=any("clock of a broker" in kind for kind in options.only),
        ) as made,
        applications(options.seed) as served,
        carrier(options.seed) as carried,
    ):
        settings = _settings(options, made)
        await topic_admin.create(settings)
        await _furnish(settings, served, carried)
        say(f"a STOP blocks for the {settings.block_scope}")
        fleet = Fleet(made.slots, settings, directory)
        traffic = Traffic(options.seed, Topics.under(settings.topic_prefix))
        load = Load(settings, traffic, rate=options.rate, seed=options.seed)
        faults = Faults(
            made,
            fleet,
            settings=lambda: _settings(options, made),
            entries=lambda: len(load.watch.marks),
            say=say,
        )
        began, lags = time.monotonic(), Lags()
        async with _beside(load.watch.follow()), _beside(lags.watch()):
            try:
                for _ in range(options.workers):
                    await fleet.start()
                async with _beside(fleet.keep()):
                    await _under_faults(options, Installation(settings), load, faults, say)
                    took_s = time.monotonic() - began
            except AssertionError:
                for line in fleet.last_words():
                    say(line)
                raise
            finally:
                await fleet.stop()
        say("checking")
        # Redis may be a different server now; records have the brokers' times.
        skew_ms = round(1000 * (1 + faults.suffered.brokers_differ_by_s))
        report = await audit.audit(_settings(options, made), audit.Options(skew_ms=skew_ms))
        left = await seen.read(settings, served.asked)
        wrong, compared = deviations(left, load.written, settings.block_scope)
        frozen = [(one.began, one.over) for one in faults.suffered.harms if one.kind == "freeze"]
        still = [*frozen, *lags.spans]
        unlike, messages = wrong_hand_overs(left, carried.handed, load.watch.visible, still)
        wrong, compared = [*wrong, *unlike], compared + messages
        swallowed = await made.network.swallowed()
        if unclean := made.kafka.unclean_elections:
            faults.suffered.wrong.append(f"{unclean} partitions were led by a broker that lagged")
    violations: dict[str, list[str]] = {"model": wrong} if wrong else {}
    if faults.suffered.wrong:
        violations["servers"] = faults.suffered.wrong
    for one in report.violations:
        violations.setdefault(one.kind, []).append(f"{one.where}: {one.what}")
    return Outcome(
        options,
        took_s,
        faults.suffered,
        len(load.written),
        load.unknown,
        load.redelivered,
        {
            **report.counts,
            **served.counts,
            **carried.counts,
            **left.counts,
            **load.counts,
            **lags.counts,
        },
        compared,
        violations,
        fleet.ended_by_themselves,
        load.watch.stalls,
        swallowed,
        made.kafka.refused_elections,
    )


def _settings(options: Options, made: Servers) -> Settings:
    """The installation's settings, with ways that are never cut."""
    return Settings(
        kafka_bootstrap=made.kafka.bootstrap,
        redis_url=made.redis.url,
        redis_timeout_s=2,
        redis_min_replicas=options.replicas,
        topic_prefix=_PREFIX,
        partitions=options.partitions,
        session_timeout_s=3,
        block_scope=world.scope_of(options.seed),
        **world.SETTINGS,
    )


async def _furnish(settings: Settings, served: Applications, carried: Carrier) -> None:
    """Create the accounts, their services and their carriers."""
    for account, token in world.TOKENS.items():
        await create_accounts(settings, account, token=token)
    # The topic of services has one partition.
    at = Installation(settings.model_copy(update={"partitions": 1}))
    topic, services = at.topics.messaging_services, world.services(served.base, served.nowhere)
    await at.write_raw(*(Outgoing(topic, one.sid.encode(), write_stored(one)) for one in services))
    await store(settings, *carried.documents())


async def _under_faults(
    options: Options,
    at: Installation,
    load: Load,
    faults: Faults,
    say: Callable[[str], None],
) -> None:
    """Write all the while; then wait until everything written was worked through."""
    await load.link()
    await _through(at, "links of persons with two addresses", options.drain_s)
    writing = asyncio.create_task(load.run())
    await until(lambda: _answered(load), "first answers", options.drain_s)
    async with _beside(_progress(load, say)):
        await _settle(load, say)
        load.watch.forget_stalls()
        await faults.storm(options.plan(), options.storm_s)
        if options.seconds is not None:
            await _settle(load, say)
            say("from now on one fault at a time")
            left_s = options.seconds * (1 - _STORM)
            await faults.one_by_one(options.one_by_one(), left_s, _CALM_S)
        say("no more faults; waiting until all is answered")
        load.stop()
        await writing
        await _through(at, "workers without a lag", options.drain_s)
        await load.look_back()
        await _through(at, "verdicts on the last sends", options.drain_s)


async def _settle(load: Load, say: Callable[[str], None]) -> None:
    """Wait until no partition has stood still for a while."""
    began = time.monotonic()
    while time.monotonic() - began < _SETTLED_S:
        await asyncio.sleep(_STEADY_S)
        if not load.watch.stood_still_since(time.monotonic() - _STEADY_S):
            return
    say(f"partitions still stand still after {_SETTLED_S:.0f} s: this machine is too busy")


async def _answered(load: Load) -> bool:
    return load.watch.has_begun


async def _through(at: Installation, what: str, deadline_s: float) -> None:
    """Wait until every role has committed everything; if one does not, say where."""
    left: dict[str, int] = {}

    async def looked() -> bool:
        # A delivery that fails between two looks is in no lag; the next look finds its retry.
        with contextlib.suppress(BrokerUnavailable):
            for _ in range(_LOOKS):
                left.clear()
                for role in _ROLES:
                    lags = await at.lags(role)
                    left.update({f"{tp.topic}[{tp.partition}]": lag for tp, lag in lags.items()})
                if left:
                    return False
            return True
        return False

    try:
        await until(looked, what, deadline_s)
    except AssertionError as error:
        raise AssertionError(f"{error}; not committed: {left}") from error


async def _progress(load: Load, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(10)
        seen = sum(load.watch.seen.values())
        say(f"{len(load.written):,} written, {seen:,} put out, {load.watch.waiting:,} waiting")


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work in the background until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
