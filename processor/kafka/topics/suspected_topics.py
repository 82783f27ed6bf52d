"""Follows both topics of texts that may be opt-outs, for the view of them in Redis (R30)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol, TypeVar

from pydantic import ValidationError

from processor.config import Settings
from processor.kafka.topics.follower import Follower
from processor.kafka.topics.index_follower import Indexing
from processor.metrics import Metrics
from processor.wire.record_index import Extent
from processor.wire.records import Record
from processor.wire.suspected import REVIEWS, ReviewEntry, TextEntry, review_entry, text_entry
from processor.wire.topics import Topics

_Entry = TypeVar("_Entry")


class View(Protocol):
    """The view that both topics make; see ``stores.suspected_texts``."""

    async def extent(self, source: str) -> Extent:
        """How far a source was added."""
        ...

    async def begin(self, source: str, seen: Extent, anew: Extent) -> Extent:
        """Add a source from another place on."""
        ...

    async def add_texts(
        self, source: str, seen: Extent, next_: int, texts: Iterable[TextEntry]
    ) -> Extent:
        """Add the next texts of a source."""
        ...

    async def add_reviews(self, seen: Extent, next_: int, reviews: Iterable[ReviewEntry]) -> Extent:
        """Add the next decisions."""
        ...


class SuspectedTopics:
    """Keeps the view while it runs; any number of processes may.

    Args:
        settings: of the installation.
        view: to keep.
        metrics: of the process.
    """

    def __init__(self, settings: Settings, view: View, metrics: Metrics) -> None:
        topics = Topics.under(settings.topic_prefix)
        texts, reviews = Follower("suspected", metrics), Follower("reviews", metrics)
        self._texts = Indexing(
            settings,
            topics.suspected_opt_outs,
            partitions=settings.partitions,
            about=lambda record: _entry_of(record, text_entry, texts),
            index=_Texts(view),
            follower=texts,
        )
        self._reviews = Indexing(
            settings,
            topics.suspected_reviews,
            partitions=1,
            about=lambda record: _entry_of(record, review_entry, reviews),
            index=_Reviews(view),
            follower=reviews,
        )

    @property
    def loaded(self) -> bool:
        """Whether the view has everything that was there as this process began to follow."""
        return self._texts.loaded and self._reviews.loaded

    def works(self) -> list[Coroutine[object, object, None]]:
        """The tasks that keep the view, for ever."""
        return [self._texts.follow(), self._reviews.follow()]


def _entry_of(record: Record, read: Callable[[bytes], _Entry], follower: Follower) -> _Entry | None:
    if record.value is None:
        return None
    try:
        return read(record.value)
    except ValidationError as error:
        follower.refuse(record, error)
        return None


class _Texts:
    def __init__(self, view: View) -> None:
        self._view = view

    async def extent(self, partition: int) -> Extent:
        return await self._view.extent(str(partition))

    async def begin(self, partition: int, seen: Extent, anew: Extent) -> Extent:
        return await self._view.begin(str(partition), seen, anew)

    async def add(
        self,
        partition: int,
        seen: Extent,
        next_: int,
        *,
        first: int,
        entries: Iterable[tuple[TextEntry, int]],
    ) -> Extent:
        texts = (entry for entry, _ in entries)
        return await self._view.add_texts(str(partition), seen, next_, texts)


class _Reviews:
    def __init__(self, view: View) -> None:
        self._view = view

    async def extent(self, partition: int) -> Extent:
        return await self._view.extent(REVIEWS)

    async def begin(self, partition: int, seen: Extent, anew: Extent) -> Extent:
        return await self._view.begin(REVIEWS, seen, anew)

    async def add(
        self,
        partition: int,
        seen: Extent,
        next_: int,
        *,
        first: int,
        entries: Iterable[tuple[ReviewEntry, int]],
    ) -> Extent:
        return await self._view.add_reviews(seen, next_, (entry for entry, _ in entries))
