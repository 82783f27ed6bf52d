"""TCP ports that forward to other ports, and links that can be cut, slowed and silenced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_CHUNK = 1 << 16


class Way:
    """The network between one client and some servers.

    Cut, it loses nothing and delivers nothing: what was under way arrives when it is healed, as
    with packets that are sent again. Silenced, it takes everything and delivers nothing for good:
    a connection from that time stays open after the way is healed, and never answers again.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0  # of every piece, each way
        self.swallowed = 0  # bytes that never arrived
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._is_silent = False
        self._links: set[_Link] = set()

    def cut(self) -> None:
        """Deliver nothing from now on."""
        self._flowing.clear()

    def silence(self) -> None:
        """Swallow all data from now on, over old and new connections."""
        self._is_silent = True
        for link in self._links:
            link.is_silent = True

    def heal(self) -> None:
        """Deliver again, pending data first; silenced connections stay silent."""
        self._is_silent = False
        self._flowing.set()

    def break_links(self) -> None:
        """Break every connection; those made from now on work."""
        for link in self._links:
            link.task.cancel()

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link
    ) -> None:
        """Copy both ways until one end is gone."""
        link.is_silent = self._is_silent
        self._links.add(link)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._flowing.wait()
            if link.is_silent:
                await self._copy(reader, writer, link)  # swallows until the client goes
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", link.target_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, far_writer, link))
                both.create_task(self._copy(far_reader, writer, link, from_server=True))
        except* (OSError, _Gone, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            for end in (writer, far_writer):
                if end:
                    end.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link,
        *,
        from_server: bool = False,
    ) -> None:
        while True:
            data = await reader.read(_CHUNK)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._flowing.wait()
            if link.is_silent and (data or from_server):
                self.swallowed += len(data)
                if not data:
                    return  # nobody hears that the server closed the connection
                continue
            if not data:
                raise _Gone
            writer.write(data)
            await writer.drain()


@dataclass(eq=False, slots=True)
class _Link:
    """One connection that is open."""

    task: asyncio.Task[None]
    target_port: int
    is_silent: bool = False


class Proxy:
    """A port of its own that forwards to another port.

    Args:
        target_port: where it leads to.
        way_of: finds the way of a connection, by the ports of its client and of the proxy.
    """

    def __init__(self, target_port: int, way_of: Callable[[int, int], Awaitable[Way]]) -> None:
        self.port = 0
        self._target_port = target_port
        self._way_of = way_of
        self._links: set[asyncio.Task[None]] = set()

    def lead_to(self, target_port: int) -> None:
        """Lead new connections to another port; those that are open break."""
        self._target_port = target_port
        for link in self._links:
            link.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection, to its end."""
        task = asyncio.current_task()
        assert task
        self._links.add(task)
        try:
            way = await self._way_of(writer.get_extra_info("peername")[1], self.port)
            await way.carry(reader, writer, _Link(task, self._target_port))
        finally:
            self._links.discard(task)


class _Gone(Exception):
    """One end closed the connection."""


async def proxy(target_port: int, way_of: Callable[[int, int], Awaitable[Way]]) -> Proxy:
    """A proxy on a free port, until the process ends."""
    made = Proxy(target_port, way_of)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    return made
