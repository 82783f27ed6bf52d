"""Three Kafka brokers in one cluster: what only replicas show, and what a lost broker does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.local import stack

COUNT = 3
# If a property appears twice, the later value counts.
_CLUSTER = """
node.id={number}
controller.quorum.voters={voters}
default.replication.factor=3
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
"""


@contextmanager
def three_brokers(directory: Path) -> Iterator[list[stack.Server]]:
    """Run three brokers, each a controller too; any of them may be killed and started again.

    Topics get three replicas by default, as Kafka's own topics do.
    """
    template = (stack.HERE / "kafka.properties").read_text() + _CLUSTER
    with ExitStack() as held:
        ports = [held.enter_context(stack.free_port(19_292)) for _ in range(2 * COUNT)]
        numbered = list(enumerate(zip(ports[:COUNT], ports[COUNT:], strict=True), start=1))
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, (_, port) in numbered)
        servers = []
        for number, (port, controller_port) in numbered:
            home = directory / f"broker{number}"
            home.mkdir(parents=True)
            properties = template.format(
                port=port,
                controller_port=controller_port,
                data=(home / "kafka").resolve(),
                number=number,
                voters=voters,
            )
            servers.append(stack.broker(home, port, properties, heap="512m", of=COUNT, quick=True))
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait()
            yield servers
        finally:
            for server in servers:  # in good order, the last would wait for a quorum in vain
                if hasattr(server, "process"):
                    server.kill()


def bootstrap(servers: list[stack.Server]) -> str:
    """What OPTOUT_KAFKA_BOOTSTRAP names them by."""
    return ",".join(server.address for server in servers)
