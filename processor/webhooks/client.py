"""Makes a request to an application: public addresses only, no redirects, a limit on each phase."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import aiohttp
from aiohttp import AddrInfoType, SocketFactoryType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from processor.webhooks.addresses import Network, is_reachable
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure, Why

MOST_BYTES = 64 * 1024  # of a response
_HEADERS = {
    "User-Agent": f"optout/{version('optout')}",  # Meta's document asks for a name and a version
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
_HTTP, _CONNECT, _PROTOCOL, _HOST, _TLS = 11200, 11205, 11206, 11210, 11220
_MOST_ADDRESSES = 2  # tried for each host, as each takes a socket
_NO_SOCKET = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
BROKEN = "the connection was broken"
_NO_HOST = "the host is neither a name nor a whole address"
_NOT_PUBLIC = "the address is not public, and OPTOUT_WEBHOOK_ALLOW_NETWORKS does not allow it"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a request may take, unless its URL overrides it."""

    connect_s: float
    total_s: float  # also the limit between two bytes


class _NotPublic(OSError):
    """A socket was requested for an address that is not allowed."""


class _FewAddresses(AbstractResolver):
    """Returns an address of each family first, if a host has both."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The first few addresses to try."""
        found = await self._resolver.resolve(host, port, family)
        others = [one for one in found if one["family"] != found[0]["family"]]
        return [found[0], *others, *found[1:]][:_MOST_ADDRESSES]

    async def close(self) -> None:
        """Cancel pending look-ups."""
        await self._resolver.close()


class _Connector(aiohttp.TCPConnector):
    """Keeps only a few idle connections open, however many hosts there are."""

    def __init__(
        self, most_idle: int, resolver: AbstractResolver, socket_factory: SocketFactoryType
    ) -> None:
        # No limit: `Places` counts requests, and whose they are.
        super().__init__(limit=0, resolver=resolver, socket_factory=socket_factory)
        self._most_idle = most_idle

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        idle = sum(map(len, self._conns.values()))
        super()._release(key, protocol, should_close=should_close or idle >= self._most_idle)


class Client:
    """Makes requests and returns the outcome of each; never raises.

    The address is checked when a socket is made for it, after the name was resolved. So a name
    that resolves to another address a moment later cannot lead past the check.

    Args:
        allowed: networks that may be reached although they are not public.
        limits: for requests.
        most_idle: connections that are kept for later requests.
        resolver: makes the resolver of names; it must not occupy threads, which others need.
    """

    def __init__(
        self,
        allowed: Sequence[Network],
        limits: Limits,
        *,
        most_idle: int = 256,
        resolver: Callable[[], AbstractResolver] = aiohttp.AsyncResolver,
    ) -> None:
        self._allowed = allowed
        self._limits = limits
        self._most_idle = most_idle
        self._make_resolver = resolver
        self._resolver: AbstractResolver | None = None
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Answered | Failure:
        """Make a request; repeat it if the other side had closed the kept connection."""
        try:
            url = URL(request.url, encoded=True)
        except ValueError:
            return Failure(Why.REFUSED, _HOST, _NO_HOST)
        try:
            try:
                return await self._ask(request, url)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                return await self._ask(request, url)
        except Exception as error:
            return _failure(error)

    async def call(self, request: Request) -> Answered | Failure:
        """Make a request once; every response counts as an answer, whatever its status."""
        try:
            return await self._ask(request, URL(request.url, encoded=True), any_status=True)
        except ValueError:
            return Failure(Why.REFUSED, _HOST, _NO_HOST)
        except Exception as error:
            return _failure(error)

    async def close(self) -> None:
        """Drop every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    async def _ask(
        self, request: Request, url: URL, *, any_status: bool = False
    ) -> Answered | Failure:
        if self._session is None:
            self._session = self._connect()
        async with self._session.request(
            request.method,
            url,
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            timeout=self._timeout(request),
        ) as response:
            if any_status or 200 <= response.status < 300:
                body, headers = await _read(response), response.headers
                kind, later = headers.get("Content-Type"), headers.get("Retry-After")
                return Answered(response.status, kind, body, later)
            return _refusal(response.status)

    def _connect(self) -> aiohttp.ClientSession:
        self._resolver = self._make_resolver()
        return aiohttp.ClientSession(
            connector=_Connector(
                self._most_idle, _FewAddresses(self._resolver), socket_factory=self._socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),  # customers must not share cookies
            headers=_HEADERS,
            auto_decompress=False,
        )

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = address
        if not is_reachable(where[0], self._allowed):
            raise _NotPublic(_NOT_PUBLIC)
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        limits, overrides = self._limits, request.overrides
        return aiohttp.ClientTimeout(
            total=limits.total_s,
            sock_connect=overrides.connect_s or limits.connect_s,
            sock_read=overrides.read_s or limits.total_s,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    body = b""
    while chunk := await response.content.read(MOST_BYTES + 1 - len(body)):
        body += chunk
        if len(body) > MOST_BYTES:
            response.close()
            return None
    return body


def _refusal(status: int) -> Failure:
    if 300 <= status < 400:
        said = f"answered {status}; a redirect is not followed"
        return Failure(Why.REDIRECT, _HTTP, said, status)
    why = Why.SERVER if status >= 500 else Why.CLIENT
    return Failure(why, _HTTP, f"answered {status}", status)


def _failure(error: Exception) -> Failure:
    """The meaning of an exception; its text may contain the URL, so it is not repeated."""
    match error:
        case aiohttp.ClientConnectorError(os_error=_NotPublic()):
            return Failure(Why.REFUSED, _CONNECT, _NOT_PUBLIC)
        case aiohttp.InvalidURL():
            return Failure(Why.REFUSED, _HOST, _NO_HOST)
        case aiohttp.ClientConnectorError() if error.os_error.errno in _NO_SOCKET:
            return Failure(Why.BUSY, _CONNECT, "this worker has no socket left")
        case aiohttp.ClientConnectorDNSError():
            return Failure(Why.CONNECT, _HOST, "the host's name does not resolve")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return Failure(Why.CONNECT, _TLS, "TLS: no certificate that can be trusted")
        case aiohttp.ConnectionTimeoutError():
            return Failure(Why.CONNECT, _CONNECT, "no connection in time")
        case aiohttp.ClientConnectorError():
            return Failure(Why.CONNECT, _CONNECT, "no connection")
        case asyncio.TimeoutError():
            return Failure(Why.READ, _HTTP, "no answer in time")
        case aiohttp.ServerDisconnectedError() | OSError() | aiohttp.ClientPayloadError():
            return Failure(Why.READ, _HTTP, BROKEN)
        case aiohttp.ClientResponseError():
            return Failure(Why.READ, _PROTOCOL, "the response is not HTTP")
        case _:
            return Failure(Why.READ, _HTTP, f"the request failed: {type(error).__name__}")
