"""A TCP port that leads to another one, and can be cut, slowed and led elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 1 << 16


class Proxy:
    """The network between one client and one server.

    Cut, it loses nothing and delivers nothing: what was under way arrives when it is healed, as
    with packets that are sent again.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0  # of every piece, each way
        self._target_port = target_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Deliver nothing from now on."""
        self._flowing.clear()

    def heal(self) -> None:
        """Deliver again, first what was under way."""
        self._flowing.set()

    def lead_to(self, target_port: int) -> None:
        """Lead new connections to another port; those that are open break."""
        self._target_port = target_port
        for link in self._links:
            link.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy both ways until one end is gone."""
        link = asyncio.current_task()
        assert link
        self._links.add(link)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, far_writer))
                both.create_task(self._copy(far_reader, writer))
        except* (OSError, _Gone, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            for end in (writer, far_writer):
                if end:
                    end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            if not data:
                raise _Gone
            writer.write(data)
            await writer.drain()


class _Gone(Exception):
    """One end closed the connection."""


@asynccontextmanager
async def proxy(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy on a free port."""
    made = Proxy(target_port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.heal()
        made.lead_to(0)
