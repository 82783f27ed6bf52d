"""The parts of Faust that pages and counts use; Faust itself has no types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aiohttp import web


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
