"""The web server of the API: it drains, and ends streams that would never end by themselves."""

from __future__ import annotations

import socket

import uvicorn

from processor.http.backend import Backend


class Server(uvicorn.Server):
    """Uvicorn, which waits for responses in hand: streams are ended first.

    It ends when the backend has ended: an API without its followers would serve old data.

    Args:
        config: of uvicorn.
        backend: what the application stands on.
    """

    def __init__(self, config: uvicorn.Config, backend: Backend) -> None:
        super().__init__(config)
        self._backend = backend

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn."""
        return await super().on_tick(counter) or bool(self._backend.ended())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._backend.live.close()
        await super().shutdown(sockets)
