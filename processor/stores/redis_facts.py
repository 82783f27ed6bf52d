"""A server's version and clock, and the commands that its user may not give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import NoPermissionError

from processor.errors import StoreUnavailable
from processor.stores.redis_client import RedisClient

_Command = tuple[str, ...]

_READS: Sequence[_Command] = (("HMGET", "{0}:meta", "epoch"), ("HMGET", "{0}:entries", "doctor"))
_PROBES: Mapping[str, Sequence[_Command]] = {
    # None of them changes anything: they read, or delete a field that never is there.
    "match": (*_READS, ("GET", "{0}:undo"), ("HDEL", "{0}:meta", "doctor"), ("TIME",)),
    "gate": (*_READS, ("TIME",)),
    "api": (
        *_READS,
        ("HSCAN", "{0}:entries", "0", "COUNT", "1"),
        ("ZCARD", "messages:doctor"),
        ("ZREVRANK", "session:doctor", "doctor"),
        ("STRLEN", "{0}:index-doctor"),
    ),
    "operator": (
        *_READS,
        ("HSCAN", "{0}:entries", "0", "COUNT", "1"),
        ("HDEL", "{0}:meta", "doctor"),
        ("STRLEN", "{0}:index-doctor"),
        ("ZCOUNT", "messages:doctor", "0", "0"),
    ),
}


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """A server as it describes itself."""

    version: str  # with its name
    time_ms: int  # of its clock, since 1970


async def facts_of(redis: RedisClient, prefix: str) -> RedisFacts:
    """Ask the server that has partition 0.

    Raises:
        StoreUnavailable: it does not answer.
    """
    answer = await redis.call(f"{prefix}{{0}}:meta", "INFO", "server")
    lines = answer.decode().splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line)
    valkey = info.get("valkey_version")
    name = f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"
    return RedisFacts(name, int(info["server_time_usec"]) // 1000)


async def refused_to(redis: RedisClient, prefix: str, role: str) -> list[str]:
    """The commands of a role that the server refuses to this user; none of them changes anything.

    Raises:
        StoreUnavailable: it does not answer.
    """
    refused = []
    for name, *words in _PROBES.get(role, ()):
        placed = [f"{prefix}{word}" if at == 0 else word for at, word in enumerate(words)]
        try:
            await redis.call(f"{prefix}{{0}}:meta", name, *placed)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, NoPermissionError):
                raise
            refused.append(f"{name} {words[0]}" if words else name)
    return refused
