"""Opt-outs and opt-ins by hour and by minute: a Faust agent adds `opt-out-counts` to windows.

Faust's guarantees suffice for statistics: after a crash or a rebalance, it may count a second
again. A worker serves the partitions it has; a single worker has all of them.

Windows have no expiry, and are swept here. With an expiry, Faust would keep a note of every write
until then, and would forget the windows it recovered.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

import faust
import orjson
from aiohttp import web
from faust.exceptions import DecodeError

from processor import clocks
from processor.errors import RecordError
from processor.kafka.topics.follower import Follower
from processor.metrics import Metrics
from processor.stages.faust_types import Event, Message, Values, View
from processor.wire.opt_out_counts import read_model

logger = logging.getLogger(__name__)

_SWEEP_S = 60.0
_LAST_S = 253_402_300_800  # year 10,000: later windows are refused
_KEPT = 500_000  # windows of a table in memory: a few hundred bytes each


@dataclass(frozen=True, slots=True)
class _Kind:
    """A table of windows."""

    name: str
    size_s: int
    kept_s: int


_HOURS = _Kind("hours", 3_600, 24 * 3_600)
_MINUTES = _Kind("minutes", 60, 3_600)


class _Window(TypedDict):
    """A window as the page shows it."""

    start: str
    account_sid: str
    messaging_service_sid: str | None
    kind: str
    language: str | None
    count: int


class MadeTopic(faust.Topic):  # type: ignore[misc]
    """A topic that only `optout topics create` makes, never Faust: see ``topic_admin``."""

    decode: Callable[..., Awaitable[object]]  # made by Faust for each topic

    async def maybe_declare(self) -> None:
        """Do nothing; a worker starts only when every topic exists."""

    def _compile_decode(self) -> None:
        super()._compile_decode()
        decode = self.decode

        async def leniently(message: Message, *, propagate: bool = False) -> object:
            # Faust does not count records it cannot decode, so a recovery that ends with one hangs.
            try:
                return await decode(message, propagate=True)
            except DecodeError:
                return self.app.create_event(None, None, message.headers, message)

        self.decode = leniently


class MadeTable(faust.Table):  # type: ignore[misc]
    """A table of windows that skips records of its topic other than windows."""

    follower: Follower

    def apply_changelog_batch(self, batch: Iterable[Event]) -> None:
        """Apply only records that are windows; see Faust."""
        super().apply_changelog_batch([event for event in batch if self._is_ours(event)])

    def _is_ours(self, event: Event) -> bool:
        try:
            series, (start_s, end_s) = event.key
            account, service, kind, language = orjson.loads(series)
            texts = (account, kind, service or "", language or "")
            if (
                all(isinstance(one, str) for one in texts)
                and 0 <= start_s < end_s <= _LAST_S
                and isinstance(event.value, int | None)
            ):
                return True
        except (ValueError, TypeError):
            pass
        self.follower.refuse(event.message, RecordError("not a window of this table"))
        return False


class _Windows:
    """Counts of one window size, by account, service, kind and language."""

    def __init__(self, app: faust.App, kind: _Kind, partitions: int, follower: Follower) -> None:
        self._kind = kind
        self._table = app.Table(
            kind.name,
            default=int,
            partitions=partitions,
            key_type=str,
            value_type=int,
            help=f"opt-outs and opt-ins by {kind.size_s} s",
        )
        self._table.follower = follower
        self._windows = self._table.tumbling(kind.size_s)

    def add(self, key: str, count: int) -> None:
        """Count in the window of the current record."""
        if len(self._table.data) < _KEPT:
            self._windows[key] += count

    def sweep(self, now_s: float) -> None:
        """Forget windows that ended too long ago; retention does the same in the topic."""
        data = self._table.data
        for each in [each for each in data if each[1][1] < now_s - self._kind.kept_s]:
            data.pop(each)
        if len(data) >= _KEPT:
            logger.warning("rates.full", extra={"table": self._kind.name, "windows": len(data)})

    def found(self, now_s: float, service: str | None) -> Iterator[_Window]:
        """Every recent window, of one service or of all."""
        for (key, (start, end)), count in self._table.data.items():
            if end < now_s - self._kind.kept_s:
                continue
            account, sid, kind, language = orjson.loads(key)
            if service in (None, sid):
                yield {
                    "start": datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z"),
                    "account_sid": account,
                    "messaging_service_sid": sid,
                    "kind": kind,
                    "language": language,
                    "count": count,
                }


def add_to(app: faust.App, topic: str, partitions: int, metrics: Metrics) -> None:
    """Add the agent, its tables and the page ``/opt-out-rates`` to an app.

    The page takes ``?service=<sid>``.

    Args:
        app: the worker's, with its Kafka clients enabled.
        topic: full name of `opt-out-counts`.
        partitions: of that topic, and of the tables'.
        metrics: of the process.
    """
    follower = Follower("rates", metrics)
    tables = [_Windows(app, kind, partitions, follower) for kind in (_HOURS, _MINUTES)]
    counts = app.topic(topic, value_type=bytes, value_serializer="raw", key_serializer="raw")

    # One at a time: with more, Faust commits records that it has not counted yet.
    @app.agent(counts, concurrency=1)  # type: ignore[untyped-decorator]
    async def opt_out_rates(values: Values) -> None:
        async for value in values:
            # An agent that raises loses its record and more.
            try:
                one = read_model(value or b"")
                # Faust picks the window by the timestamp of the record.
                key = orjson.dumps(
                    [one.account_sid, one.messaging_service_sid, one.kind, one.language]
                ).decode()
                for table in tables:
                    table.add(key, one.count)
            except MemoryError:
                raise
            except Exception as error:
                follower.refuse(values.current_event.message, error)

    @app.timer(_SWEEP_S)  # type: ignore[untyped-decorator]
    async def sweep() -> None:
        for table in tables:
            table.sweep(clocks.now_s())

    @app.page("/opt-out-rates")  # type: ignore[untyped-decorator]
    async def rates(view: View, request: web.Request) -> web.Response:
        now_s, service = clocks.now_s(), request.query.get("service")
        hours, minutes = (
            sorted(table.found(now_s, service), key=lambda one: one["start"]) for table in tables
        )
        return view.json({"hours": hours, "minutes": minutes})
