"""How far Redis has what was made from a partition of a topic: the topic's id, and the next offset.

Both are fields of a hash, `KEYS[1]` of each script, and change in the script that adds. So whatever
Redis loses is lost together.
"""

from __future__ import annotations

from collections.abc import Iterable

from processor.stores.redis_client import RedisClient
from processor.wire.record_index import Extent

# `said()`: topic and next, which each script answers. `is_at`: whether they are as they were seen.
EXTENT = """
local function said() return redis.call('HMGET', KEYS[1], 'topic', 'next') end
local function is_at(topic, next)
  local found = said()
  return (found[1] or '') == topic and (found[2] or '0') == next
end
"""


def extent_of(said: Iterable[bytes | None]) -> Extent:
    """Read topic and next as Redis has them."""
    topic_id, next_ = said
    return Extent(topic_id.decode() if topic_id else "", int(next_ or 0))


async def stored_extent(client: RedisClient, key: str) -> Extent:
    """Ask for topic and next of a hash."""
    return extent_of(await client.call(key, "HMGET", key, "topic", "next"))
