"""Fewer waits for brokers than aiokafka has: in a lane's transactions, and in its fetches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TypeAlias

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.producer.sender import AddOffsetsToTxnHandler, AddPartitionsToTxnHandler, Sender

_UNREAD_S = 0.003  # time for idle lanes to take what was fetched; busy lanes take longer
_STUCK_S = 1.0
_LEFT_OUT_MS = 10  # a fetch takes so long, at most, while partitions are not in it

_Next: TypeAlias = asyncio.Task[object] | None


def ask_for_both(producer: AIOKafkaProducer) -> None:
    """Let a transaction begin with one round trip, where it has outputs and offsets.

    aiokafka waits for the answer about the partitions before it asks about the group. Both go to
    one coordinator over one connection, so it answers them in order. Offsets and outputs cannot be
    sent together: a broker verifies one and wants the other again (`NotEnoughReplicas`).
    """
    sender: Sender = producer._sender
    one_after_another = sender._maybe_do_transactional_request
    both = _Both(sender)

    def next_request() -> _Next:
        manager = sender._txn_manager
        partitions, group = set(manager.partitions_to_add()), manager.consumer_group_to_add()
        if partitions and group is not None:
            return asyncio.create_task(both.add(partitions, group))
        task: _Next = one_after_another()
        return task

    sender._maybe_do_transactional_request = next_request


class _Both:
    """Asks a coordinator to add partitions and a group to a transaction."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._is_busy = False  # the coordinator still ends the transaction before

    async def add(self, partitions: Collection[TopicPartition], group: str) -> None:
        """Ask for both; for the group alone after an answer that nothing can be added yet."""
        sender = self._sender
        transaction = sender._txn_manager.transactional_id
        node = await sender._find_coordinator(CoordinationType.TRANSACTION, transaction)
        asked = [AddOffsetsToTxnHandler(sender, group).do(node)]
        if not self._is_busy:
            asked.append(_AddPartitions(sender, partitions).do(node))
        self._is_busy = not any(await asyncio.gather(*asked))


class _AddPartitions(AddPartitionsToTxnHandler):  # type: ignore[misc]
    def handle_response(self, resp: object) -> float | None:
        """As aiokafka's; asks again as soon as it does about a group, not after 20 ms."""
        wait_s: float | None = super().handle_response(resp)
        return None if wait_s is None else float(self._default_backoff)


def fetch_without_the_busy(fetcher: Fetcher) -> None:
    """Let no lane's transaction hold up the fetches of the others.

    aiokafka asks a broker for nothing until all that came from it is read, or is 100 ms old. Here
    it soon leaves out the partitions that are not read yet. While some are left out, brokers do not
    wait long for records: the next fetch has these partitions again. A lane that is not done after
    a second is stuck, and fetches wait as usual.
    """
    actions, usual_ms = fetcher._get_actions_per_node, fetcher._fetch_max_wait_ms

    def with_wait(assignment: Assignment) -> object:
        since = time.monotonic() - _STUCK_S
        is_short = any(unread._created > since for unread in fetcher._records.values())
        fetcher._fetch_max_wait_ms = _LEFT_OUT_MS if is_short else usual_ms
        return actions(assignment)

    fetcher._prefetch_backoff = _UNREAD_S
    fetcher._get_actions_per_node = with_wait
