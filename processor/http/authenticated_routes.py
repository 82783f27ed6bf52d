"""Routes that check credentials first, so that no stranger's request is parsed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from fastapi.routing import APIRoute

from processor.http.auth import look_at


class Known(APIRoute):
    """A route of the API; plain FastAPI parses a body before it checks credentials."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """See FastAPI."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            await look_at(request)
            return await handler(request)

        return handle
