"""A steady load that shows where a partition stands still: each gets the same, tick by tick."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson

from processor.cli.traffic import Sender, Traffic
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.client import bulk_writer
from processor.wire.json_values import to_text
from processor.wire.topics import Topics
from tests.builders import ACCOUNT, LONG_CODE

_MINE = "trickle-"
_SENDS_TO, _TEXTS_FROM = 500_000, 1_000_000  # numbers; those of more load are lower
_MORE_RECIPIENTS = 10_000
_KEYWORD_SHARE = 0.1
_PHASES = 4  # not all partitions at once: a stop of several then begins right behind one's input

Records = list[tuple[bytes, bytes]]


def text_id(value: bytes) -> str:
    """The id of an inbound message or a send of the trickle, empty for any other."""
    sid: str = orjson.loads(value).get("message_sid", "")
    return sid if sid.startswith(_MINE) else ""


def reply_id(value: bytes) -> str:
    """The message that a reply is to."""
    sid: str = orjson.loads(value).get("in_reply_to", "")
    return sid


@asynccontextmanager
async def trickle(settings: Settings, per_second: float, more: int) -> AsyncIterator[None]:
    """Write while the block runs.

    Args:
        settings: of the installation.
        per_second: STOPs, each from a new recipient, and sends, each to an unblocked recipient, in
            every partition.
        more: messages a second besides, a tenth of them keywords, and as many sends.
    """
    writing = asyncio.create_task(_write(settings, per_second, more))
    try:
        yield
        assert not writing.done(), "the load ended early"
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


async def _write(settings: Settings, per_second: float, more: int) -> None:
    topics = Topics.under(settings.topic_prefix)
    made = _Ticks(settings.partitions)
    besides = Traffic(
        1,
        Sender(ACCOUNT, None, LONG_CODE),
        recipients=_MORE_RECIPIENTS,
        keyword_share=_KEYWORD_SHARE,
    )
    began, written = time.monotonic(), 0
    async with (
        bulk_writer(settings, topics.inbound_messages) as inbound,
        bulk_writer(settings, topics.outbound_messages) as outbound,
    ):
        for tick in itertools.count(1):
            at_ms = time.time_ns() // 1_000_000
            places = range(tick % _PHASES, settings.partitions, _PHASES)
            texts, sends = made.texts(places, at_ms), made.sends(places, at_ms)
            due = round((time.monotonic() - began) * more) - written
            written += due
            await inbound.send(texts + besides.inbound(due, at_ms))
            await outbound.send(sends + besides.sends(due, at_ms))
            await asyncio.sleep(began + tick / per_second / _PHASES - time.monotonic())


class _Ticks:
    """A STOP and a send for each of some partitions."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._count = 0
        self._waiting: list[list[str]] = [[] for _ in range(partitions)]
        self._numbers = (f"+1555{one:07d}" for one in itertools.count(_TEXTS_FROM))
        self._to = [_first_in(partition, partitions) for partition in range(partitions)]

    def texts(self, places: Sequence[int], at_ms: int) -> Records:
        while not all(self._waiting[place] for place in places):
            number = next(self._numbers)
            self._waiting[partition_of(number.encode(), self._partitions)].append(number)
        return [
            self._record(
                number, {"from": number, "to": LONG_CODE, "body": "stop"}, "received", at_ms
            )
            for number in (self._waiting[place].pop(0) for place in places)
        ]

    def sends(self, places: Sequence[int], at_ms: int) -> Records:
        return [
            self._record(
                number, {"from": LONG_CODE, "to": number, "body": "hello"}, "created", at_ms
            )
            for number in (self._to[place] for place in places)
        ]

    def _record(
        self, key: str, value: dict[str, str], what: str, at_ms: int
    ) -> tuple[bytes, bytes]:
        self._count += 1
        ours = {
            "message_sid": f"{_MINE}{self._count}",
            "account_sid": ACCOUNT,
            f"{what}_at": to_text(at_ms),
        }
        return key.encode(), orjson.dumps(ours | value)


def _first_in(partition: int, partitions: int) -> str:
    numbers = (f"+1555{one:07d}" for one in itertools.count(_SENDS_TO))
    return next(one for one in numbers if partition_of(one.encode(), partitions) == partition)
