"""The common part of topic followers: they skip a bad record and reconnect after a failure.

A follower writes no dead letters. It logs where the record is, counts it, and reads on. One that
hears nothing begins again with a new consumer, and so with new connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor import clocks
from processor.errors import BrokerUnavailable, RecordError, RetryableError
from processor.kafka.failures import NoBroker, in_words
from processor.kafka.ports import Consumer
from processor.kafka.starting import to_its_end
from processor.metrics import Metrics
from processor.wire.json_values import reason
from processor.wire.records import Located

logger = logging.getLogger(__name__)

NOT_ITS_FAULT = (KafkaError, RetryableError, OSError, MemoryError)
"""Failures of a server or of this machine, never of a record: the follower tries again."""

_ASK_S = 5.0  # between two questions where the topics end
_DEAF_S = 30.0  # without a record while there are some, or without an answer
_LONGEST_REASON = 500
_MOST_PROBLEMS = 20  # of a value, each in words


class Place(NamedTuple):
    """Where a record is; small enough to keep when the record is gone."""

    topic: str
    partition: int
    offset: int


class Follower:
    """Reads for ever, and skips records that it cannot use.

    Args:
        name: in logs and metrics.
        metrics: of the process; None in a command.
    """

    def __init__(self, name: str, metrics: Metrics | None = None) -> None:
        self._name = name
        self._refused = metrics.follower_refused.labels(name) if metrics else None
        self._failures = metrics.follower_failures.labels(name) if metrics else None
        self._age = metrics.follower_age.labels(name) if metrics else None
        self._current_at: float | None = None  # monotonic; when it had read all there is
        self._working = False

    @property
    def age_s(self) -> float:
        """How long ago it last knew that it had read all there is; 0 before it follows."""
        return 0.0 if self._current_at is None else time.monotonic() - self._current_at

    def refuse(self, record: Located, why: Exception) -> None:
        """Log and count a record that is skipped.

        Args:
            record: has ``topic``, ``partition`` and ``offset``.
            why: the error; its words are logged only where they repeat nothing of the record.
        """
        if self._refused:
            self._refused.inc()
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        logger.warning(f"{self._name}.refused", extra={**place, "reason": _reason(why)})

    async def keep(self, read: Callable[[], Awaitable[None]]) -> None:
        """Read for ever: log whatever ends the reading, and begin again after a second."""
        self._current_at = time.monotonic()
        if self._age:
            self._age.set_function(lambda: self.age_s)
        while True:
            try:
                await read()
            except (*NOT_ITS_FAULT, NoBroker) as error:
                logger.warning(f"{self._name}.unreadable", extra={"why": said(error)})
            except Exception as error:
                self.failed(error)
            await asyncio.sleep(clocks.RETRY_S)

    async def watch(self, consumer: Consumer, read: Coroutine[object, object, None]) -> None:
        """Read from a started consumer, until that fails or the consumer hears nothing more.

        Raises:
            BrokerUnavailable: where it is deaf: its fetch task has ended, or it comes no further.
        """
        tasks = [asyncio.ensure_future(work) for work in (read, self._listen(consumer))]
        ended = consumer._fetcher.error_future
        try:
            await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    return task.result()
            raise BrokerUnavailable("Kafka: the consumer's fetch task has ended")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While it works on what it has read, it need not come further."""
        self._working = True
        try:
            yield
        finally:
            self._working = False

    async def _listen(self, consumer: Consumer) -> None:
        heard_at, before = time.monotonic(), None
        ends: dict[TopicPartition, int] | None = None  # as of the time that they were asked for
        asked_at = 0.0
        while time.monotonic() - heard_at < _DEAF_S:
            positions: dict[TopicPartition, int] = {}
            try:
                async with asyncio.timeout(_ASK_S):
                    for tp in consumer.assignment():
                        positions[tp] = await to_its_end(consumer.position(tp))
                    if ends is None or ends.keys() != positions.keys():
                        asked_at, ends = time.monotonic(), None
                        ends = await to_its_end(consumer.end_offsets(list(positions)))
            except (KafkaError, NoBroker, TimeoutError):
                pass  # not heard
            settled = not consumer._subscription.reassignment_in_progress
            at_end = ends is not None and all(
                positions.get(tp, -1) >= end for tp, end in ends.items()
            )
            if settled and at_end:
                # It may be behind again by now, and is current as of then all the same.
                self._current_at, heard_at, ends = asked_at, time.monotonic(), None
            elif positions != before or self._working:
                heard_at = time.monotonic()
            before = positions
            await asyncio.sleep(_ASK_S)
        raise BrokerUnavailable(f"Kafka: nothing was heard for {_DEAF_S:.0f} s")

    def failed(self, error: Exception) -> None:
        """Log and count a defect of ours, by its place: its words may quote a record."""
        if self._failures:
            self._failures.inc()
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        logger.error(f"{self._name}.failed", extra={"error": type(error).__name__, "where": where})


def said(error: BaseException) -> str:
    """A server's or a machine's failure in words."""
    match error:
        case RetryableError():
            return str(error)
        case KafkaError() | NoBroker():
            return in_words(error)
        case _:
            return type(error).__name__


def _reason(why: Exception) -> str:
    match why:
        case ValidationError() if why.error_count() > _MOST_PROBLEMS:
            words = f"{why.error_count()} problems"
        case ValidationError():
            words = reason(why)
        case RecordError():
            words = str(why)
        case _:
            words = type(why).__name__  # the message may quote the record
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]}…"
