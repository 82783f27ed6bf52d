"""Carries a plan out: its tracks beside each other, or one fault after another."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from deploy.local.stack import StackError
from processor.config import Settings
from tests.chaos.clock import Clock, libfaketime
from tests.chaos.fleet import Fleet
from tests.chaos.one_redis import OneRedis
from tests.chaos.plan import KINDS, TRACKS, Fault
from tests.chaos.redis_nodes import FailingOver
from tests.chaos.servers import SLOTS, Servers, Slot
from tests.chaos.stalls import Harm
from tests.chaos.topic_drift import drift, drifts

_FEWEST = 2
STEPS_S = (-900, -60, 60, 900)
FAR_S = 7200
_SLOW_S = (0.005, 0.1)
_LONG = 4  # times as long as other faults: a broker that is lost
_CERTIFICATE_S = 7.0  # a worker looks for another one every 5 s


@dataclass(slots=True)
class Suffered:
    """The fault that was done, and its expected effects that did not occur."""

    by_kind: Counter[str] = field(default_factory=Counter)
    not_done: Counter[str] = field(default_factory=Counter)
    harms: list[Harm] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    drifts: list[str] = field(default_factory=list)
    brokers_differ_by_s: float = 0.0  # their clocks, at most

    @property
    def outages(self) -> list[tuple[float, float]]:
        """When no worker could judge or answer, or a worker could not and kept its partitions."""
        return [(one.began, one.over) for one in self.harms if KINDS[one.kind].is_outage]


class Faults:
    """The faults that an installation under load can have.

    Args:
        servers: of the installation.
        fleet: its workers.
        settings: of the installation as it is now, by ways that are never cut.
        entries: how many entries the block list has now.
        say: reports what is done.
    """

    def __init__(
        self,
        servers: Servers,
        fleet: Fleet,
        *,
        settings: Callable[[], Settings],
        entries: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._servers = servers
        self._fleet = fleet
        self._settings = settings
        self._entries = entries
        self._say = say
        self._session_timeout_s = settings().session_timeout_s
        self.suffered = Suffered()

    async def storm(self, plan: Sequence[Fault], seconds: float | None) -> None:
        """Carry a plan out, its tracks beside each other, to its end or until the time is over."""
        async with asyncio.TaskGroup() as tracks:
            for track in TRACKS:
                faults = [fault for fault in plan if fault.track == track]
                tracks.create_task(self._track(faults, seconds))

    async def one_by_one(self, plan: Iterable[Fault], seconds: float, calm_s: float) -> None:
        """Carry a plan out until the time is over, with a pause behind each fault."""
        began = time.monotonic()
        for fault in plan:
            if time.monotonic() - began > seconds:
                return
            await self._suffer(fault)
            await asyncio.sleep(calm_s)

    async def _track(self, faults: Sequence[Fault], seconds: float | None) -> None:
        began = time.monotonic()
        for fault in faults:
            if seconds is not None and time.monotonic() - began > seconds:
                return
            await asyncio.sleep(fault.after_s)
            await self._suffer(fault)

    async def _suffer(self, fault: Fault) -> None:
        if KINDS[fault.kind].steps_clock and libfaketime() is None:
            self.suffered.not_done[fault.kind] += 1
            return
        harm = Harm(fault.kind, time.monotonic(), entries=self._entries())
        self._say(f"{fault.kind} ({fault.hold_s:g} s)")
        try:
            await self._do(fault, harm)
        except (AssertionError, StackError) as error:  # what did not come about in time
            self.suffered.wrong.append(f"{fault.kind}: {error}")
        harm.over = time.monotonic()
        self._say(f"{fault.kind}: over")
        self.suffered.harms.append(harm)
        self.suffered.by_kind[fault.kind] += 1

    async def _do(self, fault: Fault, harm: Harm) -> None:
        match fault.track:
            case "workers":
                await self._to_a_worker(fault, harm)
            case "redis":
                await self._to_redis(fault, harm)
            case "kafka":
                await self._to_kafka(fault, harm)

    async def _to_a_worker(self, fault: Fault, harm: Harm) -> None:
        hold_s, slot = fault.hold_s, self._fleet.running(fault.chance)
        match fault.kind:
            case "kill" | "terminate":
                await self._replace(slot, fault, harm)
            case "freeze":
                self._missed(harm)
                self._fleet.send(slot, signal.SIGSTOP)
                await asyncio.sleep(self._session_timeout_s + hold_s / 2)
                self._fleet.send(slot, signal.SIGCONT)
            case "join":
                if self._fleet.count < SLOTS:
                    await self._fleet.start()
            case "leave":
                if self._fleet.count > _FEWEST:
                    await self._fleet.end(slot, signal.SIGTERM)
            case "cut from Kafka" | "Kafka never answers a worker":
                self._missed(harm)
                await self._cut([slot], fault)
            case "cut from Redis" | "Redis never answers a worker":
                await self._cut([slot], fault)
            case "clock of a worker stepped":
                await _step(slot.clock, STEPS_S[int(fault.chance * 4) % len(STEPS_S)], hold_s)
            case "clock of a worker two hours ahead":
                await _step(slot.clock, FAR_S, hold_s)
            case unknown:
                raise ValueError(unknown)

    async def _to_redis(self, fault: Fault, harm: Harm) -> None:
        redis, hold_s, chance = self._servers.redis, fault.hold_s, fault.chance
        match redis, fault.kind:
            case _, "Redis emptied":
                await redis.empty()
            case _, "Redis restarted empty":
                # One that can be replaced is back before it is.
                await redis.restart_empty(chance, hold_s if isinstance(redis, OneRedis) else 0)
            case _, "Redis slow":
                least, most = _SLOW_S
                await self._slow(least + (most - least) * chance, hold_s)
            case _, "Redis never answers":
                await self._cut(self._servers.slots, fault)
            case _, "clock of Redis stepped":
                node = await redis.one(chance)
                await _step(node.clock, STEPS_S[int(chance * 4) % len(STEPS_S)], hold_s)
            case OneRedis(), "Redis frozen":
                await redis.freeze(hold_s)
            case OneRedis(), "Redis paused":
                await redis.pause(hold_s)
            case OneRedis(), "replica promoted, last writes missing":
                await redis.promote_replica(hold_s / 4)
            case OneRedis(), "Redis restarted from an old snapshot":
                await redis.restart_from_snapshot(hold_s / 4)
            case FailingOver(), "Redis master killed":
                await redis.kill_master(chance, hold_s, harm.is_reachable)
            case FailingOver(), "Redis master frozen":
                await redis.freeze_master(chance, hold_s, harm.is_reachable)
            case FailingOver(), "Redis master paused":
                await redis.pause_master(chance, harm.is_reachable)
            case FailingOver(), "Redis replica lost":
                await redis.lose_replica(chance, hold_s)
            case _, unknown:
                raise ValueError(unknown)

    async def _to_kafka(self, fault: Fault, harm: Harm) -> None:
        kafka, hold_s = self._servers.kafka, fault.hold_s
        number = kafka.one(fault.chance)
        match fault.kind:
            case "broker killed":
                await kafka.restart(number, hold_s, harm.is_reachable)
            case "broker lost for long":
                await kafka.restart(number, _LONG * hold_s, harm.is_reachable)
            case "broker frozen":
                await kafka.freeze(number, hold_s, harm.is_reachable)
            case "unclean election refused":
                await kafka.refuse_unclean_election(hold_s / 2, harm.is_reachable)
            case "Kafka never answers":
                await self._cut(self._servers.slots, fault)
            case "topic setting drifted":
                await self._drift(fault)
            case "certificate of a worker expired":
                await self._expire(hold_s, harm)
            case "clock of a broker two hours ahead":
                self.suffered.brokers_differ_by_s = FAR_S
                await _step(kafka.clocks[number], FAR_S, hold_s)
            case unknown:
                raise ValueError(unknown)

    def _missed(self, harm: Harm) -> None:
        """Others have its partitions once a worker's session is over."""
        harm.reachable.append(harm.began + self._session_timeout_s)

    async def _replace(self, slot: Slot, fault: Fault, harm: Harm) -> None:
        if fault.kind == "kill":
            self._missed(harm)
            await self._fleet.end(slot, signal.SIGKILL)
        else:
            await self._fleet.end(slot, signal.SIGTERM)
            harm.is_reachable()
        await asyncio.sleep(fault.hold_s / 4)
        if self._fleet.count < _FEWEST:
            await self._fleet.start()

    async def _cut(self, slots: Sequence[Slot], fault: Fault) -> None:
        """Cut or silence the ways of workers, one for longer than its session lasts."""
        ways = [slot.kafka if "Kafka" in fault.kind else slot.redis for slot in slots]
        for way in ways:
            way.silence() if "never" in fault.kind else way.cut()
        await asyncio.sleep(fault.hold_s + (self._session_timeout_s if len(ways) == 1 else 0))
        for way in ways:
            way.heal()

    async def _slow(self, delay_s: float, for_s: float) -> None:
        for slot in self._servers.slots:
            slot.redis.delay(delay_s)
        await asyncio.sleep(for_s)
        for slot in self._servers.slots:
            slot.redis.delay(0)

    async def _expire(self, hold_s: float, harm: Harm) -> None:
        """Let a certificate expire and the worker reconnect; later give it a new certificate."""
        slot, authorities = self._servers.secure_slot, self._servers.authorities
        if not self._fleet.is_running(slot):
            await self._fleet.start()  # in the first free slot, and that is the first one
        authorities.issue(timedelta(seconds=_CERTIFICATE_S))
        await asyncio.sleep(_CERTIFICATE_S + 1)
        harm.began = time.monotonic()
        self._missed(harm)
        slot.kafka.break_links()
        await asyncio.sleep(self._session_timeout_s + hold_s)
        authorities.renew()
        harm.is_reachable()
        await asyncio.sleep(_CERTIFICATE_S)

    async def _drift(self, fault: Fault) -> None:
        settings = self._settings()
        found = drifts(settings.topic_prefix, replicated=len(self._servers.kafka.servers) > 1)
        one = found[int(fault.chance * len(found))]
        self._say(str(one))
        where = {
            "OPTOUT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "OPTOUT_REDIS_URL": settings.redis_url,
        }
        await drift(settings, self._fleet.environment(where), one, fault.hold_s / 4)
        self.suffered.drifts.append(str(one))


async def _step(clock: Clock, by_s: int, for_s: float) -> None:
    clock.step(by_s)
    await asyncio.sleep(for_s)
    clock.step(0)
