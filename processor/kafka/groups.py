"""Reads the offsets that a consumer group committed, without joining it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
    for_code,
)
from aiokafka.protocol.api import Response
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.kafka.failures import NoBroker, unavailable
from processor.kafka.offset_protocol import UNSTABLE, OffsetFetch
from processor.kafka.ports import Consumer, InGroup
from processor.kafka.starting import start, stop

_ASK_AGAIN_S = 0.1


@asynccontextmanager
async def group_view(settings: Settings, group: str) -> AsyncIterator[Consumer]:
    """A consumer that asks what a group committed, without joining it.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    consumer = AIOKafkaConsumer(**settings.kafka(), group_id=group, enable_auto_commit=False)
    try:
        await start(consumer)
        yield consumer
    except (KafkaError, NoBroker) as error:
        raise unavailable(error, settings.kafka_bootstrap) from error
    finally:
        await stop(consumer)


async def committed_of(
    view: InGroup, sources: Iterable[TopicPartition] | None = None, *, stable: bool = False
) -> dict[TopicPartition, OffsetAndMetadata]:
    """A group's committed offsets with their notes; partitions without any are left out.

    The methods of aiokafka ignore the error code of the answer as a whole. They take a coordinator
    that is still loading for a coordinator without offsets.

    Args:
        view: a consumer of the group.
        sources: which partitions; None: all of them.
        stable: wait for transactions that are being completed, as their commits count.

    Raises:
        aiokafka.errors.KafkaError: the broker refuses to say.
        BrokerUnavailable: no broker is known.
    """
    coordinator = view._coordinator
    asked: dict[str, list[int]] | None = None
    if sources is not None:
        asked = defaultdict(list)
        for tp in sources:
            asked[tp.topic].append(tp.partition)
    request = OffsetFetch(coordinator.group_id, asked, stable=stable)
    while True:
        try:
            await coordinator.ensure_coordinator_known()
            found = _offsets_in(await coordinator._send_req(request))
            if found is not None:
                return found
        except NoBroker as error:
            raise unavailable(error) from error
        except KafkaError as error:
            if not error.retriable:
                raise
            if isinstance(error, NotCoordinatorError | CoordinatorNotAvailableError):
                coordinator.coordinator_dead()
        await asyncio.sleep(_ASK_AGAIN_S)


def _offsets_in(answer: Response) -> dict[TopicPartition, OffsetAndMetadata] | None:
    """The committed offsets; None where one of them is not settled yet."""
    found = {}
    codes = [answer.error_code]
    for topic, partitions, _ in answer.topics:
        for partition, offset, _, noted, code, _ in partitions:
            codes.append(code)
            if offset >= 0:
                found[TopicPartition(topic, partition)] = OffsetAndMetadata(offset, noted or "")
    if UNSTABLE in codes:
        return None
    if error_code := next(filter(None, codes), 0):
        raise for_code(error_code)
    return found
