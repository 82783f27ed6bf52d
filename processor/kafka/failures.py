"""Names Kafka's failures for people, and says what they mean for a producer."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidSessionTimeoutError,
    InvalidTimestampError,
    InvalidTransactionTimeout,
    KafkaError,
    MessageSizeTooLargeError,
    OffsetMetadataTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)

from processor.errors import BrokerUnavailable, Fenced, RetryableError
from processor.kafka.codecs import REMEDY

# After a transaction has failed, the next write to it raises the second, which is not a KafkaError.
TRANSACTION_ERRORS = (KafkaError, IllegalOperation)
# Failures in a lane's use of Kafka; aiokafka asserts that it knows a broker.
OF_KAFKA = (AssertionError, *TRANSACTION_ERRORS, OSError, TimeoutError)
_REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
# Of what carries a broker's number: a request that was given up here, this clock, this password.
_OF_OURS = (RequestTimedOutError, InvalidTimestampError, SaslAuthenticationFailed)
_LIMITS: dict[type[KafkaError], str] = {
    InvalidSessionTimeoutError: (
        "the brokers refuse OPTOUT_SESSION_TIMEOUT_S; they take 6 s to 1,800 s, unless their "
        "group.min.session.timeout.ms and group.max.session.timeout.ms say otherwise"
    ),
    InvalidTransactionTimeout: (
        "the brokers' transaction.max.timeout.ms is below the 60 s that transactions are given "
        "at most; raise it"
    ),
    OffsetMetadataTooLargeError: "raise the brokers' offset.metadata.max.bytes to 4096 again",
}
"""Limits that brokers set on what clients ask for."""

NoBroker = AssertionError
"""aiokafka raises it if it looks for a group's coordinator and knows no broker: a broker that has
just started, or was not heard for a while, names none."""


def in_words(error: BaseException, at: str = "") -> str:
    """The failure's name, and the remedy where a right, a topic or a library is missing.

    Args:
        error: the failure.
        at: which brokers, where that is worth saying.
    """
    error = _meant(error)
    name, who = type(error).__name__, f"Kafka at {at}" if at else "Kafka"
    if isinstance(error, _REFUSALS):
        return f"{who} refuses this user: {name}; deploy/acls.toml lists the rights of each role"
    if isinstance(error, UnknownTopicOrPartitionError):
        topics = ", ".join(map(str, error.args)) or "a topic"
        return f"{who} has no {topics}; see OPTOUT_TOPIC_PREFIX, and `optout topics create`"
    for refused, remedy in _LIMITS.items():
        if isinstance(error, refused):
            return f"{who}: {name}: {remedy}"
    if isinstance(error, UnsupportedCodecError):
        return f"{who}: records are compressed in a way that cannot be read here: {REMEDY}"
    return f"{who}: {name}"


def unavailable(error: BaseException, at: str = "") -> BrokerUnavailable:
    """A failure of Kafka's in our words; a broker that answers with it answers others so, too."""
    meant = _meant(error)
    answered = isinstance(meant, BrokerResponseError) and not isinstance(meant, _OF_OURS)
    return BrokerUnavailable(in_words(error, at), everywhere=answered)


def _meant(error: BaseException) -> BaseException:
    """The cause of a failure that aiokafka did not expect, such as a missing right."""
    cause = error.__cause__
    return cause if type(error) is KafkaError and isinstance(cause, KafkaError) else error


def is_too_large(error: BaseException) -> bool:
    """Whether a record was not written because of its size: asking again would not help."""
    return isinstance(error.__cause__, MessageSizeTooLargeError | RecordListTooLargeError)


def ended_by(producer: AIOKafkaProducer) -> BaseException | None:
    """The failure that ended a producer's transaction; later sends in it only fail in turn."""
    ended: asyncio.Future[None] | None = producer._txn_manager._transaction_waiter
    return ended.exception() if ended and ended.done() else None


def is_fenced(producer: AIOKafkaProducer) -> bool:
    """Whether a transactional producer may not be used any more."""
    manager = getattr(producer, "_txn_manager", None)
    return manager is not None and bool(manager.is_fatal_error())


def in_our_words(
    error: BaseException, producer: AIOKafkaProducer | None
) -> Fenced | RetryableError:
    """Put a failure in a lane's use of Kafka into our words.

    Args:
        error: of Kafka, of the network, or a deadline.
        producer: the transactional one that was used, if any.
    """
    if isinstance(error, ProducerFenced):
        return Fenced("another process took the partition's transactional id")
    if isinstance(error, AssertionError) and producer is not None and is_fenced(producer):
        # aiokafka asserts that a fenced producer is not used, and that it knows a broker.
        return Fenced("the producer was fenced before")
    return unavailable(error)
