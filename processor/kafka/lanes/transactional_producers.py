"""Producers for the transactions of lanes: with fewer requests where brokers can, or aiokafka's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IncompatibleBrokerVersion

from processor.config import Settings
from processor.kafka.copying import MOST_BYTES
from processor.kafka.lanes.implicit_producer import ImplicitProducer, Offsets
from processor.kafka.lanes.lane_output import LaneOutput, announce, send
from processor.kafka.lanes.round_trips import ask_for_both
from processor.kafka.lanes.source_reader import REQUEST_S
from processor.kafka.starting import start, stop

# For a killed worker's last transaction: readers wait for its end. Brokers look for expired
# transactions every ten seconds.
_TRANSACTION_TIMEOUT_MS = 5_000
_MAX_REQUEST_BYTES = 1 << 22


class TransactionalProducer(Protocol):
    """Writes one transaction after another; after a failure it can only abort."""

    @property
    def inner(self) -> Any:
        """The client to start and stop; see ``starting``."""
        ...

    async def begin(self, outputs: Sequence[LaneOutput], offsets: Offsets, group: str) -> None:
        """Do what must be done before an output can be written."""
        ...

    async def emit(self, outputs: Sequence[LaneOutput]) -> None:
        """Write all outputs."""
        ...

    async def prepare(self) -> None:
        """Do what else must be done before the commit."""
        ...

    async def commit(self) -> None:
        """Make outputs and offsets visible, together."""
        ...

    async def abort(self) -> None:
        """Take everything back."""
        ...


class ExplicitProducer:
    """aiokafka's, which asks brokers to add each partition to the transaction first.

    Args:
        inner: made by ``transactional``.
    """

    def __init__(self, inner: AIOKafkaProducer) -> None:
        self.inner = inner

    async def begin(self, outputs: Sequence[LaneOutput], offsets: Offsets, group: str) -> None:
        """Add all partitions, and commit the offsets as a part of the transaction."""
        await self.inner.begin_transaction()
        await announce(self.inner, outputs)
        # Offsets first: this keeps the broker from answering the first batch with a retry. Both at
        # once would, too: a broker checks one request of a transaction at a time.
        await self.inner.send_offsets_to_transaction(dict(offsets), group)

    async def emit(self, outputs: Sequence[LaneOutput]) -> None:
        """Write all outputs."""
        await send(self.inner, outputs)

    async def prepare(self) -> None:
        """Do nothing: all is done."""

    async def commit(self) -> None:
        """Make outputs and offsets visible, together."""
        await self.inner.commit_transaction()

    async def abort(self) -> None:
        """Take everything back."""
        await self.inner.abort_transaction()


async def start_producer(
    settings: Settings, transactional_id: str, request_s: float
) -> TransactionalProducer:
    """A producer of the kind that suits the brokers.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    implicit = ImplicitProducer(
        settings, transactional_id, timeout_ms=_TRANSACTION_TIMEOUT_MS, request_s=request_s
    )
    try:
        await start(implicit)
    except IncompatibleBrokerVersion:
        explicit = ExplicitProducer(transactional(settings, transactional_id, request_s))
        await start(explicit.inner)
        return explicit
    return implicit


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
