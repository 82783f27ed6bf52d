"""Counts of opt-outs, as tests read them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from processor.kafka.topics.counts_history import CountsHistory
from tests.installation import Installation, until


@asynccontextmanager
async def followed(at: Installation) -> AsyncIterator[CountsHistory]:
    """The history, while it is followed."""
    history = CountsHistory(at.settings, at.topics.opt_out_counts)
    following = asyncio.create_task(history.follow())

    async def loaded() -> bool:
        return history.loaded

    try:
        await until(loaded, "history that is read")
        yield history
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def counted(answer: dict[str, Any], size: str) -> Counter[tuple[str | None, str]]:
    """The counts of all windows of a size, by service and kind."""
    total: Counter[tuple[str | None, str]] = Counter()
    for one in answer[size]:
        total[one["messaging_service_sid"], one["kind"]] += one["count"]
    return total
