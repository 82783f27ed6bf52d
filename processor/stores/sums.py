"""Sums of a topic of counts, in Redis: each record adds to them once, whichever process adds it.

Position and sums of a partition are in one slot and change in one script. So what Redis loses of
them is lost together, and is added up again from the topic.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from processor.core.partitions import partitions_of
from processor.statistics.hourly import ALL
from processor.statistics.sums import NOBODY, Bucket, Counted, summed
from processor.stores.extents import EXTENT, extent_of, stored_extent
from processor.stores.redis_client import RedisClient, Script
from processor.wire.record_index import Extent

_FORMAT = 1  # another format has keys of its own, and is made again
_MOST_FIELDS = 50_000  # of a hash; a part without room is added to the field of all others

# KEYS[1] is the partition's own hash: topic, next, and the round of sums that count. A hash of
# another round is from before the sums were begun again.
# ARGV: topic and next as they were seen, topic and next to begin with.
_BEGIN: Script[Iterable[bytes | None]] = Script(
    EXTENT
    + """
if is_at(ARGV[1], ARGV[2]) then
  redis.call('HINCRBY', KEYS[1], 'round', 1)
  redis.call('HSET', KEYS[1], 'topic', ARGV[3], 'next', ARGV[4])
end
return said()
"""
)
# ARGV: topic, next as it was seen, the new next, the most fields. Then for each hash its ms to
# live, how many fields, and these with their additions.
_ADD: Script[Iterable[bytes | None]] = Script(
    EXTENT
    + """
if not is_at(ARGV[1], ARGV[2]) then return said() end
local round, most, at = redis.call('HGET', KEYS[1], 'round'), tonumber(ARGV[4]), 5
for i = 2, #KEYS do
  local key, count = KEYS[i], tonumber(ARGV[at + 1])
  if redis.call('HGET', key, 'round') ~= round then
    redis.call('UNLINK', key)
    redis.call('HSET', key, 'round', round)
    redis.call('PEXPIRE', key, ARGV[at])
  end
  local full = redis.call('HLEN', key) + count > most
  at = at + 2
  for _ = 1, count do
    local field = ARGV[at]
    if full and string.sub(field, 1, 3) ~= 'at:' and not redis.call('HGET', key, field) then
      field = string.match(field, '^[^:]*:[^:]*:') .. '*'
    end
    redis.call('HINCRBY', key, field, ARGV[at + 1])
    at = at + 2
  end
end
redis.call('HSET', KEYS[1], 'next', ARGV[3])
return said()
"""
)
_READ: Script[tuple[bytes | None, bytes | None, list[list[bytes]]]] = Script(
    EXTENT
    + """
local found, round, sums = said(), redis.call('HGET', KEYS[1], 'round'), {}
for i = 2, #KEYS do
  local fields = redis.call('HGETALL', KEYS[i])
  local is_of_it = false
  for j = 1, #fields, 2 do
    if fields[j] == 'round' then is_of_it = fields[j + 1] == round end
  end
  sums[i - 1] = is_of_it and fields or {}
end
return {found[1], found[2], sums}
"""
)


class Found(NamedTuple):
    """The sums of buckets, and how far they go in each partition that was asked."""

    sums: Sequence[Mapping[str, int]]
    extents: Mapping[int, Extent]


class SumStore:
    """The sums of one topic; partition *p* is under ``<prefix>{p}:sums-1:<name>``.

    Every method raises ``StoreUnavailable`` where Redis cannot be asked.

    Args:
        client: shared.
        prefix: of every key.
        name: of the topic, without the prefix.
        partitions: of the topic.
        clock_ms: since 1970.
    """

    def __init__(
        self,
        client: RedisClient,
        *,
        prefix: str,
        name: str,
        partitions: int,
        clock_ms: Callable[[], int],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._name = name
        self._partitions = partitions
        self._clock_ms = clock_ms

    def _key(self, partition: int, bucket: Bucket | None = None) -> str:
        own = f"{self._prefix}{{{partition}}}:sums-{_FORMAT}:{self._name}"
        if bucket is None:
            return own
        account, service, period, of = bucket
        return f"{own}:{account}/{service}/{period}{'/of' if of else ''}"

    async def extent(self, partition: int) -> Extent:
        """How far the sums of a partition go."""
        return await stored_extent(self._client, self._key(partition))

    async def begin(self, partition: int, seen: Extent, anew: Extent) -> Extent:
        """Begin a partition's sums again, unless another process did since they were seen."""
        keys = [self._key(partition)]
        return extent_of(await self._client.run(_BEGIN, keys, *map(str, (*seen, *anew))))

    async def add(
        self,
        partition: int,
        seen: Extent,
        next_: int,
        *,
        first: int,
        entries: Iterable[tuple[Counted, int]],
    ) -> Extent:
        """Add the next records' counts, unless another process did meanwhile.

        Args:
            partition: which.
            seen: where the sums ended as they were seen last.
            next_: where they end then.
            first: not used; sums outlive their records.
            entries: counts with their offsets.

        Returns:
            How far the sums go now, whichever process added.
        """
        now_ms = self._clock_ms()
        found = summed((counted for counted, _ in entries), now_ms)
        keys = [self._key(partition), *(self._key(partition, bucket) for bucket in found)]
        given: list[str | int] = [*map(str, (*seen, next_)), _MOST_FIELDS]
        for bucket, fields in found.items():
            given += (bucket.until_ms - now_ms, len(fields))
            for field, count in fields.items():
                given += (field, count)
        return extent_of(await self._client.run(_ADD, keys, *given))

    async def read(self, buckets: Sequence[Bucket]) -> Found:
        """The sums of buckets, in their order; a bucket without any has no field."""
        asked: defaultdict[int, list[int]] = defaultdict(list)
        for index, bucket in enumerate(buckets):
            for partition in self._places_of(bucket):
                asked[partition].append(index)
        answers = await asyncio.gather(
            *(
                self._client.run(
                    _READ,
                    [self._key(partition), *(self._key(partition, buckets[one]) for one in found)],
                )
                for partition, found in asked.items()
            )
        )
        sums: list[defaultdict[str, int]] = [defaultdict(int) for _ in buckets]
        for (_, _, hashes), indexes in zip(answers, asked.values(), strict=True):
            for index, fields in zip(indexes, hashes, strict=True):
                for field, count in zip(fields[::2], fields[1::2], strict=True):
                    if field != b"round":
                        sums[index][field.decode()] += int(count)
        extents = {
            partition: extent_of((topic, next_))
            for partition, (topic, next_, _) in zip(asked, answers, strict=True)
        }
        return Found(sums, extents)

    def _places_of(self, bucket: Bucket) -> Iterable[int]:
        """The partitions with a bucket's sums: a service's counts are all in its own."""
        if bucket.service_sid == ALL:
            return range(self._partitions)
        account, service = bucket.account_sid, bucket.service_sid
        key = account if service == NOBODY else service
        return partitions_of([key.encode()], self._partitions)
