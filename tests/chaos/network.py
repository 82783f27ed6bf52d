"""The network of a run: a process of its own with all the proxies, and handles of what is in it.

In the process of the load they would come late whenever that is busy, and servers that watch each
other over them would find each other dead.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from deploy.local import stack
from tests.chaos.peers import owner_of
from tests.chaos.proxy import Proxy, Way, proxy

_EVERYBODY = "everybody else"


class Network:
    """Orders to the process with the proxies."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout
        self._asking = asyncio.Lock()

    def tell(self, order: str, **fields: Any) -> None:
        """Give an order that has no answer."""
        self._orders.write(orjson.dumps({"order": order, **fields}) + b"\n")

    async def ask(self, order: str, **fields: Any) -> int:
        """Give an order that is answered by a number."""
        async with self._asking:
            self.tell(order, **fields)
            return int(await self._answers.readline())

    def way(self, name: str) -> WayThere:
        """A way, by its name."""
        return WayThere(self, name)

    async def front(self, target_port: int, way: WayThere | None = None) -> FrontThere:
        """A proxy with one way; or with that of the worker that connects, where it is None."""
        port = await self.ask("proxy", target=target_port, way=way.name if way else "")
        return FrontThere(self, port)

    async def swallowed(self) -> int:
        """How many bytes never arrived."""
        return await self.ask("swallowed")


class WayThere:
    """One ``Way`` in that process; see there."""

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self._network = network

    def cut(self) -> None:
        """Deliver nothing from now on."""
        self._network.tell("cut", way=self.name)

    def silence(self) -> None:
        """Swallow all data from now on, over old and new connections."""
        self._network.tell("silence", way=self.name)

    def heal(self) -> None:
        """Deliver again; silenced connections stay silent."""
        self._network.tell("heal", way=self.name)

    def break_links(self) -> None:
        """Break every connection; those made from now on work."""
        self._network.tell("break", way=self.name)

    def delay(self, by_s: float) -> None:
        """Have every piece come so much later, each way."""
        self._network.tell("delay", way=self.name, by_s=by_s)

    def belongs_to(self, process: int) -> None:
        """Have what a process connects to go this way."""
        self._network.tell("owner", way=self.name, process=process)


class FrontThere:
    """One ``Proxy`` in that process."""

    def __init__(self, network: Network, port: int) -> None:
        self.port = port
        self._network = network

    def lead_to(self, target_port: int) -> None:
        """Lead new connections to another port; those that are open break."""
        self._network.tell("lead", port=self.port, target=target_port)


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Run the process until the block ends."""
    command = [sys.executable, "-m", "tests.chaos.network"]
    process = await asyncio.create_subprocess_exec(
        *stack.tied_to_this_process("KILL", command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Network(process)
    finally:
        process.kill()
        await process.wait()


class _Served:
    """The connections of that process."""

    def __init__(self) -> None:
        self._ways: dict[str, Way] = defaultdict(Way)
        self._fronts: dict[int, Proxy] = {}
        self._owners: dict[str, int] = {}  # name of a way to the process that goes it

    async def obey(self, given: dict[str, Any]) -> int | None:
        """Carry an order out."""
        way = self._ways[given.get("way") or _EVERYBODY]
        match given["order"]:
            case "proxy":
                front = await proxy(given["target"], self._way_of(given["way"]))
                self._fronts[front.port] = front
                return front.port
            case "lead":
                self._fronts[given["port"]].lead_to(given["target"])
            case "cut":
                way.cut()
            case "silence":
                way.silence()
            case "heal":
                way.heal()
            case "break":
                way.break_links()
            case "delay":
                way.delay_s = given["by_s"]
            case "owner":
                self._owners[given["way"]] = given["process"]
            case "swallowed":
                return sum(one.swallowed for one in self._ways.values())
            case unknown:
                raise ValueError(unknown)
        return None

    def _way_of(self, name: str) -> Any:
        async def named(_port: int, _to_port: int) -> Way:
            return self._ways[name]

        async def by_owner(port: int, to_port: int) -> Way:
            owners = dict(self._owners)
            process = await asyncio.to_thread(owner_of, port, to_port, owners.values())
            found = (way for way, owner in owners.items() if owner == process)
            return self._ways[next(found, _EVERYBODY)]

        return named if name else by_owner


async def _serve() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    served = _Served()
    while line := await orders.readline():
        answer = await served.obey(orjson.loads(line))
        if answer is not None:
            print(answer, flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
