"""Checks before every request: trusted proxies, and writes from other sites.

After every response: headers that restrict browsers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processor.browser_headers import DATA_HEADERS, HSTS, is_foreign_write
from processor.http.errors import ApiError, respond
from processor.webhooks.addresses import Network, client_of, is_one_of

_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9_.-]{0,253}[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")

_HTTP = [(name.lower().encode(), value.encode()) for name, value in DATA_HEADERS.items()]
_HTTPS = [*_HTTP, (HSTS[0].lower().encode(), HSTS[1].encode())]
_FOREIGN = ApiError(
    403, 20003, "Pages of other sites may not write here, and this request came from such a page"
)


class Forwarded:
    """Reads the client's address and scheme from trusted proxies only.

    Afterwards ``scope["client"]`` and ``scope["scheme"]`` are the client's. Forwarding headers of
    other senders are removed, so that no later code can trust them.

    Uvicorn's own middleware accepts any text as an address, and leaves untrusted headers in place.

    Args:
        app: the next application.
        proxies: networks of the trusted proxies.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            self._read(scope)
        await self._app(scope, receive, send)

    def _read(self, scope: Scope) -> None:
        peer, port = scope.get("client") or ("", 0)
        if not (self._proxies and is_one_of(peer, self._proxies)):
            scope["headers"] = [one for one in scope["headers"] if one[0] not in _FORWARDED]
            return
        headers = Headers(scope=scope)
        chain = ",".join(headers.getlist("x-forwarded-for"))
        client = client_of(peer, chain, self._proxies)
        scope["client"] = (client, port if client == peer else 0)
        scheme = headers.get("x-forwarded-proto", "").strip().lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme


class Protected:
    """Adds the headers that a response does not have yet.

    Args:
        app: the next application.
        public_url: base of all links; an https address means that clients use HTTPS.
    """

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._is_https = (public_url or "").startswith("https:")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = _HTTPS if self._is_https or scope["scheme"] == "https" else _HTTP

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                names = {name.lower() for name, _ in given}
                missing = (one for one in wanted if one[0] not in names)
                message = {**message, "headers": [*given, *missing]}
            await send(message)

        await self._app(scope, receive, protected)


class OwnSite:
    """Refuses writes that a page of another site makes a browser send, before anything is read.

    A browser sends cookies and Basic credentials for pages of any site.

    Args:
        app: the next application.
        public_url: its host is ours, besides the requested host.
    """

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._public = urlsplit(public_url).netloc if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            hosts = (asked_host(headers), self._public)
            if is_foreign_write(
                scope["method"],
                site=headers.get("sec-fetch-site"),
                origin=headers.get("origin"),
                hosts=[host for host in hosts if host],
            ):
                await respond(_FOREIGN)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def asked_host(headers: Headers) -> str | None:
    """The host that the client requested, with its port if any; None if it is malformed.

    Args:
        headers: of a request that passed ``Forwarded``.
    """
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    host = (forwarded or headers.get("host", "")).lower()
    return host if _HOST.fullmatch(host) else None
