"""The histories that can be searched: topics with an index in Redis."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from processor.config import Settings
from processor.kafka.topics.indexed_topic import History
from processor.metrics import Metrics
from processor.stores.record_index import RecordIndex
from processor.stores.redis_client import RedisClient
from processor.wire import subjects
from processor.wire.records import Record
from processor.wire.topics import Topics
from schemas.block_change import BlockChange
from schemas.configuration_change import ConfigurationChange


def block_changes(
    settings: Settings,
    redis: RedisClient,
    *,
    metrics: Metrics | None = None,
    patient: bool = False,
    refuse: Callable[[Record, Exception], None] | None = None,
    share: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> History:
    """Changes of the block list, by the recipient's subscriber key and the account.

    Args:
        settings: of the installation.
        redis: holds the index.
        metrics: of the process.
        patient: see ``History``.
        refuse: see ``History``.
        share: see ``History``.
    """
    return History(
        settings,
        Topics.under(settings.topic_prefix).block_changes,
        name="histories",
        partitions=settings.partitions,
        model=BlockChange,
        about_of=subjects.of_block_change,
        index=RecordIndex(redis, prefix=settings.topic_prefix, name="block-changes"),
        metrics=metrics,
        patient=patient,
        refuse=refuse,
        share=share,
    )


def configuration_changes(
    settings: Settings,
    redis: RedisClient,
    *,
    metrics: Metrics | None = None,
    share: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> History:
    """Changes of services, numbers and accounts, by the account."""
    return History(
        settings,
        Topics.under(settings.topic_prefix).configuration_changes,
        name="edits",
        partitions=1,
        model=ConfigurationChange,
        about_of=subjects.of_configuration_change,
        index=RecordIndex(redis, prefix=settings.topic_prefix, name="configuration-changes"),
        metrics=metrics,
        share=share,
    )
