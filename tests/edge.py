"""The API's web server alone: it runs before Kafka and Redis are reachable."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme
from fastapi import FastAPI

from processor.config import Settings
from processor.http.api import create_api
from processor.http.backend import Backend
from processor.http.connections import Connections
from processor.http.serving import Server, web_config
from tests.installation import until

NOBODY = "127.0.0.1:1"  # no server listens here

HALF = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-More: "
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
FORM = (
    b"POST /console/sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Edge:
    """A served API, and its counts."""

    api: FastAPI
    port: int
    connections: Connections
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, given: bytes = b"", *, of: str = "127.0.0.1") -> Streams:
        """Connect from an address of this machine, and send some bytes."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(of, 0), limit=1 << 24
        )
        self._writers.append(writer)
        writer.write(given)
        await writer.drain()
        return reader, writer

    async def looked(self) -> None:
        """Wait until the connections were checked."""
        before = self.connections._looked_s

        async def again() -> bool:
            return self.connections._looked_s > before

        await until(again, "look", pause_s=0.01)

    def close(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def ask(self, given: bytes, *, of: str = "127.0.0.1") -> bytes:
        """The whole response until the connection closes."""
        reader, writer = await self.connect(given, of=of)
        return await heard(reader, writer)

    async def has(self, count: int) -> None:
        """Wait until so many connections are open."""

        async def so_many() -> bool:
            return len(self.connections) == count

        await until(so_many, f"{count} connections, not {len(self.connections)}", pause_s=0.01)


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The bytes that arrive until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            while part := await reader.read(1 << 16):
                found += part
    writer.close()
    return found


@asynccontextmanager
async def serving_alone(**settings: Any) -> AsyncIterator[Edge]:
    """The API with these settings, without Kafka and Redis."""
    made = Settings(kafka_bootstrap=NOBODY, redis_url=f"redis://{NOBODY}/0", **settings)
    api = create_api(made)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        backend: Backend = api.state.backend
        config = web_config(api, made, host=made.api_host, port=0, metrics=backend.metrics)
        server = Server(config, backend)
        edge = Edge(api, listening.getsockname()[1], config.connections)
        serving = asyncio.create_task(server.serve([listening]))
        try:

            async def started() -> bool:
                return server.started

            await until(started, "server", pause_s=0.01)
            yield edge
        finally:
            edge.close()
            server.should_exit = True
            await serving


class Pki:
    """An authority, and the files of the API's certificate."""

    def __init__(self, folder: Any) -> None:
        self.authority = trustme.CA()
        self.certfile, self.keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
        self.client = ssl.create_default_context()
        self.authority.configure_trust(self.client)
        self.give("127.0.0.1")

    def give(self, *names: str) -> None:
        """Replace the certificate with a certificate for these names."""
        made = self.authority.issue_cert(*names)
        made.private_key_pem.write_to_path(self.keyfile)
        made.cert_chain_pems[0].write_to_path(self.certfile)

    @property
    def files(self) -> dict[str, str]:
        return {"api_certfile": self.certfile, "api_keyfile": self.keyfile}
