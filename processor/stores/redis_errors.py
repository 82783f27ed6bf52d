"""Failures of Redis in our words."""

from __future__ import annotations

from redis.exceptions import RedisClusterException, RedisError, ResponseError

from processor.errors import StoreUnavailable

REDIS_ERRORS = (RedisError, RedisClusterException, OSError)
_OF_THE_VALUE = ("ERR", "WRONGTYPE")  # OOM, READONLY, MISCONF and so on are the server's
_MEANS = {
    "NOREPLICAS": "too few replicas follow this server, or it was replaced",
    "READONLY": "this server is a replica now",
}


def unavailable(error: Exception) -> StoreUnavailable:
    """A failure of Redis in our words.

    An answer of the server may quote the command, and with it a number: only its code is given.
    """
    words = [f"Redis: {type(error).__name__}"]
    if isinstance(error, ResponseError):
        code = code_of(error)
        words += [code, _MEANS.get(code, "")]
    else:
        words.append(str(error))
    # A server that answers with it answers others so, too.
    return StoreUnavailable(
        ": ".join(filter(None, words)), everywhere=isinstance(error, ResponseError)
    )


def is_of_the_value(error: Exception) -> bool:
    """Whether Redis refused the value and will again; otherwise it was unable to serve."""
    return type(error) is ResponseError and code_of(error) in _OF_THE_VALUE


def code_of(error: ResponseError) -> str:
    """The first word of the answer; redis-py strips the words that it knows."""
    return error.status_code or str(error).partition(" ")[0]
