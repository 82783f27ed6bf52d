"""Starts the brokers of a run, each with a listener for every worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from deploy.local import stack
from tests.chaos.brokers import Brokers
from tests.chaos.certificates import Authorities
from tests.chaos.clock import Clock
from tests.chaos.network import Network, WayThere

_HEAP = "512m"
# Of three brokers two are controllers too; a third controller, which is no broker, keeps a quorum
# while those that do not lag behind are down.
_ROLES: Mapping[int, str] = {1: "broker,controller", 2: "broker", 3: "broker,controller"}
_EXTRA = 4
_JAVA = ("env", "FAKETIME_FORCE_MONOTONIC_FIX=0")  # libfaketime's way with waits hangs a JVM
_ADDITIONS = """
node.id={number}
process.roles={roles}
controller.quorum.voters={voters}
listeners={listens}
advertised.listeners={leads}
listener.security.protocol.map={protocols}
num.recovery.threads.per.data.dir=8
ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/clients.pem
"""
_REPLICATED = """
default.replication.factor=3
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


@asynccontextmanager
async def brokers(
    directory: Path,
    count: int,
    net: Network,
    ways: Sequence[WayThere],
    authorities: Authorities,
    prefix: str,
    on_thread: Callable[[Callable[[], Any]], Any],
    *,
    clocks_step: bool,
) -> AsyncIterator[tuple[Brokers, Sequence[str]]]:
    """Start brokers; gives them, and what each worker names them by.

    Args:
        directory: of data and logs.
        count: how many, 1 or 3.
        net: of the run.
        ways: one for each worker; the first worker comes over TLS.
        authorities: the certificates that are shown and required there.
        prefix: of the topics to look at.
        on_thread: runs what blocks, on the thread that starts servers.
        clocks_step: whether their clocks can be stepped, which costs a third of a core each.
    """
    numbers = range(1, count + 1)
    roles = {1: "broker,controller"} if count == 1 else {**_ROLES, _EXTRA: "controller"}
    async with AsyncExitStack() as held:

        def a_port() -> int:
            return held.enter_context(stack.free_port(19_092))

        controllers = {number: a_port() for number, role in roles.items() if "controller" in role}
        listens: dict[int, list[str]] = {number: [] for number in roles}
        leads: dict[int, list[str]] = {number: [] for number in roles}
        bootstraps: list[list[str]] = [[] for _ in ways]
        plain = {number: a_port() for number in numbers}
        for number in numbers:
            listens[number].append(f"PLAINTEXT://127.0.0.1:{plain[number]}")
            leads[number].append(f"PLAINTEXT://127.0.0.1:{plain[number]}")
            for slot, way in enumerate(ways):
                port = a_port()
                front = await net.front(port, way)
                listens[number].append(f"WORKER{slot}://127.0.0.1:{port}")
                leads[number].append(f"WORKER{slot}://127.0.0.1:{front.port}")
                bootstraps[slot].append(f"127.0.0.1:{front.port}")
        for number, port in controllers.items():
            listens[number].append(f"CONTROLLER://127.0.0.1:{port}")
        template = (stack.HERE / "kafka.properties").read_text() + _ADDITIONS
        template += "inter.broker.listener.name=PLAINTEXT\n" + (_REPLICATED if count > 1 else "")
        protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"]
        protocols += [f"WORKER{slot}:{'PLAINTEXT' if slot else 'SSL'}" for slot in range(len(ways))]
        clocks = {
            number: Clock(directory / f"clock-of-broker{number}")
            for number in (numbers if clocks_step else ())
        }

        def made(number: int) -> stack.Server:
            home = directory / f"broker{number}"
            home.mkdir()
            properties = template.format(
                number=number,
                roles=roles[number],
                port=plain.get(number),
                controller_port=controllers.get(number),
                data=(home / "kafka").resolve(),
                voters=",".join(f"{one}@127.0.0.1:{port}" for one, port in controllers.items()),
                listens=",".join(listens[number]),
                leads=",".join(leads[number]),
                protocols=",".join(protocols),
                folder=authorities.folder,
            )
            if number == _EXTRA:
                properties = _without_clients(properties)
            port = plain.get(number, controllers.get(number, 0))
            server = stack.broker(home, port, properties, heap=_HEAP, of=count, quick=True)
            if number in clocks:
                server.command = [*_JAVA, *clocks[number].command, *server.command]
            return server

        with ThreadPoolExecutor(2) as formatting:  # a java each
            servers = dict(zip(roles, formatting.map(made, roles), strict=True))
        extra = servers.pop(_EXTRA, None)
        running = Brokers(servers, extra, clocks, prefix, on_thread)
        try:
            running.start()
            yield running, [",".join(each) for each in bootstraps]
        finally:
            running.kill()


def _without_clients(properties: str) -> str:
    """Without the properties that only brokers may have."""
    unwanted = "advertised.listeners=", "inter.broker.listener.name=", "ssl."
    return "\n".join(line for line in properties.splitlines() if not line.startswith(unwanted))
