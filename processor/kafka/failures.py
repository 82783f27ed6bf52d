"""What a failure of Kafka's is called to people."""

from __future__ import annotations

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

_REFUSALS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def in_words(error: BaseException, at: str = "") -> str:
    """The failure's name, and the remedy where this user may not do what its role does.

    Args:
        error: what failed.
        at: which brokers, where that is worth saying.
    """
    name, who = type(error).__name__, f"Kafka at {at}" if at else "Kafka"
    if isinstance(error, _REFUSALS):
        return f"{who} refuses this user: {name}; deploy/acls.toml lists the rights of each role"
    return f"{who}: {name}"
