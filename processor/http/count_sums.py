"""The sums of opt-outs and sends that the console shows, and as of when they are complete."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from processor import clocks
from processor.config import Settings
from processor.kafka.topics.follower import Follower
from processor.kafka.topics.index_follower import Indexing
from processor.metrics import Metrics
from processor.statistics.sums import Bucket, Counted, Sums, together
from processor.stores.redis_client import RedisClient
from processor.stores.sums import Found, SumStore
from processor.wire import opt_out_counts, send_counts
from processor.wire.record_index import Extent
from processor.wire.records import Record
from processor.wire.topics import Topics


@dataclass(frozen=True, slots=True)
class Answer:
    """The sums of some buckets."""

    sums: Sequence[Sums]
    as_of: datetime  # every count that was written by then is in them, if they are whole
    whole: bool  # False: topics are still being read, and the sums grow


class CountSums:
    """Follows both topics of counts while it runs, and reads their sums.

    Args:
        settings: of the installation.
        redis: holds the sums.
        metrics: of the process.
        clock_ms: since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        redis: RedisClient,
        metrics: Metrics,
        clock_ms: Callable[[], int] = clocks.now_ms,
    ) -> None:
        topics = Topics.under(settings.topic_prefix)
        self.clock_ms = clock_ms
        self._parts = [
            _Part(
                settings,
                SumStore(
                    redis,
                    prefix=settings.topic_prefix,
                    name=topic.removeprefix(settings.topic_prefix),
                    partitions=settings.partitions,
                    clock_ms=lambda: self.clock_ms(),
                ),
                Follower(name, metrics),
                topic,
                read,
            )
            for topic, name, read in (
                (topics.opt_out_counts, "sums", opt_out_counts.read_sums),
                (topics.send_counts, "send_sums", send_counts.read),
            )
        ]

    def works(self) -> list[Coroutine[object, object, None]]:
        """The tasks that run as long as the process."""
        return [part.indexing.follow() for part in self._parts]

    async def read(self, buckets: Sequence[Bucket]) -> Answer:
        """The sums of buckets, in their order.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        seen = [dict(part.indexing.extents) for part in self._parts]  # before more is added
        found = [await part.store.read(buckets) for part in self._parts]
        age_s = max(part.follower.age_s for part in self._parts)
        return Answer(
            [together(each) for each in zip(*(one.sums for one in found), strict=True)],
            datetime.fromtimestamp(self.clock_ms() / 1000 - age_s, UTC),
            all(map(_Part.has, self._parts, found, seen)),
        )


class _Part:
    """One of the topics, its follower, and the sums of its counts."""

    def __init__(
        self,
        settings: Settings,
        store: SumStore,
        follower: Follower,
        topic: str,
        read: Callable[[bytes], Counted],
    ) -> None:
        self.store = store
        self.follower = follower
        self._read = read
        self.indexing = Indexing(
            settings,
            topic,
            partitions=settings.partitions,
            about=self._counted,
            index=store,
            follower=follower,
        )

    def has(self, found: Found, seen: Mapping[int, Extent]) -> bool:
        """Whether sums have all that was there, and Redis lost none that was seen before."""
        return self.indexing.loaded and all(
            extent.next >= seen[partition].next for partition, extent in found.extents.items()
        )

    def _counted(self, record: Record) -> Counted | None:
        try:
            return self._read(record.value or b"")
        except MemoryError:
            raise
        except Exception as error:
            self.follower.refuse(record, error)
            return None
