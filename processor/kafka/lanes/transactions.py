"""A transaction: outputs and offsets of one lane, or of many that are ready at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.errors import StoreUnavailable
from processor.kafka.copying import MOST_BYTES
from processor.kafka.lanes.lane_output import LaneOutput, announce, send
from processor.kafka.lanes.round_trips import ask_for_both
from processor.kafka.lanes.source_reader import REQUEST_S
from processor.kafka.starting import start, stop
from processor.metrics import LaneMetrics

# For a killed worker's last transaction: readers wait for its end. Brokers look for expired
# transactions every ten seconds.
_TRANSACTION_TIMEOUT_MS = 5_000
_MAX_REQUEST_BYTES = 1 << 22
_LOOK_S = 2.0  # for a part's last look, as the other parts wait for it


async def _holds() -> bool:
    return True


def _no_step(step: str) -> None:
    pass


@dataclass(slots=True, eq=False)
class Part:
    """The offsets and outputs of one lane for a transaction."""

    offsets: Mapping[TopicPartition, OffsetAndMetadata]
    out: LaneOutput | None = None
    still_holds: Callable[[], Awaitable[bool]] = _holds  # the last look, after everything is sent
    at_step: Callable[[str], None] = _no_step  # see ``LaneContext``
    is_sent: bool = False  # whether it is, or was last, in a transaction with those of other lanes


class Refused(Exception):
    """Some parts do not hold, or the last look at them failed: nothing is committed.

    Args:
        why: the failure of each of these parts; None: it no longer holds.
    """

    def __init__(self, why: Mapping[Part, Exception | None]) -> None:
        super().__init__(f"{len(why)} of the parts")
        self.why = why


def transactional(
    settings: Settings, transactional_id: str, request_s: float = REQUEST_S
) -> AIOKafkaProducer:
    """A producer for the transactions of lanes; start it with ``starting``."""
    producer = AIOKafkaProducer(
        **settings.kafka(request_s=request_s),
        transactional_id=transactional_id,
        transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
        retry_backoff_ms=5,
        linger_ms=0,
        max_batch_size=MOST_BYTES,
        max_request_size=_MAX_REQUEST_BYTES,
    )
    ask_for_both(producer)
    return producer


async def fence(settings: Settings, transactional_id: str) -> None:
    """Keep a producer from committing, and settle the transaction that it left open.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    producer = transactional(settings, transactional_id)
    try:
        await start(producer)
    finally:
        await stop(producer)


async def transact(
    producer: AIOKafkaProducer,
    group: str,
    parts: Sequence[Part],
    metrics: LaneMetrics,
    has_begun: Callable[[], None] = lambda: None,
) -> None:
    """Commit parts, all or none.

    Args:
        producer: with no transaction open.
        group: the consumer group.
        parts: of different partitions.
        metrics: of the role.
        has_begun: called when only the outputs and the commit are left to do.

    Raises:
        Refused: the transaction is aborted.
        Exception: its outcome is unknown; the producer must not be used again.
    """
    written = [part for part in parts if part.out]
    outputs = [part.out for part in written if part.out]

    def at_step(step: str) -> None:
        for part in written:  # offsets alone are not a step
            part.at_step(step)

    at_step("begin")
    await producer.begin_transaction()
    await announce(producer, outputs)
    # Offsets first: this keeps the broker from answering the first batch with a retry. Both at
    # once would, too: a broker checks one request of a transaction at a time.
    offsets = {tp: offset for part in parts for tp, offset in part.offsets.items()}
    await producer.send_offsets_to_transaction(offsets, group)
    has_begun()
    if written:
        at_step("emit")
        with metrics.emit.time():
            await send(producer, outputs)
        at_step("last_look")
        with metrics.last_look.time():
            why = await _refused(written)
        if why:
            await producer.abort_transaction()
            raise Refused(why)
    at_step("commit")
    with metrics.commit.time():
        await producer.commit_transaction()
    at_step("committed_batch")


async def _refused(parts: Sequence[Part]) -> dict[Part, Exception | None]:
    found: dict[Part, Exception | None] = {}

    async def look(part: Part) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                if not await part.still_holds():
                    found[part] = None
        except TimeoutError:
            found[part] = StoreUnavailable("the last look at the block list took too long")
        except Exception as error:
            found[part] = error

    await asyncio.gather(*map(look, parts))
    return found
