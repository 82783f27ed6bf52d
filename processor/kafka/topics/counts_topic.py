"""`opt-out-counts.v1`, written each second by a plain producer: statistics, and no more.

Counted after the commit, by the clock: a crash may lose a second, a commit whose outcome was
unknown may count twice. No lane ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable

from processor import clocks
from processor.config import Settings
from processor.core.events import OptOutNotification
from processor.kafka.writing import BulkWriter, bulk_writer
from processor.metrics import Metrics
from processor.wire.opt_out_counts import Counted, counted_of, write

logger = logging.getLogger(__name__)

_EVERY_S = 1.0
_KEPT = 10_000  # records not written while there is no broker


class CountsTopic:
    """Adds up matches and writes them, while it runs."""

    def __init__(self, settings: Settings, topic: str, metrics: Metrics) -> None:
        self._settings = settings
        self._topic = topic
        self._lost = metrics.counts_lost
        self._counts: Counter[tuple[int, Counted]] = Counter()  # by second since 1970
        self._stop = asyncio.Event()

    def add(self, matched: Iterable[OptOutNotification]) -> None:
        """Count matches that were committed."""
        second = int(clocks.now_s())
        self._counts.update((second, counted_of(one)) for one in matched)
        if len(self._counts) > _KEPT:
            self._lost.inc(len(self._counts))
            self._counts.clear()

    def stop(self) -> None:
        """Ask to write what is counted, and end."""
        self._stop.set()

    async def run(self) -> None:
        """Write every second until stopped; without a broker, later."""
        while not self._stop.is_set():
            try:
                async with bulk_writer(self._settings, self._topic) as out:
                    while not self._stop.is_set():
                        await self._second()
                        await self._write(out)
            except Exception as error:  # a defect of ours too: statistics must not end a process
                logger.warning("counts.not_written", extra={"why": type(error).__name__})
                await self._second()

    async def _second(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), _EVERY_S)

    async def _write(self, out: BulkWriter) -> None:
        counts, self._counts = self._counts, Counter()
        try:
            # In batches: one record after another, thousands of services took a fifth of a second.
            await out.send(
                [
                    write(counted, count, 1000 * second)
                    for (second, counted), count in counts.items()
                ]
            )
            await out.flush()
        except BaseException:
            self._lost.inc(len(counts))  # some may have been written
            raise
