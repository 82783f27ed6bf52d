"""A transaction: outputs and offsets of one lane, or of many that are ready at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from processor.errors import StoreUnavailable
from processor.kafka.lanes.lane_output import LaneOutput
from processor.kafka.lanes.transactional_producers import TransactionalProducer
from processor.metrics import LaneMetrics

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


async def transact(
    producer: TransactionalProducer,
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
        has_begun: called when the outputs are written, so that another may begin.

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
    offsets = {tp: offset for part in parts for tp, offset in part.offsets.items()}
    await producer.begin(outputs, offsets, group)
    if written:
        at_step("emit")
        with metrics.emit.time():
            await producer.emit(outputs)
        at_step("last_look")
    has_begun()
    looking = asyncio.ensure_future(_refused(written, metrics))
    try:
        await producer.prepare()
        why = await looking
    finally:
        looking.cancel()
    if why:
        await producer.abort()
        raise Refused(why)
    at_step("commit")
    with metrics.commit.time():
        await producer.commit()
    at_step("committed_batch")


async def _refused(parts: Sequence[Part], metrics: LaneMetrics) -> dict[Part, Exception | None]:
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

    if parts:
        with metrics.last_look.time():
            await asyncio.gather(*map(look, parts))
    return found
