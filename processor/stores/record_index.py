"""Where the records about a subject are in a topic: offsets in Redis, found again from the topic.

A record costs 16 bytes. Redis may lose any of it: position and offsets are in one slot and change
in one script, so whoever follows the topic goes on where the index really ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from processor.stores.extents import EXTENT, extent_of, stored_extent
from processor.stores.redis_client import RedisClient, Script
from processor.wire.record_index import About, Extent, Known

_FORMAT = 1  # another format has keys of its own, and is rebuilt
_BUCKETS = 1_024  # strings of entries in a partition; a subject's are all in one
_SUBJECT, _PART, _OFFSET = 6, 4, 6  # bytes of an entry
_ENTRY = _SUBJECT + _PART + _OFFSET
_CHUNK = _ENTRY << 14  # bytes read at once, 16,384 entries

# KEYS[1] is the index's own hash, the others are its strings. Each script answers topic and next.
_SAID = (
    EXTENT
    + """
local function start(topic, next)
  redis.call('HSET', KEYS[1], 'topic', topic, 'next', next)
end
"""
)
# ARGV: topic and next as they were seen, topic and next to begin with.
_BEGIN: Script[Iterable[bytes | None]] = Script(
    _SAID
    + """
if is_at(ARGV[1], ARGV[2]) then
  for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
  start(ARGV[3], ARGV[4])
end
return said()
"""
)
# ARGV: topic, next as it was seen, the new next, the log's start, bytes of an entry, bytes before
# its offset, then entries for each string. Offsets in a string only grow, so records that the topic
# has forgotten are in front.
_ADD: Script[Iterable[bytes | None]] = Script(
    _SAID
    + """
local function offset_at(text, from)
  local offset = 0
  for i = from, from + 5 do offset = offset * 256 + string.byte(text, i) end
  return offset
end
if not is_at(ARGV[1], ARGV[2]) then return said() end
local first, size, before = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
for i = 2, #KEYS do
  local head = redis.call('GETRANGE', KEYS[i], before, size - 1)
  if #head > 0 and offset_at(head, 1) < first then
    local all, gone = redis.call('GETRANGE', KEYS[i], 0, -1), 0
    while gone < #all and offset_at(all, gone + before + 1) < first do gone = gone + size end
    redis.call('UNLINK', KEYS[i])
    redis.call('APPEND', KEYS[i], string.sub(all, gone + 1))
  end
  redis.call('APPEND', KEYS[i], ARGV[i + 5])
end
start(ARGV[1], ARGV[3])
return said()
"""
)
# ARGV: bytes to read from the end. Answers also the string's length, and these bytes.
_LOOK: Script[tuple[bytes | None, bytes | None, int, bytes]] = Script(
    _SAID
    + """
local length = redis.call('STRLEN', KEYS[2])
local found = said()
return {
  found[1], found[2], length, redis.call('GETRANGE', KEYS[2], math.max(0, length - ARGV[1]), -1)
}
"""
)


class RecordIndex:
    """The index of one topic; partition *p* is under ``<prefix>{p}:index-1:<name>``.

    Every method raises ``StoreUnavailable`` where Redis cannot be asked.

    Args:
        client: shared.
        prefix: of every key.
        name: of the topic, without the prefix.
    """

    def __init__(self, client: RedisClient, *, prefix: str, name: str) -> None:
        self._client = client
        self._prefix = prefix
        self._name = name

    def _key(self, partition: int, bucket: int | None = None) -> str:
        own = f"{self._prefix}{{{partition}}}:index-{_FORMAT}:{self._name}"
        return own if bucket is None else f"{own}:{bucket}"

    async def extent(self, partition: int) -> Extent:
        """How far the index of a partition was made."""
        return await stored_extent(self._client, self._key(partition))

    async def begin(self, partition: int, seen: Extent, anew: Extent) -> Extent:
        """Restart a partition's index, unless another process changed it since it was seen.

        Returns:
            How far the index reaches now, whichever process made it.
        """
        keys = [self._key(partition), *(self._key(partition, one) for one in range(_BUCKETS))]
        return extent_of(await self._client.run(_BEGIN, keys, *map(str, (*seen, *anew))))

    async def add(
        self,
        partition: int,
        seen: Extent,
        next_: int,
        *,
        first: int,
        entries: Iterable[tuple[About, int]],
    ) -> Extent:
        """Add entries for the next records, unless another process did meanwhile.

        Args:
            partition: which.
            seen: where the index ended as it was seen last.
            next_: where it ends then.
            first: the oldest offset that the topic still has; older entries are let go.
            entries: each with its offset, from ``seen.next`` to below ``next_``, in their order.

        Returns:
            How far the index reaches now, whichever process made it.
        """
        added: defaultdict[int, bytearray] = defaultdict(bytearray)
        for about, offset in entries:
            bucket, digests = _place_of(about)
            added[bucket] += digests + offset.to_bytes(_OFFSET)
        keys = [self._key(partition), *(self._key(partition, one) for one in added)]
        numbers = map(str, (*seen, next_, first, _ENTRY, _SUBJECT + _PART))
        said = await self._client.run(_ADD, keys, *numbers, *map(bytes, added.values()))
        return extent_of(said)

    async def find(
        self, partition: int, subject: str, part: str | None, *, below: int | None, most: int
    ) -> Known:
        """The newest records about a subject.

        Args:
            partition: which.
            subject: see ``About``.
            part: see ``About``; None: any.
            below: only offsets lower than this.
            most: at most so many.
        """
        bucket, digests = _place_of(About(subject, part or ""))
        wanted = digests if part is not None else digests[:_SUBJECT]
        keys = [self._key(partition), self._key(partition, bucket)]
        *extent, begin, chunk = await self._client.run(_LOOK, keys, _CHUNK)
        begin -= len(chunk)
        found: list[int] = []
        while True:
            for offset in _offsets_in(chunk, wanted):
                # If the front was let go meanwhile, some are read twice: take only older entries.
                if (below is None or offset < below) and (not found or offset < found[-1]):
                    found.append(offset)
                    if len(found) == most:
                        return Known(extent_of(extent), found)
            if not begin:
                return Known(extent_of(extent), found)
            end, begin = begin, max(0, begin - _CHUNK)
            chunk = await self._client.call(keys[1], "GETRANGE", keys[1], begin, end - 1)


def _place_of(about: About) -> tuple[int, bytes]:
    """In which string an entry is, and what it begins with."""
    subject = blake2b(about.subject.encode(), digest_size=2 + _SUBJECT).digest()
    part = blake2b(about.part.encode(), digest_size=_PART).digest()
    return int.from_bytes(subject[:2]) % _BUCKETS, subject[2:] + part


def _offsets_in(chunk: bytes, wanted: bytes) -> Iterator[int]:
    """The offsets of entries that begin so, the last one first."""
    at = len(chunk)
    while (at := chunk.rfind(wanted, 0, at + len(wanted) - 1)) >= 0:
        if at % _ENTRY == 0:
            yield int.from_bytes(chunk[at + _SUBJECT + _PART : at + _ENTRY])
