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


def in_words(error: BaseException) -> str:
    """The failure's name, and the remedy where this user may not do what its role does."""
    name = type(error).__name__
    if isinstance(error, _REFUSALS):
        return f"Kafka refuses this user: {name}; deploy/acls.toml lists the rights of each role"
    return f"Kafka: {name}"
