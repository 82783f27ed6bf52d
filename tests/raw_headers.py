"""Records with headers that no usual producer writes."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from processor.config import Settings


class Latin(str):
    """A name that is written in Latin-1."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


async def write_at_once(
    settings: Settings,
    topic: str,
    values: Sequence[bytes],
    *,
    partition: int,
    key: bytes,
    codec: int = 0,
) -> None:
    """Records in one batch, the second with the header; aiokafka's faster builder refuses it."""
    producer = AIOKafkaProducer(**settings.kafka())
    await producer.start()
    batch = producer.create_batch()
    batch._builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, 1 << 16)
    for number, value in enumerate(values):
        headers = [(Latin("caf\u00e9"), b"1"), ("traceparent", b"2")] if number == 1 else []
        headers += [("padding", bytes(999))] if codec else []
        batch.append(key=key, value=value, timestamp=None, headers=headers)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=partition))
    await producer.stop()
