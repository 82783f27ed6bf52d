"""Topics of counts, written every few seconds by a plain producer: statistics, and no more.

Counted after the commit, by the clock: a crash may lose the last seconds, a commit whose outcome
was unknown may count twice. No lane ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from processor import clocks
from processor.config import Settings
from processor.kafka.writing import BulkWriter, bulk_writer
from processor.metrics import Metrics

logger = logging.getLogger(__name__)

_Key = TypeVar("_Key", bound=Hashable)

_KEPT = 20_000  # records not written while there is no broker


class CountsTopic(Generic[_Key]):
    """Adds up what is counted under a key, and writes it, while it runs.

    Args:
        settings: of the installation.
        topic: full name.
        metrics: of the process.
        write: makes key and value of a record: of a count's key, the count, and the time since
            1970, in ms, when its seconds began.
        every_s: whole seconds that are counted together.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        metrics: Metrics,
        *,
        write: Callable[[_Key, int, int], tuple[bytes, bytes]],
        every_s: int = 1,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._lost = metrics.counts_lost
        self._record = write
        self._every_s = every_s
        self._counts: Counter[tuple[int, _Key]] = Counter()  # by the second that they began in
        self._stop = asyncio.Event()

    def add(self, counts: Mapping[_Key, int]) -> None:
        """Count what was committed."""
        second = int(clocks.now_s()) // self._every_s * self._every_s
        for key, count in counts.items():
            self._counts[second, key] += count
        if len(self._counts) > _KEPT:
            self._lost.inc(len(self._counts))
            self._counts.clear()

    def stop(self) -> None:
        """Ask to write what is counted, and end."""
        self._stop.set()

    async def run(self) -> None:
        """Write until stopped; without a broker, later."""
        while not self._stop.is_set():
            try:
                async with bulk_writer(self._settings, self._topic) as out:
                    while not self._stop.is_set():
                        await self._wait()
                        await self._write(out)
            except Exception as error:  # a defect of ours too: statistics must not end a process
                logger.warning("counts.not_written", extra={"why": type(error).__name__})
                await self._wait()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), self._every_s)

    async def _write(self, out: BulkWriter) -> None:
        counts, self._counts = self._counts, Counter()
        try:
            # In batches: one record after another, thousands of services took a fifth of a second.
            await out.send(
                [self._record(key, count, 1000 * at) for (at, key), count in counts.items()]
            )
            await out.flush()
        except BaseException:
            self._lost.inc(len(counts))  # some may have been written
            raise
