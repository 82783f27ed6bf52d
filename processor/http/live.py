"""Who looks on, and what they are shown: bounded, each account only its own."""

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

KEPT = 50  # events of an account, and of a viewer that is slow
_ACCOUNTS = 1_000
_MOST = 200  # viewers of this process
_MOST_EACH = 20  # of an account
_LINGER_S = 60.0  # after the last look
_FIRST_S = 5.0
_SILENT_S = 8.0  # a broker that says nothing for so long is missed: it is asked every two


class TooManyViewers(Exception):
    """Nobody else can look on now."""


class Viewer:
    """One who looks on."""

    def __init__(self, account_sid: str | None, session: str) -> None:
        self.account_sid = account_sid
        self.session = session
        self.ended = False
        self._news: deque[LiveEvent] = deque(maxlen=KEPT)
        self._called = asyncio.Event()

    def give(self, event: LiveEvent) -> None:
        """Something new; where the viewer is slow, it takes the place of the oldest."""
        self._news.append(event)
        self._called.set()

    def forget(self) -> None:
        """What was new is known."""
        self._news.clear()

    def end(self) -> None:
        """Nothing will come any more."""
        self.ended = True
        self._called.set()

    async def news(self, timeout_s: float) -> Sequence[LiveEvent]:
        """What is new, perhaps nothing, the newest first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._called.wait(), timeout_s)
        self._called.clear()
        found = list(reversed(self._news))
        self._news.clear()
        return found


class Live:
    """Reads topics while somebody looks on, and a minute longer."""

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
        self.paces: dict[str, Pace] = {}  # of match and gate, the whole installation's
        self.passed = 0  # records that were passed over, to keep up
        self.cut_off = False  # Kafka did not answer, and does not yet
        self._silence: asyncio.Timeout | None = None
        self._asked_s = -_LINGER_S
        self._asked = asyncio.Event()
        self._ready = asyncio.Event()
        self._over = False

    async def look(self) -> bool:
        """Have topics read for a while; whether there is something to show yet."""
        self._asked_s = time.monotonic()
        self._asked.set()
        if not self.cut_off:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _FIRST_S)
        return self._ready.is_set()

    def recent(self, account_sid: str | None) -> list[LiveEvent]:
        """The last events of an account, of all if None, the newest first."""
        mine = self._all if account_sid is None else self._of_account.get(account_sid, ())
        return list(reversed(mine))

    def last_minute(self, account_sid: str | None) -> Mapping[What, int]:
        """How many there were in the last minute."""
        return self._last_minute.counts(account_sid, clocks.now_s())

    @contextmanager
    def watching(self, account_sid: str | None, session: str) -> Iterator[Viewer]:
        """Be told of everything new.

        Args:
            account_sid: whose, None for everybody's.
            session: that ends it.

        Raises:
            TooManyViewers: where there are as many as may be.
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
        """Let nobody of a session look on any more."""
        for viewer in self._viewers:
            if viewer.session == session:
                viewer.end()

    def close(self) -> None:
        """End every stream, and begin no other: the process is about to end."""
        self._over = True
        self._end_all()

    def _end_all(self) -> None:
        for viewer in self._viewers:
            viewer.end()

    async def follow(self) -> None:
        """Read for ever, whenever somebody looks on."""
        while True:
            await self._asked.wait()
            try:
                await self._read()
            except* (*NOT_ITS_FAULT, NoBroker) as errors:
                if not self.cut_off:  # told once
                    names = sorted({type(one).__name__ for one in errors.exceptions})
                    logger.warning("live.cut_off", extra={"errors": names})
                self.cut_off = True
            except* Exception as errors:
                self._follower.failed(errors.exceptions[0])
                self.cut_off = True
            if self._ready.is_set():
                self._ready.clear()
                self._end_all()  # what is read anew begins with what they have been shown
            if self.cut_off:
                await asyncio.sleep(clocks.RETRY_S)
            if not self._wanted():
                self._asked.clear()
                self.cut_off = False

    async def _read(self) -> None:
        """Read while it is wanted; a client would wait for a silent broker for minutes or more."""
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
        if not self._ready.is_set():  # begins anew, with the last ones
            self._all.clear()
            self._of_account.clear()
            self._last_minute = LastMinute()
            self.cut_off = False
            self._ready.set()
        now_s = clocks.now_s()
        for record in records:
            # Others may write to these topics; what they write wrong is not shown.
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
        self._of_account[event.account_sid] = mine  # last: who was quiet for longest goes first
        if len(self._of_account) > _ACCOUNTS:
            del self._of_account[next(iter(self._of_account))]
        self._last_minute.add(event, now_s)
        for viewer in self._viewers:
            if viewer.account_sid in (None, event.account_sid):
                viewer.give(event)
