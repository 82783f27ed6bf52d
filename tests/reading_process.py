"""A process that only reads topics; it reports the records it got and its memory.

    python -m tests.reading_process TOPIC... < settings, as JSON

Partitions are read beside each other, and each holds what it was handed for a while, as lanes do.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.config import Settings
from processor.kafka.fetched import UnreadBatch

_HELD_S = 0.05


async def main(settings: Settings, topics: list[str]) -> None:
    """Read to the ends there are now, and print what there was."""
    consumer = AIOKafkaConsumer(
        **settings.kafka(),
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=settings.fetch_bytes,
    )
    await consumer.start()
    try:
        sources = [TopicPartition(t, p) for t in topics for p in range(settings.partitions)]
        consumer.assign(sources)
        await consumer.seek_to_beginning(*sources)
        ends = await consumer.end_offsets(sources)
        found = await asyncio.gather(*(read(consumer, tp, ends[tp]) for tp in sources))
    finally:
        await consumer.stop()
    by_place = {f"{tp.topic}[{tp.partition}]": one for tp, one in zip(sources, found, strict=True)}
    print(json.dumps({"peak_kib": peak_kib("self"), "found": by_place}))


async def read(consumer: Any, tp: TopicPartition, end: int) -> dict[str, Any]:
    """The records of a partition: their offsets and sizes, and those that were not read."""
    records: list[tuple[int, int]] = []
    unread: list[tuple[int, int, str]] = []
    most = 0
    while await consumer.position(tp) < end:
        batch = (await consumer.getmany(tp, timeout_ms=200, max_records=5_000)).get(tp, [])
        most = max(most, sum(one.serialized_value_size for one in batch))
        for one in batch:
            if isinstance(one, UnreadBatch):
                unread.append((one.first_offset, one.offset, one.why))
            else:
                records.append((one.offset, one.serialized_value_size))
        await asyncio.sleep(_HELD_S)
    return {"records": records, "unread": unread, "most_at_once": most}


def peak_kib(process: int | str) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    asyncio.run(main(Settings.model_validate_json(sys.stdin.read()), sys.argv[1:]))
