"""Knows every connection that an aiokafka client opens, so that each can be closed in time.

aiokafka 0.14 leaks connections in two cases. A start that is cancelled before the brokers answer
leaves its first connection open. A request that connects while the client is being closed leaves
another.

A network that swallowed packets leaves connections open that never answer again. Where a request
waits for its answer in vain, every connection of this process to that broker is closed on which
nothing was heard meanwhile. Else each would cost a lane another time-out, one after the other.

Where a broker refuses connections, one client retries for the whole process, and backs off. There
is no ``reconnect.backoff.ms`` in aiokafka. A worker with an expired certificate would make brokers
compute a hundred TLS handshakes a second, and their other work would stop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakSet

import aiokafka.admin.client
import aiokafka.client
import aiokafka.conn
import aiokafka.consumer.consumer
import aiokafka.producer.producer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol, CloseReason, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError
from aiokafka.protocol.api import Response

_FIRST_PAUSE_S = 0.05  # after the first failed connection; doubles with each further failure
_LONGEST_PAUSE_S = 0.5
_PATIENCE_S = 1.0  # with the attempt of another client

_T = TypeVar("_T")


class Address:
    """How connections to one broker fare, from one event loop."""

    def __init__(self) -> None:
        self._pause_s = 0.0  # 0: the last one did not fail
        self._next_s = 0.0  # when it may be tried again, monotonic
        self._attempt: asyncio.Future[None] | None = None
        self._begun_s = 0.0

    async def connect(self, make: Callable[[], Awaitable[_T]]) -> _T:
        """Connect: at once, or, where the last connection failed, after a pause and one for all.

        Args:
            make: connects.

        Raises:
            KafkaConnectionError: where another client's attempt failed; else what ``make`` raises.
        """
        if self._pause_s:
            now_s = time.monotonic()
            if self._attempt is None or now_s - self._begun_s > _PATIENCE_S:
                return await self._try_for_all(make)
            await asyncio.wait((self._attempt,), timeout=_PATIENCE_S)
            if self._pause_s:
                raise KafkaConnectionError("the broker was tried a moment ago, in vain")
        return await self._try(make)

    async def _try_for_all(self, make: Callable[[], Awaitable[_T]]) -> _T:
        self._attempt = attempt = asyncio.get_running_loop().create_future()
        self._begun_s = time.monotonic()
        try:
            await asyncio.sleep(self._next_s - self._begun_s)
            return await self._try(make)
        finally:
            attempt.set_result(None)
            if self._attempt is attempt:
                self._attempt = None

    async def _try(self, make: Callable[[], Awaitable[_T]]) -> _T:
        try:
            made = await make()
        except (OSError, KafkaError, TimeoutError):
            now_s = time.monotonic()
            if now_s >= self._next_s:  # else it failed together with another attempt
                self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or _FIRST_PAUSE_S)
                self._next_s = now_s + self._pause_s
            raise
        self._pause_s = 0.0
        return made


_addresses: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], Address]] = (
    WeakKeyDictionary()
)


async def _create_conn(host: str, port: int, **options: object) -> AIOKafkaConnection:
    """As aiokafka's ``create_conn``, which its clients call."""
    here = _addresses.setdefault(asyncio.get_running_loop(), {})
    address = here.setdefault((host, port), Address())
    return await address.connect(lambda: create_conn(host, port, **options))


class Connections:
    """The transports that one client has open."""

    def __init__(self) -> None:
        self._open: set[asyncio.Transport] = set()
        self._is_closed = False

    def made(self, transport: asyncio.Transport) -> None:
        """Note a transport; abort one that comes too late."""
        self._open.add(transport)
        if self._is_closed:
            transport.abort()

    def lost(self, transport: asyncio.Transport) -> None:
        """Forget a transport that is closed."""
        self._open.discard(transport)

    def close(self) -> None:
        """Abort what is open, and whatever is opened later."""
        self._is_closed = True
        for transport in self._open:
            transport.abort()


_of_the_client: ContextVar[Connections | None] = ContextVar("connections", default=None)


class _Protocol(AIOKafkaProtocol):  # type: ignore[misc]
    """Reports its transport to the client that opens the connection."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        # Not the client itself: a client left open must still be collected, and warned about.
        self._connections = _of_the_client.get()
        self._made: asyncio.Transport | None = None
        self.heard_s = time.monotonic()  # when something came last

    def data_received(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        super().data_received(data)

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._made = transport
        if self._connections:
            self._connections.made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._connections and self._made:
            self._connections.lost(self._made)


class Client(AIOKafkaClient):  # type: ignore[misc]
    """Aiokafka's, which opens connections in two methods, and knows what it has open."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.connections = Connections()
        self._here = asyncio.get_running_loop()
        _clients.add(self)

    async def send(self, node_id: int, request: object, **options: object) -> Response:
        """Send a request to a broker, and wait for its answer."""
        began_s = time.monotonic()
        try:
            return await super().send(node_id, request, **options)
        except RequestTimedOutError:
            if broker := self.cluster.broker_metadata(node_id):
                for client in list(_clients):
                    if client._here is self._here:  # Faust has some in a thread of its own
                        client.drop_unheard(broker.host, broker.port, began_s)
            raise

    def drop_unheard(self, host: str, port: int, since_s: float) -> None:
        """Close the connections to a broker on which nothing was heard.

        Args:
            host: of the broker.
            port: of the broker.
            since_s: since when, monotonic.
        """
        for connection in list(self._conns.values()):
            is_there = (connection.host, connection.port) == (host, port)
            if is_there and connection.connected() and connection._protocol.heard_s < since_s:
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)

    @contextmanager
    def _opening(self) -> Iterator[None]:
        before = _of_the_client.set(self.connections)
        try:
            yield
        finally:
            _of_the_client.reset(before)

    async def bootstrap(self) -> None:
        """Find the brokers."""
        with self._opening():
            await super().bootstrap()

    async def _get_conn(self, *args: object, **options: object) -> AIOKafkaConnection | None:
        with self._opening():
            return await super()._get_conn(*args, **options)


_clients: WeakSet[Client] = WeakSet()


def know_connections() -> None:
    """Have every client of this process know its connections; a second call changes nothing."""
    aiokafka.conn.AIOKafkaProtocol = _Protocol
    aiokafka.client.create_conn = _create_conn
    for module in (
        aiokafka.admin.client,
        aiokafka.consumer.consumer,
        aiokafka.producer.producer,
    ):
        module.AIOKafkaClient = Client
