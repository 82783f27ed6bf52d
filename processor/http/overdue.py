"""Keeps the texts to review, counts them, and lets those block that were not reviewed in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from processor import clocks
from processor.config import Settings
from processor.core.due import DAY_MS
from processor.errors import RetryableError
from processor.kafka.topics.suspected_topics import SuspectedTopics
from processor.metrics import Metrics
from processor.reviews import Reviews
from processor.stores.suspected_texts import Counts

logger = logging.getLogger(__name__)

SOON_MS = 3 * DAY_MS
_EVERY_S = 30.0


class Overdue:
    """Works for as long as the API runs; every process of the API does the same (R30).

    Args:
        settings: of the installation.
        reviews: decides on texts.
        metrics: of the process.
    """

    def __init__(self, settings: Settings, reviews: Reviews, metrics: Metrics) -> None:
        self._topics = SuspectedTopics(settings, reviews.texts, metrics)
        self._reviews = reviews
        self._gauge = metrics.texts_to_review

    @property
    def loaded(self) -> bool:
        """Whether all texts and decisions are known."""
        return self._topics.loaded

    def works(self) -> list[Coroutine[object, object, None]]:
        """The tasks that run as long as the process."""
        return [*self._topics.works(), self._watch()]

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except RetryableError as error:
                logger.warning("overdue.waits", extra={"for_": str(error)})
            await asyncio.sleep(_EVERY_S if self.loaded else clocks.RETRY_S)

    async def look(self) -> None:
        """Let overdue texts block, then count the others.

        Raises:
            RetryableError: Kafka or Redis does not answer.
        """
        if not self.loaded:
            return
        if blocked := await self._reviews.let_block():
            logger.warning("overdue.blocked", extra={"texts": blocked})
        counts = await self._reviews.texts.counts(None, soon_ms=SOON_MS)
        for name in Counts._fields:
            self._gauge.labels(name).set(getattr(counts, name))
