"""A proxy before the broker that lets so many answers pass and holds back the rest."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LENGTH = struct.Struct(">i")
_NOT_LEADER = 6


class SilentBroker:
    """A proxy before a broker; it puts its own address into the answers, so clients stay with it.

    Args:
        target: the broker's port on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.answers = 0  # that may still pass
        self.held = asyncio.Event()  # an answer is kept back
        self.disowned = ""  # for this topic it answers that another broker leads partition 0
        self.denied = asyncio.Event()  # it has said so
        self._target = target
        self._links: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, times: int) -> None:
        """Let this many answers pass from now on, on all connections together."""
        self.answers = times
        self.held.clear()

    async def serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link
        self._links.add(link)
        far, far_out = await asyncio.open_connection("127.0.0.1", self._target)
        answering = asyncio.create_task(self._answer(far, near_out))
        try:
            while data := await near.read(1 << 16):
                far_out.write(data)
        except OSError:
            pass
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            near_out.transport.abort()
            far_out.transport.abort()
            self._links.discard(link)

    async def _answer(self, far: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        theirs, ours = (b"127.0.0.1" + _LENGTH.pack(port) for port in (self._target, self.port))
        while True:
            length = await far.readexactly(_LENGTH.size)
            answer = await far.readexactly(*_LENGTH.unpack(length))
            if self.answers == 0:
                self.held.set()
                await asyncio.Event().wait()
            self.answers -= 1
            near_out.write(length + self._denied(answer.replace(theirs, ours)))

    def _denied(self, answer: bytes) -> bytes:
        """The answer; with an error if it is only about partition 0 of the disowned topic."""
        place = self.disowned.encode() + _LENGTH.pack(1) + _LENGTH.pack(0)
        good, bad = (place + code.to_bytes(2, "big") for code in (0, _NOT_LEADER))
        if not self.disowned or good not in answer:
            return answer
        self.denied.set()
        return answer.replace(good, bad)

    async def close(self) -> None:
        """End every connection."""
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


@asynccontextmanager
async def silent_broker(bootstrap: str) -> AsyncIterator[SilentBroker]:
    """A proxy on a free port, before the broker that listens on 127.0.0.1."""
    made = SilentBroker(int(bootstrap.rpartition(":")[2]))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
