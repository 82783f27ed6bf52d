"""The workers: real processes, each in a slot with its own way to the servers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from deploy.local import stack
from processor.config import Settings
from tests.chaos import world
from tests.chaos.servers import Slot

_ENDS_S = 60.0  # for a worker to end
_SHOWN = 20  # lines of a log


class Fleet:
    """Starts workers and restarts those that end.

    Args:
        slots: the possible places of workers.
        settings: of the installation; each worker has its own addresses of the servers.
        logs: directory for the workers' logs.
    """

    def __init__(self, slots: Sequence[Slot], settings: Settings, logs: Path) -> None:
        self._slots = slots
        self._settings = settings
        self._logs = logs
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._starting = asyncio.Lock()  # one worker a slot
        self.ended_by_themselves: list[str] = []

    def running(self, chance: float) -> Slot:
        """A random slot that has a worker."""
        numbers = sorted(self._running)
        return self._slots[numbers[int(chance * len(numbers))]]

    def is_running(self, slot: Slot) -> bool:
        """Whether a slot has a worker."""
        return slot.number in self._running

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self._running)

    async def start(self) -> None:
        """Start a worker in the first free slot, if there is one."""
        async with self._starting:
            await self._start()

    async def _start(self) -> None:
        slot = next((slot for slot in self._slots if slot.number not in self._running), None)
        if slot is None:
            return
        command = [*slot.clock.command, sys.executable, "-m", "processor", "worker"]
        with (self._logs / f"worker{slot.number}.log").open("ab") as log:
            self._running[slot.number] = await asyncio.create_subprocess_exec(
                *stack.tied_to_this_process("KILL", command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment(slot.environment),
            )
        slot.redis.belongs_to(self._running[slot.number].pid)

    def environment(self, servers: Mapping[str, str]) -> dict[str, str]:
        """The environment for a process of the installation.

        Args:
            servers: the variables with the addresses of Kafka and Redis.
        """
        settings = self._settings
        return {
            **servers,
            "OPTOUT_REDIS_TIMEOUT_S": str(settings.redis_timeout_s),
            "OPTOUT_REDIS_MIN_REPLICAS": str(settings.redis_min_replicas),
            "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
            "OPTOUT_PARTITIONS": str(settings.partitions),
            "OPTOUT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
            **world.environment(settings.block_scope),
        }

    async def end(self, slot: Slot, sign: signal.Signals) -> None:
        """Signal a worker to end, and wait until it has ended."""
        process = self._running.pop(slot.number)
        if process.returncode is None:
            process.send_signal(sign)
        try:
            await asyncio.wait_for(process.wait(), _ENDS_S)
        except TimeoutError:
            self.ended_by_themselves.append(f"slot {slot.number}: deaf to {sign.name}, killed")
            process.kill()
            await process.wait()
            return
        if sign == signal.SIGTERM and process.returncode not in (0, -signal.SIGTERM):
            self.ended_by_themselves.append(f"slot {slot.number}: SIGTERM: {process.returncode}")

    def send(self, slot: Slot, sign: signal.Signals) -> None:
        """Freeze a worker, or wake it."""
        process = self._running.get(slot.number)
        if process and process.returncode is None:
            process.send_signal(sign)

    async def keep(self) -> None:
        """Restart workers that ended by themselves, as an orchestrator would."""
        while True:
            await asyncio.sleep(0.5)
            for number, process in list(self._running.items()):
                if process.returncode is not None:
                    self.ended_by_themselves.append(f"slot {number}: {process.returncode}")
                    del self._running[number]
                    await self.start()

    def last_words(self) -> Iterator[str]:
        """The end of each worker's log, for a run that does not end well."""
        for log in sorted(self._logs.glob("worker*.log")):
            yield from (f"{log.stem}: {line}" for line in log.read_text().splitlines()[-_SHOWN:])

    async def stop(self) -> None:
        """End all workers with SIGTERM."""
        await asyncio.gather(
            *(self.end(self._slots[number], signal.SIGTERM) for number in list(self._running))
        )
