"""What every follower of topics shares: a bad record is passed over, a broken connection made anew.

A follower has no dead letters: it says where the record is, counts it, and goes on to the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from pydantic import ValidationError

from processor.errors import RecordError, RetryableError
from processor.kafka.client import NoBroker
from processor.kafka.failures import in_words
from processor.metrics import Metrics
from processor.wire.json_values import reason

logger = logging.getLogger(__name__)

NOT_ITS_FAULT = (KafkaError, RetryableError, OSError, MemoryError)
"""A server's or a machine's failures, never a record's: the same is tried again."""

_RETRY_S = 1.0
_LONGEST_REASON = 500
_MOST_PROBLEMS = 20  # of a value, each in words


class Place(NamedTuple):
    """Where a record is, once it is not needed any more."""

    topic: str
    partition: int
    offset: int


class Follower:
    """Passes over what it cannot use, and reads for ever.

    Args:
        name: in logs and metrics.
        metrics: of the process; None in a command, which nobody scrapes.
    """

    def __init__(self, name: str, metrics: Metrics | None = None) -> None:
        self._name = name
        self._refused = metrics.follower_refused.labels(name) if metrics else None
        self._failures = metrics.follower_failures.labels(name) if metrics else None

    def refuse(self, record: Any, why: Exception) -> None:
        """Log and count a record that cannot be used.

        Args:
            record: what has ``topic``, ``partition`` and ``offset``.
            why: what reading it ended with; only a ``RecordError`` is quoted.
        """
        if self._refused:
            self._refused.inc()
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        logger.warning(f"{self._name}.refused", extra={**place, "reason": _reason(why)})

    async def keep(self, read: Callable[[], Awaitable[None]]) -> None:
        """Read for ever: whatever reading ends with is logged, and it begins again."""
        while True:
            try:
                await read()
            except (*NOT_ITS_FAULT, NoBroker) as error:
                logger.warning(f"{self._name}.unreadable", extra={"why": said(error)})
            except Exception as error:
                self.failed(error)
            await asyncio.sleep(_RETRY_S)

    def failed(self, error: Exception) -> None:
        """Log and count a defect of ours; its words may quote a record, its place does not."""
        if self._failures:
            self._failures.inc()
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        logger.error(f"{self._name}.failed", extra={"error": type(error).__name__, "where": where})


def said(error: BaseException) -> str:
    """What a server's or a machine's failure is called to people."""
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
            words = type(why).__name__  # its own may quote the record
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]}…"
