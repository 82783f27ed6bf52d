"""The configuration as the topics hold it, with records that no program of ours can read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from processor.doctor.examination import Examination
from processor.kafka.reading import read_whole
from processor.wire.json_values import UNREADABLE, why_unreadable

_EACH = 1_000  # records read between two reports
_AT_ONCE = 100  # values understood between two reports
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(slots=True)
class Stored(Generic[_Model]):
    """The last records of a compacted topic."""

    models: dict[str, _Model] = field(default_factory=dict)  # by key
    unreadable: dict[str, str] = field(default_factory=dict)  # by key, the reason


async def stored(at: Examination, topic: str, read: Callable[[bytes], _Model]) -> Stored[_Model]:
    """Read a topic with one partition to its end.

    Args:
        at: the examination.
        topic: full name.
        read: a value's reader.

    Raises:
        BrokerUnavailable: the broker does not answer, or refuses.
    """
    latest: dict[str, bytes] = {}
    async for record in read_whole(at.settings, topic, partitions=[0]):
        key = (record.key or b"").decode(errors="backslashreplace")
        if record.value is None:
            latest.pop(key, None)
        else:
            latest[key] = record.value
        if record.offset % _EACH == 0:
            at.report(f"{topic}: {len(latest):,} read")
    found: Stored[_Model] = Stored()
    for number, (key, value) in enumerate(latest.items(), 1):
        if number % _AT_ONCE == 0:
            at.report(f"{topic}: {number:,} of {len(latest):,} understood")
            await asyncio.sleep(0)  # the time limit must have its turn
        try:
            found.models[key] = read(value)
        except UNREADABLE as error:
            found.unreadable[key] = why_unreadable(error)
    return found
