"""Carries the plan out: each track one fault after another, both beside each other."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.clock import Clock, libfaketime
from tests.chaos.fleet import Fleet
from tests.chaos.plan import OUTAGES, Fault
from tests.chaos.servers import SLOTS, Servers

_FEWEST = 2
STEPS_S = (-900, -60, 60, 900)
_SLOW_S = (0.005, 0.1)


@dataclass(slots=True)
class Suffered:
    """What was done; times are monotonic seconds."""

    by_kind: Counter[str] = field(default_factory=Counter)
    not_done: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[float, float]] = field(default_factory=list)


class Faults:
    """What can be done to an installation under load."""

    def __init__(
        self,
        servers: Servers,
        fleet: Fleet,
        *,
        session_timeout_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._servers = servers
        self._fleet = fleet
        self._session_timeout_s = session_timeout_s
        self._say = say
        self.suffered = Suffered()

    async def run(self, plan: Sequence[Fault], seconds: float | None) -> None:
        """Carry the plan out, to its end or until the time is over."""
        tracks = [
            self._track([fault for fault in plan if fault.track == track], seconds)
            for track in ("workers", "servers")
        ]
        await asyncio.gather(*tracks)

    async def _track(self, faults: Sequence[Fault], seconds: float | None) -> None:
        began = time.monotonic()
        for fault in faults:
            if seconds is not None and time.monotonic() - began > seconds:
                return
            await asyncio.sleep(fault.after_s)
            await self._suffer(fault)

    async def _suffer(self, fault: Fault) -> None:
        if "clock" in fault.kind and libfaketime() is None:
            self.suffered.not_done[fault.kind] += 1
            return
        began = time.monotonic()
        self._say(f"{fault.kind} ({fault.hold_s:g} s)")
        await self._do(fault)
        span = (began, time.monotonic())
        self.suffered.by_kind[fault.kind] += 1
        if fault.kind in OUTAGES:
            self.suffered.outages.append(span)

    async def _do(self, fault: Fault) -> None:
        servers, hold_s = self._servers, fault.hold_s
        match fault.kind:
            case "kill" | "terminate":
                await self._replace(fault)
            case "freeze":
                await self._freeze(fault)
            case "join":
                if self._fleet.count < SLOTS:
                    await self._fleet.start()
            case "leave":
                if self._fleet.count > _FEWEST:
                    await self._fleet.end(self._fleet.running(fault.chance), signal.SIGTERM)
            case "cut from Kafka" | "cut from Redis":
                slot = self._fleet.running(fault.chance)
                way = slot.kafka if "Kafka" in fault.kind else slot.redis
                way.cut()
                await asyncio.sleep(hold_s + self._session_timeout_s)
                way.heal()
            case "Redis emptied":
                await servers.empty_redis()
            case "Redis restarted empty":
                await servers.restart_redis_empty(hold_s)
            case "Redis frozen":
                await servers.freeze_redis(hold_s)
            case "Redis paused":
                await servers.pause_redis(hold_s)
            case "replica promoted, last writes missing":
                await servers.promote_replica(hold_s / 4)
            case "Redis restarted from an old snapshot":
                await servers.restart_redis_from_snapshot(hold_s / 4)
            case "Redis slow":
                least, most = _SLOW_S
                await servers.slow_redis(least + (most - least) * fault.chance, hold_s)
            case "broker killed":
                await servers.restart_broker(hold_s)
            case "clock of a worker stepped":
                await self._step(self._fleet.running(fault.chance).clock, fault)
            case "clock of Redis stepped":
                await self._step(servers.master.clock, fault)
            case unknown:
                raise ValueError(unknown)

    async def _replace(self, fault: Fault) -> None:
        sign = signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM
        await self._fleet.end(self._fleet.running(fault.chance), sign)
        await asyncio.sleep(fault.hold_s / 4)
        if self._fleet.count < _FEWEST:
            await self._fleet.start()

    async def _freeze(self, fault: Fault) -> None:
        slot = self._fleet.running(fault.chance)
        self._fleet.send(slot, signal.SIGSTOP)
        await asyncio.sleep(self._session_timeout_s + fault.hold_s / 2)
        self._fleet.send(slot, signal.SIGCONT)

    async def _step(self, clock: Clock, fault: Fault) -> None:
        clock.step(STEPS_S[int(fault.chance * 4) % len(STEPS_S)])
        await asyncio.sleep(fault.hold_s)
        clock.step(0)
