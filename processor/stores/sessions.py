"""The console's open sessions in Redis, so that every process knows of a sign-in and a sign-out.

A session that Redis forgets has ended: the person signs in again, and an ended session never comes
back.
"""

from __future__ import annotations

from typing import Protocol

from processor.stores.redis_client import RedisClient, Script

MOST = 100  # of one owner; the session that would end first gives way

# KEYS[1] has an owner's sessions by when they end. No script is marked `no-writes`: a replica may
# not have heard of a sign-out, and so refuses them all.
_OPEN: Script[object] = Script(
    """#!lua
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
"""
)
_FIND: Script[int | None] = Script(
    "#!lua flags=allow-oom\nreturn redis.call('ZREVRANK', KEYS[1], ARGV[1])"
)
_END: Script[int] = Script("#!lua flags=allow-oom\nreturn redis.call('ZREM', KEYS[1], ARGV[1])")


class OpenSessions(Protocol):
    """Which sessions are open, for all processes of an installation.

    Every method raises ``StoreUnavailable`` where Redis does not answer.
    """

    async def open(self, owner: str, session: str, *, until_ms: int, for_ms: int) -> None:
        """Open one; of an owner's the latest ``MOST`` are kept.

        Args:
            owner: an account's sid, or an operator's name.
            session: its id.
            until_ms: when it ends by itself.
            for_ms: how long that is from now.
        """
        ...

    async def is_open(self, owner: str, session: str) -> bool:
        """Whether it was opened, and neither ended nor forgotten."""
        ...

    async def end(self, owner: str, session: str) -> None:
        """End it; ending one twice alters nothing."""
        ...


class RedisSessions:
    """See ``OpenSessions``.

    Args:
        client: shared.
        prefix: of every key.
    """

    def __init__(self, client: RedisClient, *, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def open(self, owner: str, session: str, *, until_ms: int, for_ms: int) -> None:
        """See ``OpenSessions``."""
        await self._client.run(_OPEN, self._keys(owner), until_ms, session, MOST, for_ms)

    async def is_open(self, owner: str, session: str) -> bool:
        """See ``OpenSessions``."""
        return await self._client.run(_FIND, self._keys(owner), session) is not None

    async def end(self, owner: str, session: str) -> None:
        """See ``OpenSessions``."""
        await self._client.run(_END, self._keys(owner), session)

    def _keys(self, owner: str) -> list[str]:
        return [f"{self._prefix}session:{owner}"]


class MemorySessions:
    """See ``OpenSessions``; of one process, for tests.

    Its entries do not expire; callers look at the session's own end first.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, int]] = {}

    async def open(self, owner: str, session: str, *, until_ms: int, for_ms: int) -> None:
        """See ``OpenSessions``."""
        mine = self._of.get(owner, {}) | {session: until_ms}
        self._of[owner] = dict(sorted(mine.items(), key=lambda one: one[1])[-MOST:])

    async def is_open(self, owner: str, session: str) -> bool:
        """See ``OpenSessions``."""
        return session in self._of.get(owner, ())

    async def end(self, owner: str, session: str) -> None:
        """See ``OpenSessions``."""
        self._of.get(owner, {}).pop(session, None)
