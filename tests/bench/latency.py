"""How long a recipient waits: from handing a keyword to the broker to its visible reply."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from processor.config import Settings
from processor.core.fold import Hit
from processor.kafka.reading import reader
from processor.kafka.writing import bulk_writer
from processor.wire.topics import Topics
from tests.bench.jobs import Broken
from tests.bench.load import expected, hits_of, traffic

RATES = (2_000, 10_000)  # messages a second
KEYWORD_SHARE = 0.1  # more than in the runs for throughput: a tail needs many replies
_TICK_S = 0.01
_WARM_UP_S = 10.0  # a new broker is slow at transactions
_LAST_REPLY_S = 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from hand-over to visible reply at one load."""

    rate: int  # messages a second, as requested
    sent_rate: int  # as measured
    replies: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


async def latency(settings: Settings, rate: int, seconds: float) -> Latency:
    """Send at a rate to a running match lane, and time each reply.

    Raises:
        Broken: the replies differ from the required replies.
    """
    topics = Topics.under(settings.topic_prefix)
    handed_over: dict[str, float] = {}  # sid of a message that matches -> monotonic seconds
    answered: dict[str, float] = {}
    async with reader(settings, [topics.reply_sends], at_end=True) as consumer:
        listening = asyncio.create_task(_listen(consumer, answered))
        try:
            began = time.monotonic()
            hits, count = await _send(settings, rate, seconds, handed_over)
            took_s = time.monotonic() - began
            wanted = expected(hits)["reply_sends"]
            deadline = time.monotonic() + _LAST_REPLY_S
            while len(answered) < wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
    if len(answered) != wanted or not answered.keys() <= handed_over.keys():
        raise Broken(f"{len(answered):,} replies where {wanted:,} are expected")
    delays_ms = sorted(
        1000 * (at - handed_over[sid])
        for sid, at in answered.items()
        if handed_over[sid] > began + _WARM_UP_S
    )
    return Latency(
        rate=rate,
        sent_rate=round(count / took_s),
        replies=len(delays_ms),
        p50_ms=_share(delays_ms, 0.5),
        p99_ms=_share(delays_ms, 0.99),
        worst_ms=delays_ms[-1],
    )


async def _send(
    settings: Settings, rate: int, seconds: float, handed_over: dict[str, float]
) -> tuple[list[Hit], int]:
    made = traffic(keyword_share=KEYWORD_SHARE)
    hits: list[Hit] = []
    sent, began = 0, time.monotonic()
    async with bulk_writer(settings, Topics.under(settings.topic_prefix).inbound_messages) as out:
        while (now := time.monotonic()) < began + seconds:
            due = round((now - began) * rate) - sent
            records = made.inbound(due, time.time_ns() // 1_000_000)
            found = hits_of(value for _, value in records)
            at = time.monotonic()
            handed_over.update((hit.message.message_sid, at) for hit in found)
            await out.send(records)
            hits += found
            sent += due
            await asyncio.sleep(max(0, now + _TICK_S - time.monotonic()))
    return hits, sent


async def _listen(consumer: Any, answered: dict[str, float]) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=200)
        at = time.monotonic()
        for records in found.values():
            for record in records:
                answered[orjson.loads(record.value)["in_reply_to"]] = at


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
