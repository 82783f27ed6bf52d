"""What a failure of Kafka's is called to people."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)

from processor.kafka.codecs import REMEDY

# A transaction that failed while it was written to answers what comes next with the second, which
# is no KafkaError.
TRANSACTION_ERRORS = (KafkaError, IllegalOperation)
_REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def in_words(error: BaseException, at: str = "") -> str:
    """The failure's name, and the remedy where a right, a topic or a library is missing.

    Args:
        error: what failed.
        at: which brokers, where that is worth saying.
    """
    name, who = type(error).__name__, f"Kafka at {at}" if at else "Kafka"
    if isinstance(error, _REFUSALS):
        return f"{who} refuses this user: {name}; deploy/acls.toml lists the rights of each role"
    if isinstance(error, UnknownTopicOrPartitionError):
        topics = ", ".join(map(str, error.args)) or "a topic"
        return f"{who} has no {topics}; see OPTOUT_TOPIC_PREFIX, and `optout topics create`"
    if isinstance(error, UnsupportedCodecError):
        return f"{who}: records are compressed in a way that cannot be read here: {REMEDY}"
    return f"{who}: {name}"


def is_too_large(error: BaseException) -> bool:
    """Whether a record was not written because of its size: asking again would not help."""
    return isinstance(error.__cause__, MessageSizeTooLargeError | RecordListTooLargeError)


def ended_by(producer: Any) -> BaseException | None:
    """What a producer's transaction failed with; what is sent in it after that only follows."""
    ended: asyncio.Future[None] = producer._txn_manager._transaction_waiter
    return ended.exception() if ended.done() else None
