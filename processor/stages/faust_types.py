"""The parts of Faust that pages and counts use; Faust itself has no types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web


class Message(Protocol):
    """A record as Faust read it."""

    topic: str
    partition: int
    offset: int
    headers: object


class Event(Protocol):
    """A message whose key and value are decoded."""

    @property
    def key(self) -> tuple[str, tuple[float, float]]:
        """In a table's own records, the series and its window; others may write anything."""
        ...

    @property
    def value(self) -> object:
        """As the topic's type decodes it."""
        ...

    @property
    def message(self) -> Message:
        """As it was read."""
        ...


class Values(Protocol):
    """The values that an agent is given, in their order."""

    current_event: Event

    def __aiter__(self) -> AsyncIterator[bytes | None]:
        """Each value, None where it is a tombstone."""
        ...


class View(Protocol):
    """Makes the answers of a page."""

    def json(self, value: object, *, status: int = 200) -> web.Response:
        """An answer in JSON."""
        ...

    def bytes(self, value: bytes, *, headers: Mapping[str, str] | None = None) -> web.Response:
        """An answer as it is given."""
        ...


Page = Callable[[View, web.Request], Awaitable[web.Response]]


class Web(Protocol):
    """The web server of an app."""

    web_app: web.Application
    blueprints: object


class Conf(Protocol):
    """The settings of an app."""

    web_bind: str


class App(Protocol):
    """A Faust app."""

    web: Web
    conf: Conf

    def page(self, path: str) -> Callable[[Page], Page]:
        """Register a page at a path."""
        ...
