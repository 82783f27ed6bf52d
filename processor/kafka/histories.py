"""Reading a partition of a history back for one of its keys or accounts: bounded, newest first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import BaseModel

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.client import read_whole
from processor.kafka.follower import Follower
from processor.metrics import Metrics

_DEADLINE_S = 20.0


class Histories:
    """Reads histories back."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._follower = Follower("histories", metrics)

    async def newest(
        self,
        topic: str,
        partition: int,
        *,
        model: type[BaseModel],
        keep: Callable[[bytes | None, dict[str, Any]], bool],
        limit: int,
        since_ms: int | None,
    ) -> list[dict[str, Any]]:
        """The newest values of a partition that are kept, as they are stored, the newest first.

        Args:
            topic: full name.
            partition: which.
            model: of the topic's values.
            keep: whether a record, told by its key and value, is one of them; it may raise.
            limit: how many at most.
            since_ms: only those written from this time on, UTC.

        Raises:
            BrokerUnavailable: after 20 s; a later ``since_ms`` makes it shorter.
        """
        found: deque[dict[str, Any]] = deque(maxlen=limit)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                async for record in read_whole(
                    self._settings, topic, partitions=[partition], since_ms=since_ms
                ):
                    if (value := self._read(record, model, keep)) is not None:
                        found.append(value)
        except TimeoutError:
            raise BrokerUnavailable(
                f"Kafka: {topic} was not read within {_DEADLINE_S:.0f} s"
            ) from None
        return list(reversed(found))

    def _read(
        self,
        record: Any,
        model: type[BaseModel],
        keep: Callable[[bytes | None, dict[str, Any]], bool],
    ) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = orjson.loads(record.value or b"")
            if not keep(record.key, value):
                return None
            model.model_validate_json(record.value)
            return value
        except MemoryError:
            raise
        except Exception as error:
            self._follower.refuse(record, error)
            return None
