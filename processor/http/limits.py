"""How much one may ask of us: the size of a request, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.http.errors import ApiError, respond, too_many

_KEPT = 10_000  # accounts; one that is forgotten begins with a full bucket again
_BURST_S = 2.0


class RateLimit:
    """A token bucket for each account, in this process.

    Args:
        a_second: how many requests; 0 lets everything pass.
        clock_s: monotonic.
    """

    def __init__(self, a_second: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._clock_s = clock_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, whose: str) -> None:
        """Count one request.

        Raises:
            ApiError: 20429, where it is one too many.
        """
        if not self._a_second:
            return
        now = self._clock_s()
        most = max(1.0, self._a_second * _BURST_S)
        left, since = self._buckets.get(whose, (most, now))
        left = min(most, left + (now - since) * self._a_second)
        if left < 1:
            raise too_many()
        self._buckets.pop(whose, None)
        self._buckets[whose] = (left - 1, now)  # last: who asked longest ago is forgotten first
        if len(self._buckets) > _KEPT:
            del self._buckets[next(iter(self._buckets))]


class SizeLimit:
    """Refuses a request whose body is larger than the limit, before it is read whole.

    Args:
        app: what comes next.
        max_bytes: of a body.
        by_path: where it may be larger, as it is not read at once.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._by_path.get(scope["path"], self._max_bytes)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await respond(_too_large(most))(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _too_large(most: int) -> ApiError:
    return ApiError(413, 20001, f"The request is larger than {most} bytes")
