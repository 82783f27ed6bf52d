"""Limits for the web server's connections: how many, and how long each may make us wait.

Uvicorn limits neither the time nor the size of a request's headers, nor how slowly a body comes.
Its protocol is unchanged; this counts the bytes through it, and checks every connection once a
second. A slow client loses its own connection, and no other client's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from processor.browser_headers import DATA_HEADERS
from processor.config import Settings
from processor.http.errors import ApiError, respond, too_many
from processor.metrics import Metrics
from processor.webhooks.addresses import Network, is_one_of

logger = logging.getLogger(__name__)

LOOK_S = 1.0
_LONGEST_S = 2 * LOOK_S  # between two checks; beyond that, this process stood still
_MOST_HEADER_BYTES = 64 * 1024  # request line and headers
_MOST_HEADERS = 200
_MOST_FRAMING = 16  # overhead bytes for each byte of a chunked body
_MOST_PIPELINED = 100
_BODY_PATIENCE_S = 20.0  # for which a body may be slower than the next
_BODY_RATE = 1024.0  # bytes a second
_UNREAD_S = 30.0  # for which a client may read nothing of a response
_READ_FIRST_S = 0.05  # for a request that arrived while this process stood still
_SITE = 64  # bits of an IPv6 address that identify a customer

_SLOW = ApiError(408, 20001, "The request took too long to arrive")
_MALFORMED = ApiError(400, 20001, "The request is not HTTP/1.1")
_LARGE = ApiError(431, 20001, f"The headers are larger than {_MOST_HEADER_BYTES} bytes")
_UNREAD = "unread"
_CROWDED = ApiError(503, 20503, "Too many connections are open", headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The most connections, and the longest wait for a request's headers."""

    of_all: int
    of_client: int
    header_s: float
    proxies: Sequence[Network] = ()  # their connections are for many clients


def limits_of(settings: Settings) -> Limits:
    """Read the limits from the settings."""
    return Limits(
        settings.api_connections,
        settings.api_client_connections,
        settings.api_header_s,
        settings.trusted_proxies,
    )


class Connections:
    """All open connections, by client."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self._ended = metrics.api_connections_ended
        self._by_client: dict[str, dict[Connection, None]] = {}  # oldest first
        self._clients: dict[Connection, str] = {}
        self._looked_s = time.monotonic()
        self._stood_still_s = 0.0  # time that clients are not to blame for
        self._refused = 0  # since the last check

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._clients)

    def admit(self, connection: Connection, address: str) -> ApiError | None:
        """Count a new connection, or return the reason to refuse it.

        If there is no room, the client with most connections loses one, so that no client can shut
        out all others.

        Args:
            connection: the new connection.
            address: of the peer.
        """
        client = self._client_of(address)
        mine = self._by_client.get(client, {})
        if client and len(mine) >= self.limits.of_client:
            self._refused += 1
            return too_many()
        if len(self) >= self.limits.of_all and not self._make_room(len(mine)):
            self._refused += 1
            return _CROWDED
        self._by_client.setdefault(client, {})[connection] = None
        self._clients[connection] = client
        return None

    def drop(self, connection: Connection) -> None:
        """Stop counting a connection."""
        client = self._clients.pop(connection, None)
        if client is not None:
            del self._by_client[client][connection]
            if not self._by_client[client]:
                del self._by_client[client]

    def ended(self, why: str) -> None:
        """Count a connection that was ended here.

        Args:
            why: the status of the response, or ``unread``.
        """
        self._ended.labels(why).inc()

    def look(self) -> None:
        """End connections that make us wait too long."""
        if self._refused:  # a single log line for all
            said = {"refused": self._refused, "open": len(self)}
            logger.warning("api.connections_refused", extra=said)
            self._refused = 0
        was_s, self._looked_s = self._looked_s, time.monotonic()
        passed_s = min(self._looked_s - was_s, _LONGEST_S)
        self._stood_still_s += self._looked_s - was_s - passed_s
        now_s = self.now_s()
        for connection in list(self._clients):
            connection.look(now_s, passed_s)

    def now_s(self) -> float:
        """Monotonic time, without the time in which this process stood still and read nothing."""
        return time.monotonic() - self._stood_still_s

    def _client_of(self, address: str) -> str:
        """The client that a connection counts for; None for a proxy."""
        if is_one_of(address, self.limits.proxies):
            return ""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return address or "unknown"
        if isinstance(found, IPv6Address) and not found.ipv4_mapped:
            return str(ip_network((found, _SITE), strict=False))
        return str(getattr(found, "ipv4_mapped", None) or found)

    def _make_room(self, mine: int) -> bool:
        richest = max(
            (those for client, those in self._by_client.items() if client), key=len, default={}
        )
        if len(richest) <= mine + 1:
            return False
        waiting = next((one for one in richest if one.waits_for_client), None)
        if waiting is None:
            return False
        self.drop(waiting)
        waiting.end(_CROWDED)
        return True


class WebConfig(uvicorn.Config):
    """Uvicorn's configuration, with the connections that its protocol counts."""

    def __init__(self, app: ASGIApp, connections: Connections, **options: Any) -> None:
        super().__init__(app, http=Connection, ws="none", **options)
        self.connections = connections


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol, with limits."""

    config: WebConfig

    def __init__(
        self, config: WebConfig, server_state: ServerState, app_state: dict[str, object]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._waits_since_s: float | None = None  # waiting for a request's headers
        self._has_begun = False  # a request is not answered yet
        self._has_ended = False
        self._comes = False  # a request's body is arriving
        self._patience_s = _BODY_PATIENCE_S
        self._framing = 0  # bytes of the request outside its body
        self._body = 0  # bytes of all bodies
        self._body_before = 0  # bytes of earlier requests' bodies
        self._unwritten = 0
        self._unread_since_s: float | None = None

    @property
    def waits_for_client(self) -> bool:
        """Whether only the client can make progress now."""
        return not self._is_served or self._comes

    @property
    def _is_served(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        self._waits_since_s = self.config.connections.now_s()
        if refused := self.config.connections.admit(self, address):
            self._has_begun = True  # so that it gets the reason
            self.end(refused)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._has_ended = True
        self.config.connections.drop(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._has_ended:
            return
        before = self._body
        super().data_received(data)
        if self._has_ended:
            return
        self._framing += len(data) - (self._body - before)
        body = self._body - self._body_before
        if self._framing > _MOST_HEADER_BYTES + _MOST_FRAMING * body:
            self.end(_LARGE)
        elif not self._is_served and self._waits_since_s is None:
            self._waits_since_s = (
                self.config.connections.now_s()
            )  # the rest of a request, or the next request

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._has_begun = True
        self._framing, self._body_before = 0, self._body
        self._waits_since_s = self.config.connections.now_s()

    def on_headers_complete(self) -> None:
        """See httptools."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > _MOST_HEADER_BYTES or len(self.headers) > _MOST_HEADERS:
            self.end(_LARGE)
        if len(self.pipeline) >= _MOST_PIPELINED:
            self.end(too_many())
        if self._has_ended:
            raise ValueError("refused")  # the parser stops
        self._waits_since_s = None
        self._comes, self._patience_s = True, _BODY_PATIENCE_S
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body += len(body)
        self._patience_s = min(_BODY_PATIENCE_S, self._patience_s + len(body) / _BODY_RATE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._comes = False
        if not self._is_served:  # answered long ago; the next request may start
            self._waits_since_s = self.config.connections.now_s()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        self._has_begun = False
        if self._comes and not self._is_served:  # answered early; the body must end
            self._waits_since_s = self.config.connections.now_s()

    def timeout_keep_alive_handler(self) -> None:
        """See uvicorn; closes a little later, as the next request may wait to be read."""
        close = super().timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(_READ_FIRST_S, close)

    def send_400_response(self, msg: str) -> None:
        """See uvicorn."""
        self._has_begun = True
        self.end(_MALFORMED)

    def look(self, now_s: float, passed_s: float) -> None:
        """End the connection if it makes us wait too long.

        Args:
            now_s: see ``Connections.now_s``.
            passed_s: time since the last check.
        """
        if self.flow.write_paused or self.transport.is_closing():
            self._look_at_answer(now_s)
        else:
            self._unread_since_s = None
        if self._has_ended:
            return
        if not self._is_served:
            since_s, most_s = self._waits_since_s, self.config.connections.limits.header_s
            if since_s is not None and now_s - since_s > most_s:
                self.end(_SLOW)
        elif self._comes and not (self.flow.read_paused or self.cycle.waiting_for_100_continue):
            self._patience_s -= passed_s
            if self._patience_s < 0:
                self.end(_SLOW)

    def _look_at_answer(self, now_s: float) -> None:
        unwritten = self.transport.get_write_buffer_size()
        if self._unread_since_s is None or unwritten != self._unwritten:
            self._unread_since_s, self._unwritten = now_s, unwritten
        elif now_s - self._unread_since_s > _UNREAD_S:
            self._has_ended = True
            self.config.connections.ended(_UNREAD)
            self.transport.abort()

    def end(self, why: ApiError) -> None:
        """Close; send the reason first if a request waits and no response has begun."""
        if self._has_ended:
            return
        self._has_ended = True
        self.config.connections.ended(str(why.status))
        self._unset_keepalive_if_required()
        began = False
        if self._is_served:
            began = self.cycle.response_started
            self.cycle.disconnected = True  # so that its handler notices
            self.cycle.message_event.set()
        if self._has_begun and not began:
            self.transport.write(_raw(why))
        self.transport.close()


def _raw(why: ApiError) -> bytes:
    """Encode the whole response as bytes."""
    made = respond(why)
    headers = {**made.headers, **DATA_HEADERS, "connection": "close"}
    lines = [f"HTTP/1.1 {why.status} Refused", *(f"{name}: {one}" for name, one in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + bytes(made.body)
