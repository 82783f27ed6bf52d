"""How long an effect takes to be seen: a reply after its keyword, a verdict after its send."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from processor.config import Settings
from processor.core.fold import Hit
from processor.kafka.reading import reader
from processor.kafka.writing import bulk_writer
from processor.wire.topics import Topics
from tests.bench.load import expected, hits_of, traffic
from tests.bench.programs import Broken

RATES = (2_000, 10_000)  # messages a second
KEYWORD_SHARE = 0.1  # more than in the runs for throughput: a tail needs many replies
_TICK_S = 0.01
_WARM_UP_S = 10.0  # a new broker is slow at transactions
_LAST_ANSWER_S = 10.0

Records = Sequence[tuple[bytes, bytes]]  # keys and values


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from hand-over to visible answer at one load."""

    rate: int  # messages a second, as requested
    sent_rate: int  # as measured
    replies: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Exchange(Protocol):
    """The records that are handed over, and the answers that must come of them."""

    source: str  # topic
    answers: Sequence[str]  # topics

    def records(self, count: int, at_ms: int) -> Records:
        """The next records."""
        ...

    def timed(self, records: Records) -> Iterable[str]:
        """The sids of those that may have an answer."""
        ...

    def answered(self, value: bytes) -> str:
        """The sid that an answer names."""
        ...

    def wanted(self) -> int:
        """How many answers all records so far have."""
        ...


class Replies:
    """Inbound messages, and the replies to their keywords."""

    def __init__(self, topics: Topics) -> None:
        self.source = topics.inbound_messages
        self.answers: Sequence[str] = [topics.reply_sends]
        self._traffic = traffic(keyword_share=KEYWORD_SHARE)
        self._hits: list[Hit] = []

    def records(self, count: int, at_ms: int) -> Records:
        """See ``Exchange``."""
        return self._traffic.inbound(count, at_ms)

    def timed(self, records: Records) -> Iterable[str]:
        """See ``Exchange``."""
        found = hits_of(value for _, value in records)
        self._hits += found
        return [hit.message.message_sid for hit in found]

    def answered(self, value: bytes) -> str:
        """See ``Exchange``."""
        return str(orjson.loads(value)["in_reply_to"])

    def wanted(self) -> int:
        """See ``Exchange``."""
        return expected(self._hits)["reply_sends"]


class Verdicts:
    """Sends, and the gate's verdicts on them."""

    def __init__(self, topics: Topics, recipients: int) -> None:
        self.source = topics.outbound_messages
        self.answers: Sequence[str] = [topics.allowed_sends, topics.message_statuses]
        self._traffic = traffic(keyword_share=0, recipients=recipients)
        self._sent = 0

    def records(self, count: int, at_ms: int) -> Records:
        """See ``Exchange``."""
        return self._traffic.sends(count, at_ms)

    def timed(self, records: Records) -> Iterable[str]:
        """See ``Exchange``."""
        self._sent += len(records)
        return [self.answered(value) for _, value in records]

    def answered(self, value: bytes) -> str:
        """See ``Exchange``."""
        return str(orjson.loads(value)["message_sid"])

    def wanted(self) -> int:
        """See ``Exchange``."""
        return self._sent


async def latency(settings: Settings, rate: int, seconds: float, exchange: Exchange) -> Latency:
    """Send at a rate to a running lane, and time each answer.

    Raises:
        Broken: the answers differ from the required answers.
    """
    handed_over: dict[str, float] = {}  # sid of a message with an answer -> monotonic seconds
    answered: dict[str, float] = {}
    async with reader(settings, exchange.answers, at_end=True) as consumer:
        listening = asyncio.create_task(_listen(consumer, exchange, answered))
        try:
            began = time.monotonic()
            count = await _send(settings, rate, seconds, exchange, handed_over)
            took_s = time.monotonic() - began
            wanted = exchange.wanted()
            deadline = time.monotonic() + _LAST_ANSWER_S
            while len(answered) < wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
    if len(answered) != wanted or not answered.keys() <= handed_over.keys():
        raise Broken(f"{len(answered):,} answers where {wanted:,} are expected")
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
    settings: Settings,
    rate: int,
    seconds: float,
    exchange: Exchange,
    handed_over: dict[str, float],
) -> int:
    sent, began = 0, time.monotonic()
    async with bulk_writer(settings, exchange.source) as out:
        while (now := time.monotonic()) < began + seconds:
            due = round((now - began) * rate) - sent
            records = exchange.records(due, time.time_ns() // 1_000_000)
            sids = exchange.timed(records)
            handed_over.update(dict.fromkeys(sids, time.monotonic()))
            await out.send(records)
            sent += due
            await asyncio.sleep(max(0, now + _TICK_S - time.monotonic()))
    return sent


async def _listen(consumer: Any, exchange: Exchange, answered: dict[str, float]) -> None:
    while True:
        found = await consumer.getmany(timeout_ms=200)
        at = time.monotonic()
        for records in found.values():
            for record in records:
                answered[exchange.answered(record.value)] = at


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
