"""The network of a chaos run: cut data comes late, silenced data never comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.chaos.network import FrontThere, Network, network
from tests.chaos.peers import owner_of
from tests.installation import DEADLINE_S, until

_WHILE_S = 0.3


class Connection(NamedTuple):
    """A client's end."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, words: bytes) -> bytes:
        """The data that comes back."""
        self.writer.write(words)
        return await self.hears()

    async def hears(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(64), DEADLINE_S)

    async def says_in_vain(self, words: bytes) -> bool:
        """Whether nothing comes back for a while."""
        self.writer.write(words)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.reader.read(64), _WHILE_S)
            return False
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


async def connected(front: FrontThere) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", front.port))


class Echo(asyncio.Protocol):
    """Gives back what it gets; ``ends`` are those of open connections."""

    def __init__(self, ends: set[asyncio.Transport]) -> None:
        self._ends = ends

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._end = transport
        self._ends.add(transport)

    def data_received(self, data: bytes) -> None:
        self._end.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.discard(self._end)


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Network, int]]:
    """A network, and the port of a server that gives back what it gets."""
    loop, ends = asyncio.get_running_loop(), set[asyncio.Transport]()
    server = await loop.create_server(lambda: Echo(ends), "127.0.0.1", 0)
    async with server:
        async with network() as net:
            yield net, server.sockets[0].getsockname()[1]

        async def all_closed() -> bool:
            return not ends

        await until(all_closed, "connections that are closed")


async def test_what_was_under_way_comes_once_a_way_is_healed() -> None:
    async with echoing() as (net, port):
        way = net.way("one")
        client = await connected(await net.front(port, way))
        assert await client.says(b"before") == b"before"
        way.cut()
        await net.swallowed()  # orders are obeyed one after another
        assert await client.says_in_vain(b"meanwhile")
        way.heal()
        assert await client.hears() == b"meanwhile"
        await client.close()


async def test_a_connection_that_was_silenced_stays_open_and_never_answers_again() -> None:
    async with echoing() as (net, port):
        way = net.way("one")
        front = await net.front(port, way)
        old = await connected(front)
        assert await old.says(b"before") == b"before"
        way.silence()
        assert await net.swallowed() == 0
        new = await connected(front)
        assert [await one.says_in_vain(b"lost") for one in (old, new)] == [True, True]

        async def swallowed() -> bool:
            return await net.swallowed() == 8

        await until(swallowed, "bytes that are swallowed")
        way.heal()
        assert [await one.says_in_vain(b"lost") for one in (old, new)] == [True, True]
        latest = await connected(front)
        assert await latest.says(b"after") == b"after"
        for one in (old, new, latest):
            await one.close()


async def test_a_connection_goes_the_way_of_the_process_that_made_it() -> None:
    async with echoing() as (net, port):
        front = await net.front(port)
        mine, anothers = net.way("mine"), net.way("another's")
        mine.belongs_to(os.getpid())
        anothers.belongs_to(1)
        client = await connected(front)
        assert await client.says(b"before") == b"before"
        anothers.silence()
        assert await client.says(b"heard") == b"heard"
        mine.silence()
        assert await net.swallowed() == 0
        assert await client.says_in_vain(b"lost")
        await client.close()


async def test_a_front_that_leads_elsewhere_breaks_what_is_open() -> None:
    async with echoing() as (net, port):
        front = await net.front(1, net.way("one"))
        front.lead_to(port)
        client = await connected(front)
        assert await client.says(b"here") == b"here"
        front.lead_to(1)
        assert await client.hears() == b""
        await client.close()


async def test_the_owner_of_a_connection_is_found() -> None:
    async with echoing() as (_, port):
        client = Connection(*await asyncio.open_connection("127.0.0.1", port))
        mine = client.writer.get_extra_info("sockname")[1]
        assert owner_of(mine, port, [1, os.getpid()]) == os.getpid()
        assert owner_of(mine, port, []) is None
        await client.close()
