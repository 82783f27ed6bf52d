"""The figures of carriers: written by the processes that serve them, read for the console."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping

from processor import clocks
from processor.config import Settings
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.topics.follower import Follower
from processor.kafka.writing import Outgoing, Writer, writer
from processor.metrics import Metrics
from processor.statistics.carrier_figures import Part, Quiet, State, Tally
from processor.statistics.carrier_history import EVERY_S, IDLE_S, KEPT_S, CarrierHistory
from processor.wire.carrier_figures import read, write
from processor.wire.records import Record

logger = logging.getLogger(__name__)

_AT_ONCE = 250  # records that are folded at once,
_PAUSE_S = 0.004  # and others are served meanwhile


class CarrierFiguresWriter:
    """Writes the figures of this process while it runs; no message ever waits for it.

    Args:
        settings: of the installation.
        topic: full name.
        part: of this process.
        tally: counted by others; it is emptied here.
        states: gives the state of every carrier by name.
        every_s: between two records.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        part: Part,
        tally: Tally,
        states: Callable[[], Mapping[str, State]],
        every_s: float = EVERY_S,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._part = part
        self._tally = tally
        self._states = states
        self._every_s = every_s
        self._process = secrets.token_hex(4)
        self._quiet = Quiet(every_ms=round(IDLE_S / EVERY_S * every_s * 1_000))
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask to write what is counted, and end."""
        self._stop.set()

    async def run(self) -> None:
        """Write until stopped; without a broker, what was counted meanwhile is lost."""
        while not self._stop.is_set():
            try:
                async with writer(self._settings) as out:
                    while not self._stop.is_set():
                        await self._wait()
                        await self._write(out)
            except Exception as error:  # a defect of ours too: statistics must not end a process
                logger.warning("figures.not_written", extra={"why": type(error).__name__})
                await self._wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._every_s)

    async def _write(self, out: Writer) -> None:
        taken = self._tally.take(self._part, self._process, self._states(), clocks.now_ms())
        records = map(write, self._quiet.worth(taken))
        await out.send_all(Outgoing(self._topic, key, value, partition=0) for key, value in records)


class CarrierFigures:
    """Follows the figures of all processes while it runs.

    Args:
        settings: of the installation.
        topic: full name.
        metrics: of the process.
        clock_ms: since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        metrics: Metrics,
        clock_ms: Callable[[], int] = clocks.now_ms,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self.clock_ms = clock_ms
        self._next: int | None = None  # offset
        self._follower = Follower("figures", metrics)
        self.history = CarrierHistory()
        self.loaded = False  # whether the figures that were there at the start are read

    async def follow(self) -> None:
        """Read for ever."""
        await self._follower.keep(self._read)

    async def _read(self) -> None:
        async with reader(self._settings, [self._topic], at_end=False, partitions=[0]) as consumer:
            [tp] = consumer.assignment()
            end = (await consumer.end_offsets([tp]))[tp]
            if self._next is None:
                since_ms = max(0, self.clock_ms() - 1_000 * KEPT_S)
                first = (await consumer.offsets_for_times({tp: since_ms}))[tp]
                self._next = first.offset if first else end
            consumer.seek(tp, self._next)
            await self._follower.watch(consumer, self._read_from(consumer, end))

    async def _read_from(self, consumer: Consumer, end: int) -> None:
        while True:
            assert self._next is not None
            if self._next >= end:
                self.loaded = True
            for records in (await consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)).values():
                self._fold(readable(records))
                self._next = records[-1].offset + 1
            await asyncio.sleep(_PAUSE_S)

    def _fold(self, records: Iterable[Record]) -> None:
        now_ms = self.clock_ms()
        for record in records:
            try:
                self.history.add(read(record.value or b""), now_ms)
            except MemoryError:
                raise
            except Exception as error:
                self._follower.refuse(record, error)
