"""Viewers of live events: their number is bounded, and each sees only their own account."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from processor import clocks
from processor.config import Settings
from processor.kafka.failures import NoBroker
from processor.kafka.topics.follower import NOT_ITS_FAULT, Follower
from processor.kafka.topics.live_topics import follow_progress, tail
from processor.metrics import Metrics
from processor.statistics.live import LastMinute, LiveEvent, Pace, Progress, What, pace_of
from processor.wire import live_events
from processor.wire.records import Record
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

KEPT = 50  # events kept for an account, and for a slow viewer
_ACCOUNTS = 1_000
_MOST = 200  # viewers in this process
_MOST_EACH = 20  # viewers of an account
_LINGER_S = 60.0  # how long topics are read after the last viewer
_FIRST_S = 5.0
_SILENT_S = 8.0  # a broker is lost after this; it is polled every two seconds


class TooManyViewers(Exception):
    """No further viewer is possible now."""


class Viewer:
    """A viewer of live events."""

    def __init__(self, account_sid: str | None, session: str) -> None:
        self.account_sid = account_sid
        self.session = session
        self.ended = False
        self._news: deque[LiveEvent] = deque(maxlen=KEPT)
        self._called = asyncio.Event()

    def give(self, event: LiveEvent) -> None:
        """Add an event; for a slow viewer, it replaces the oldest."""
        self._news.append(event)
        self._called.set()

    def forget(self) -> None:
        """Drop the events that were not shown yet."""
        self._news.clear()

    def end(self) -> None:
        """End the stream: no more events come."""
        self.ended = True
        self._called.set()

    async def news(self, timeout_s: float) -> Sequence[LiveEvent]:
        """Wait for new events, newest first; the list may be empty."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._called.wait(), timeout_s)
        self._called.clear()
        found = list(reversed(self._news))
        self._news.clear()
        return found


class Live:
    """Reads topics while there are viewers, and for a minute after."""

    def __init__(self, settings: Settings, topics: Topics, metrics: Metrics) -> None:
        self._settings = settings
        self._follower = Follower("live", metrics)
        self._readers = {
            topics.opt_out_notifications: live_events.of_notification,
            topics.block_changes: live_events.of_change,
            topics.message_statuses: live_events.of_status,
        }
        self._groups = {
            "match": [topics.inbound_messages, topics.consent_commands],
            "gate": [topics.outbound_messages],
        }
        self._viewers: set[Viewer] = set()
        self._all: deque[LiveEvent] = deque(maxlen=KEPT)
        self._of_account: dict[str, deque[LiveEvent]] = {}
        self._last_minute = LastMinute()
        self._progress: dict[str, Progress] = {}
        self.paces: dict[str, Pace] = {}  # of match and gate in the whole installation
        self.passed = 0  # records skipped to keep up
        self.cut_off = False  # whether Kafka stopped answering
        self._silence: asyncio.Timeout | None = None
        self._asked_s = -_LINGER_S
        self._asked = asyncio.Event()
        self._ready = asyncio.Event()
        self._over = False

    async def look(self) -> bool:
        """Read topics for a while; return whether there is something to show yet."""
        self._asked_s = time.monotonic()
        self._asked.set()
        if not self.cut_off:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _FIRST_S)
        return self._ready.is_set()

    def recent(self, account_sid: str | None) -> list[LiveEvent]:
        """The last events of an account, or of all if None, newest first."""
        mine = self._all if account_sid is None else self._of_account.get(account_sid, ())
        return list(reversed(mine))

    def last_minute(self, account_sid: str | None) -> Mapping[What, int]:
        """Count the events of the last minute."""
        return self._last_minute.counts(account_sid, clocks.now_s())

    @contextmanager
    def watching(self, account_sid: str | None, session: str) -> Iterator[Viewer]:
        """Add a viewer who gets every new event.

        Args:
            account_sid: account of the events; None for all.
            session: ends the stream when it ends.

        Raises:
            TooManyViewers: the most viewers are there already.
        """
        each = Counter(viewer.account_sid for viewer in self._viewers)
        if self._over or each.total() >= _MOST or each[account_sid] >= _MOST_EACH:
            raise TooManyViewers
        viewer = Viewer(account_sid, session)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            self._asked_s = time.monotonic()

    def end_session(self, session: str) -> None:
        """End the streams of a session."""
        for viewer in self._viewers:
            if viewer.session == session:
                viewer.end()

    def close(self) -> None:
        """End all streams and start no more: the process is about to end."""
        self._over = True
        self._end_all()

    def _end_all(self) -> None:
        for viewer in self._viewers:
            viewer.end()

    async def follow(self) -> None:
        """Read for ever, whenever there are viewers."""
        while True:
            await self._asked.wait()
            try:
                await self._read()
            except* (*NOT_ITS_FAULT, NoBroker) as errors:
                if not self.cut_off:  # log it once
                    names = sorted({type(one).__name__ for one in errors.exceptions})
                    logger.warning("live.cut_off", extra={"errors": names})
                self.cut_off = True
            except* Exception as errors:
                self._follower.failed(errors.exceptions[0])
                self.cut_off = True
            if self._ready.is_set():
                self._ready.clear()
                self._end_all()  # a new read starts with events that they have seen
            if self.cut_off:
                await asyncio.sleep(clocks.RETRY_S)
            if not self._wanted():
                self._asked.clear()
                self.cut_off = False

    async def _read(self) -> None:
        """Read while there are viewers; give up on a silent broker sooner than Kafka's client."""
        async with asyncio.timeout(_SILENT_S) as self._silence, asyncio.TaskGroup() as group:
            group.create_task(self._tail())
            group.create_task(self._paces())

    def _wanted(self) -> bool:
        return bool(self._viewers) or time.monotonic() < self._asked_s + _LINGER_S

    async def _tail(self) -> None:
        await tail(
            self._settings,
            list(self._readers),
            take=self._take,
            passed=self._pass,
            wanted=self._wanted,
        )

    async def _paces(self) -> None:
        self._progress.clear()
        await follow_progress(self._settings, self._groups, take=self._compare, wanted=self._wanted)

    def _compare(self, group: str, progress: Progress) -> None:
        if self._silence and not self._silence.expired():
            self._silence.reschedule(asyncio.get_running_loop().time() + _SILENT_S)
        if before := self._progress.get(group):
            self.paces[group] = pace_of(before, progress)
        self._progress[group] = progress

    def _pass(self, records: int) -> None:
        self.passed += records

    def _take(self, records: Sequence[Record]) -> None:
        if not self._ready.is_set():  # it starts again, with the last events
            self._all.clear()
            self._of_account.clear()
            self._last_minute = LastMinute()
            self.cut_off = False
            self._ready.set()
        now_s = clocks.now_s()
        for record in records:
            # Others may write to these topics; their bad records are not shown.
            try:
                event = self._readers[record.topic](record.value or b"", record.timestamp)
            except MemoryError:
                raise
            except Exception as error:
                self._follower.refuse(record, error)
                continue
            if event is not None:
                self._show(event, now_s)

    def _show(self, event: LiveEvent, now_s: float) -> None:
        self._all.append(event)
        mine = self._of_account.pop(event.account_sid, None) or deque(maxlen=KEPT)
        mine.append(event)
        self._of_account[event.account_sid] = (
            mine  # moved to the end, as the quietest account is dropped first
        )
        if len(self._of_account) > _ACCOUNTS:
            del self._of_account[next(iter(self._of_account))]
        self._last_minute.add(event, now_s)
        for viewer in self._viewers:
            if viewer.account_sid in (None, event.account_sid):
                viewer.give(event)
