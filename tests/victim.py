"""The oracle of every attack: a bystander's STOP in the same partition still counts."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import TopicPartition

from processor.core.partitions import partition_of
from processor.kafka.client import reader
from processor.wire.json_values import to_text
from tests.builders import LONG_CODE, OTHER_ACCOUNT
from tests.installation import Installation

WAIT_S = 30.0  # bounds the wait; what it took is told
_sids = itertools.count()


def numbers_in(partition: int, partitions: int, *, start: int = 0) -> Iterator[str]:
    """Numbers whose records belong into a partition."""
    for one in itertools.count(start):
        number = f"+1555{one:07d}"
        if partition_of(number.encode(), partitions) == partition:
            yield number


def now() -> str:
    return to_text(time.time_ns() // 1_000_000)


class Victim:
    """A recipient of another account in one partition, whose STOP must be confirmed and kept."""

    def __init__(self, at: Installation, consumer: Any, partition: int) -> None:
        self._at = at
        self._consumer = consumer
        self._numbers = numbers_in(partition, at.settings.partitions, start=5_000_000)
        self.took_s: list[float] = []  # until each was confirmed and its send refused

    async def is_heard(self) -> float:
        """Have the next one text STOP, and be sent to afterwards.

        Returns:
            The longer of both waits, in seconds.
        """
        number, sid = next(self._numbers), f"victim{next(_sids)}"
        began = time.monotonic()
        await self._at.texts(
            {
                "message_sid": sid,
                "account_sid": OTHER_ACCOUNT,
                "from": number,
                "to": LONG_CODE,
                "body": "STOP",
                "received_at": now(),
            }
        )
        await self._wait(
            self._at.topics.reply_sends, lambda value: value["in_reply_to"] == sid, "confirmation"
        )
        confirmed = time.monotonic()
        await self._at.sends(
            {
                "message_sid": f"{sid}.send",
                "account_sid": OTHER_ACCOUNT,
                "from": LONG_CODE,
                "to": number,
                "body": "Still there?",
                "created_at": now(),
            }
        )
        status = await self._wait(
            self._at.topics.message_statuses,
            lambda value: value["message_sid"] == f"{sid}.send",
            "verdict",
        )
        assert status["error_code"] == 21610
        took_s = max(confirmed - began, time.monotonic() - confirmed)
        self.took_s.append(took_s)
        return took_s

    async def _wait(
        self, topic: str, wanted: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while True:
            found = await self._consumer.getmany(timeout_ms=100)
            for tp, records in found.items():
                for record in records:
                    if tp.topic == topic and record.value and wanted(orjson.loads(record.value)):
                        value: dict[str, Any] = orjson.loads(record.value)
                        return value
            assert time.monotonic() < deadline, f"no {what} within {WAIT_S:.0f} s"
            await asyncio.sleep(0)


@asynccontextmanager
async def victim(at: Installation, partition: int) -> AsyncIterator[Victim]:
    """A bystander in a partition, whose STOP worked before the attack."""
    topics = [at.topics.reply_sends, at.topics.message_statuses]
    async with reader(at.settings, topics, at_end=True, partitions=[partition]) as consumer:
        assert consumer.assignment() == {TopicPartition(topic, partition) for topic in topics}
        found = Victim(at, consumer, partition)
        await found.is_heard()
        yield found
