"""Constant load: texts of recipients, sends of an application, commands of operators."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.kafka.writing import Writer, writer
from tests.chaos.limits import near_limits
from tests.chaos.traffic import CODECS, Traffic, Written
from tests.chaos.watch import Watch

_TICK_S = 0.05
_COMMANDS = 0.02  # for each inbound message
_REDELIVERIES = 0.01
_NEAR_LIMITS = 0.01
_LOOKED_BACK = 150  # recipients
_REDELIVERED_AFTER_S = (0.0, 15.0)
_AT_ONCE = 0.5  # share of new blocks that are followed by a send at once
_BEHIND_S = 2.0  # at most so much load is made up for after an outage


class Load:
    """Writes at a constant rate until stopped.

    Args:
        settings: of the installation, with an address of the broker that is never cut.
        traffic: the records to write.
        rate: inbound messages a second, and as many sends.
        seed: for all other random choices.
    """

    def __init__(self, settings: Settings, traffic: Traffic, *, rate: int, seed: int) -> None:
        self._settings = settings
        self._traffic = traffic
        self._rate = rate
        self._random = random.Random(f"load {seed}")
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._near_limits = near_limits(traffic)
        self._out: Mapping[str, Writer] = {}  # by codec; empty when the load is over
        self.watch = Watch(settings, self._send_at_once)
        self.written: dict[str, Written] = {}
        self.codecs: Counter[str] = Counter()  # of what was written
        self.redelivered = 0
        self.unknown = 0  # records that may have been written, or not

    @property
    def counts(self) -> dict[str, int]:
        """How many records were written with each codec."""
        return {f"written_with_{codec}": count for codec, count in self.codecs.items()}

    def stop(self) -> None:
        """Stop writing."""
        self._stop.set()

    async def run(self) -> None:
        """Write until stopped, and until all pending records are written."""
        async with AsyncExitStack() as writers:
            self._out = {
                codec: await writers.enter_async_context(self._writer(codec)) for codec in CODECS
            }
            done, last = 0.0, time.monotonic()
            while not self._stop.is_set():
                await asyncio.sleep(_TICK_S)
                now = time.monotonic()
                done, last = done + self._rate * min(now - last, _BEHIND_S), now
                for _ in range(int(done)):
                    await self._round()
                done -= int(done)
            self._out = {}
            while self._open:
                await asyncio.wait(self._open)

    async def link(self) -> None:
        """Link both addresses of each person, before all other load."""
        links = self._traffic.links()
        async with writer(self._settings) as out:
            await out.send_all([one.record for one in links])
        self.written |= {one.id: one.noted() for one in links}

    async def look_back(self) -> None:
        """When all is processed: send to some recipients from every sender of both accounts."""
        numbers = {(one.record.key or b"").decode() for one in self.written.values()}
        some = self._random.sample(sorted(numbers), min(_LOOKED_BACK, len(numbers)))
        sends = self._traffic.last_sends(some)
        async with writer(self._settings) as out:
            await out.send_all([one.record for one in sends])
        self.written |= {one.id: one.noted() for one in sends}

    def _writer(self, codec: str) -> Any:
        return writer(
            self._settings,
            enable_idempotence=True,
            request_timeout_ms=120_000,
            compression_type=None if codec == "none" else codec,
        )

    async def _round(self) -> None:
        await self._write(*self._traffic.texts())
        await self._write(*self._traffic.sends(self.watch.marks))
        if self._random.random() < _COMMANDS:
            await self._write(*self._traffic.commands())
        if self._random.random() < _NEAR_LIMITS:
            await self._write(*next(self._near_limits))
        if self._random.random() < _REDELIVERIES:
            self._start(self._redeliver())

    def _send_at_once(self, account: str, recipient: str) -> None:
        if self._out and self._random.random() < _AT_ONCE:
            self._start(self._write(self._traffic.send(self.watch.marks, account, recipient)))

    async def _redeliver(self) -> None:
        """Deliver a STOP again, as a carrier may, after the recipient opted in again (R22)."""
        stop, start, other = self._traffic.conversation()
        await self._write(stop, start, other)
        await asyncio.sleep(self._random.uniform(*_REDELIVERED_AFTER_S))
        if self._out:
            await self._write(stop, again=True)
            self.redelivered += 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _write(self, *ones: Written, again: bool = False) -> None:
        for one in ones:
            if not self._out:
                return  # the load is over
            try:
                fate = await self._out[one.codec].send(one.record)
            except KafkaError:
                self.unknown += 1
                continue
            self._start(self._settle(fate, one.noted(), again))

    async def _settle(self, fate: Awaitable[Any], one: Written, again: bool) -> None:
        try:
            await fate
        except KafkaError:
            self.unknown += 1
            return
        self.codecs[one.codec] += 1
        if not again:
            self.written[one.id] = one
            if not one.refused:
                self.watch.written(one)
