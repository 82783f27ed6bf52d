"""Which services have warnings: each version of a service is looked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice

from processor.configuration.drafts import warnings_about
from processor.kafka.topics.services_topic import StoredService, StoredServices
from schemas.messaging_service import MessagingService

_SLICE = 2  # services that are looked at together: some 2 ms


@dataclass(frozen=True, slots=True)
class Warned:
    """A service with warnings."""

    service: MessagingService  # without its configuration
    warnings: int


class ServiceWarnings:
    """Counts warnings while it runs, of the services that were asked for.

    Args:
        services: as they are stored.
        slice_: is entered around each piece of work.
    """

    def __init__(
        self, services: StoredServices, slice_: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._services = services
        self._slice = slice_
        self._known: dict[str, tuple[bytes, int]] = {}  # by sid: the value, and its warnings
        self._asked: dict[str, None] = {}
        self._waiting = asyncio.Event()

    def of(self, services: Iterable[StoredService]) -> tuple[list[Warned], int]:
        """The services with warnings, and how many were not looked at yet."""
        found, left = [], 0
        for stored in services:
            sid = stored.head.sid
            value, count = self._known.get(sid, (b"", 0))
            if value is not stored.value:
                self._asked[sid] = None
                left += 1
            elif count:
                found.append(Warned(stored.head, count))
        if left:
            self._waiting.set()
        return found, left

    async def follow(self) -> None:
        """Look at services for ever, as they are asked for."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._asked:
                async with self._slice():
                    for sid in [*islice(self._asked, _SLICE)]:
                        del self._asked[sid]
                        self._look(sid)
            self._forget()

    def _look(self, sid: str) -> None:
        if stored := self._services.get(sid):
            self._known[sid] = (stored.value, len(warnings_about(stored.whole())))

    def _forget(self) -> None:
        """Forget services that are deleted."""
        for sid in [sid for sid in self._known if self._services.get(sid) is None]:
            del self._known[sid]
