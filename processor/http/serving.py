"""The web server of the API: it drains, and ends what would never end by itself."""

from __future__ import annotations

import socket

import uvicorn

from processor.http.backend import Backend


class Server(uvicorn.Server):
    """Uvicorn, which waits for responses in hand: streams are ended first.

    Args:
        config: of uvicorn.
        backend: what the application stands on.
    """

    def __init__(self, config: uvicorn.Config, backend: Backend) -> None:
        super().__init__(config)
        self._backend = backend

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._backend.live.close()
        await super().shutdown(sockets)
