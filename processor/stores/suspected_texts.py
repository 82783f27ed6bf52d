"""The texts to review and the decisions on them, in Redis by account and due time (R30).

A view that is made from two topics. All of it is in one slot, with how far it was made, so that
Redis loses it together. Each text expires 30 days after it came, with everything about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.due import DAY_MS
from processor.core.reviews import State
from processor.stores.extents import extent_of, stored_extent
from processor.stores.redis_client import RedisClient
from processor.stores.suspected_scripts import ADD_REVIEWS, ADD_TEXTS, BEGIN
from processor.wire.record_index import Extent
from processor.wire.suspected import (
    REVIEWS,
    ReviewEntry,
    TextEntry,
    read_review,
    read_text,
    review_entry,
)
from schemas.suspected_opt_out import SuspectedOptOut
from schemas.suspected_review import SuspectedReview

KEPT_MS = 30 * DAY_MS  # of a text, from its append on
_SOONEST_MS = 12 * DAY_MS  # from a text's append to its due time, at least
_DECIDING_MS = 10_000  # so long another decision on a text is refused
_FORMAT = 1  # another format has keys of its own, and is made again
_NOTHING = Extent("", 0)


@dataclass(frozen=True, slots=True)
class ReviewedText:
    """A text with the last decision on it."""

    text: SuspectedOptOut
    review: SuspectedReview | None

    @property
    def state(self) -> State:
        """How far its review is."""
        if self.review is not None:
            return State(self.review.state)
        return State.OPEN if self.text.due_at else State.BLOCKED


class Counts(NamedTuple):
    """Numbers of texts to review; each includes those behind it."""

    open: int
    soon: int  # due soon, or overdue
    overdue: int


class Page(NamedTuple):
    """Some texts, and the offset behind them in their list."""

    texts: Sequence[ReviewedText]
    next: int | None  # None: there are no more


class SuspectedTexts:
    """The texts of the last 30 days; all keys are under ``<prefix>{suspected}:suspected-1``.

    Every method raises ``StoreUnavailable`` where Redis cannot be asked.

    Args:
        client: shared.
        prefix: of every key.
        clock_ms: since 1970.
    """

    def __init__(self, client: RedisClient, *, prefix: str, clock_ms: Callable[[], int]) -> None:
        self._client = client
        self._own = f"{prefix}{{suspected}}:suspected-{_FORMAT}"
        self._clock_ms = clock_ms

    def _key(self, *parts: str) -> str:
        return ":".join((self._own, *parts))

    def _keys_of(self, text_id: str) -> tuple[str, str]:
        return self._key("text", text_id), self._key("review", text_id)

    def _lists_of(self, account_sid: str) -> tuple[str, str]:
        return self._key("open", account_sid), self._key("decided", account_sid)

    def _limits(self, now_ms: int) -> tuple[int, int, int]:
        """How long a list lives, and the times up to which open and decided texts are gone."""
        gone_ms = now_ms - KEPT_MS
        return KEPT_MS, gone_ms + _SOONEST_MS, gone_ms

    # Views of the topics; see ``Index`` of ``kafka.topics.index_follower``.

    async def extent(self, source: str) -> Extent:
        """How far a source was added."""
        return await stored_extent(self._client, self._key("extent", source))

    async def begin(self, source: str, seen: Extent, anew: Extent) -> Extent:
        """Add a source from another place on, unless another process does already."""
        keys = [self._key("extent", source)]
        return extent_of(await self._client.run(BEGIN, keys, *map(str, (*seen, *anew))))

    async def add_texts(
        self, source: str, seen: Extent, next_: int, texts: Iterable[TextEntry]
    ) -> Extent:
        """Add the next texts of a source, unless another process did meanwhile.

        Args:
            source: of the texts.
            seen: where the view ended as it was seen last.
            next_: where it ends then.
            texts: in the order of the topic.

        Returns:
            How far the view reaches now.
        """
        now_ms = self._clock_ms()
        keys = [self._key("extent", source), self._key("open"), self._key("decided")]
        given: list[str | int | bytes] = [*map(str, (*seen, next_)), *self._limits(now_ms)]
        for one in texts:
            keys += (*self._keys_of(one.text_id), self._key("of", one.entry))
            keys += self._lists_of(one.account_sid)
            due = "" if one.due_ms is None else one.due_ms
            given += (one.text_id, due, one.at_ms, one.at_ms + KEPT_MS - now_ms, one.value)
        return extent_of(await self._client.run(ADD_TEXTS, keys, *given))

    async def add_reviews(
        self, seen: Extent, next_: int, reviews: Iterable[ReviewEntry], *, follows: bool = True
    ) -> Extent:
        """Add the next decisions, as ``add_texts`` adds texts.

        Args:
            seen: where the view ended as it was seen last.
            next_: where it ends then.
            reviews: in the order of the topic.
            follows: whether they are the next of the topic, or shown before they are read there.
        """
        now_ms = self._clock_ms()
        keys = [self._key("extent", REVIEWS), self._key("open"), self._key("decided")]
        given: list[str | int | bytes] = [*map(str, (*seen, next_)), *self._limits(now_ms)]
        given.append(int(follows))
        for one in reviews:
            keys += (*self._keys_of(one.text_id), *self._lists_of(one.account_sid))
            is_open, left_ms = int(one.state is State.OPEN), one.at_ms + KEPT_MS - now_ms
            given += (one.text_id, one.number, is_open, one.at_ms, left_ms, one.value)
        return extent_of(await self._client.run(ADD_REVIEWS, keys, *given))

    # Reading and deciding

    async def show(self, value: bytes) -> None:
        """Show a decision at once, before it is read from its topic."""
        await self.add_reviews(_NOTHING, 0, [review_entry(value)], follows=False)

    async def claim(self, text_id: str) -> bool:
        """Keep others from deciding on a text for some seconds; False: others do already."""
        key = self._key("deciding", text_id)
        answer = await self._client.call(key, "SET", key, "", "NX", "PX", _DECIDING_MS)
        return answer is not None

    async def release(self, text_id: str) -> None:
        """Let others decide on a text again."""
        key = self._key("deciding", text_id)
        await self._client.call(key, "UNLINK", key)

    async def get(self, text_ids: Sequence[str]) -> Sequence[ReviewedText]:
        """Texts by id, in their order; those that are gone are left out."""
        found = await asyncio.gather(*map(self._get, text_ids))
        return [one for one in found if one is not None]

    async def _get(self, text_id: str) -> ReviewedText | None:
        values = [
            await self._client.call(key, "HGET", key, "value") for key in self._keys_of(text_id)
        ]
        text, review = values
        if text is None:
            return None
        return ReviewedText(read_text(text), read_review(review) if review else None)

    async def of_recipient(self, entry: str) -> Sequence[ReviewedText]:
        """All texts of a recipient of an account, by the entry's key."""
        key = self._key("of", entry)
        ids = await self._client.call(key, "ZRANGE", key, 0, -1)
        return await self.get([one.decode() for one in ids])

    async def page(self, account_sid: str | None, *, is_open: bool, start: int, size: int) -> Page:
        """Open texts, the earliest due time first; or decided texts, the latest decision first.

        Args:
            account_sid: of the texts; None: of all accounts.
            is_open: those to review, else those that were decided on.
            start: how many to pass over.
            size: how many to look at.
        """
        key = self._key("open" if is_open else "decided", *([account_sid] if account_sid else ()))
        command = "ZRANGE" if is_open else "ZREVRANGE"
        ids = await self._client.call(key, command, key, start, start + size)
        texts = await self.get([one.decode() for one in ids[:size]])
        return Page(texts, start + size if len(ids) > size else None)

    async def counts(self, account_sid: str | None, *, soon_ms: int) -> Counts:
        """How many texts are open, due within a time, and overdue.

        Args:
            account_sid: of the texts; None: of all accounts.
            soon_ms: how near a due time is soon.
        """
        now_ms = self._clock_ms()
        key = self._key("open", *([account_sid] if account_sid else ()))
        first = self._limits(now_ms)[1]
        bounds = ("+inf", now_ms + soon_ms, now_ms)
        found = [await self._client.call(key, "ZCOUNT", key, first, one) for one in bounds]
        return Counts(*map(int, found))
