"""The parts of redis-py that are used below its clients, which it types loosely."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol


class Connection(Protocol):
    """A connection of any kind."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a socket."""
        ...

    def should_reconnect(self) -> bool:
        """Whether redis-py wants a new socket."""
        ...

    async def can_read(self) -> bool:
        """Whether something came, perhaps its end."""
        ...

    async def connect(self) -> None:
        """Open a socket, where there is none."""
        ...

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the socket."""
        ...

    async def send_packed_command(self, command: Sequence[bytes]) -> None:
        """Write what is in Redis' protocol already."""
        ...

    async def read_response(self) -> object:
        """The next answer; an error is raised."""
        ...


class NewConnection(Protocol):
    """A connection whose socket was opened just now, and whose methods may be replaced."""

    pack_command: Callable[..., list[bytes]]
    send_packed_command: Callable[..., Awaitable[None]]

    async def on_connect(self) -> None:
        """Log in, and choose the database."""
        ...

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the socket."""
        ...


class Node(Protocol):
    """Knows how to connect to the server of a key: in a Cluster a node, else a pool."""

    @property
    def connection_class(self) -> Callable[..., Connection]:
        """Makes a connection."""
        ...

    @property
    def connection_kwargs(self) -> Mapping[str, object]:
        """The arguments that it is made with."""
        ...


class Pipeline(Protocol):
    """Commands that are sent together."""

    def execute(self, raise_on_error: bool = True) -> Awaitable[list[Any]]:
        """The answers, in the commands' order; errors among them where none is to be raised."""
        ...
