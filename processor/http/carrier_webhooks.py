"""The application that providers call: a route for each carrier, acknowledged once Kafka has all.

It is plain ASGI, as most of a provider's requests hold a single message.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from processor import clocks
from processor.carriers.adapter import Adapter, Answer, Connection, Request
from processor.carriers.providers import ADAPTERS
from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.http.carrier_backend import CarrierBackend
from processor.http.carrier_requests import records_of
from processor.http.protection import Forwarded
from processor.metrics import CONTENT_TYPE, is_reader
from processor.webhooks.addresses import is_loopback

PREFIX = "/carriers/"
_METHODS = ("GET", "POST")
_UNKNOWN = "unknown"  # label for other carriers: a client may name any number
_NO_ROUTE = Answer(404)
_NOT_THIS_METHOD = Answer(405)
_TOO_LARGE = Answer(413)
_UNSIGNED = Answer(401)  # without detail: the sender may be anyone
_LATER = Answer(503, b"later")
_ERRORS = {
    "unsigned": "a request with a wrong signature or secret (401)",
    "too_large": "a request above OPTOUT_CARRIERS_MAX_BYTES (413)",
    "method": "a request that is neither GET nor POST (405)",
    "unavailable": "a request that Kafka did not store, or before a secret was known (503)",
}
_UNREADABLE = "a part that cannot be read: a dead letter has it"
"""The words of the console for a result that a person should see."""


class _Gone(Exception):
    """The client left before its request was whole."""


class CarrierWebhooks:
    """Serves providers, and this process's own health and metrics.

    Args:
        backend: kept alive while the application runs.
    """

    def __init__(self, backend: CarrierBackend) -> None:
        self._backend = backend
        self._settings = backend.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except _Gone:
                return
            await _respond(send, answer, head=scope["method"] == "HEAD")

    async def _live(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    await stack.enter_async_context(self._backend.running())
                    await send({"type": "lifespan.startup.complete"})
                else:
                    await stack.aclose()
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path: str = scope["path"]
        if path.startswith(PREFIX):
            began = time.perf_counter()
            name = path[len(PREFIX) :]
            result, answer = await self._of_carrier(name, scope, receive)
            self._count(name, result)
            self._backend.metrics.carrier_request_seconds.observe(time.perf_counter() - began)
            return answer
        return self._own_page(path, scope)

    def _count(self, name: str, result: str) -> None:
        backend = self._backend
        is_known = backend.view.carriers.get(name) is not None
        label = name if is_known else _UNKNOWN
        backend.metrics.carrier_requests.labels(label, result).inc()
        if not is_known:
            return
        backend.tally.count(name, result)
        if why := _ERRORS.get(result):
            backend.tally.error(name, why, clocks.now_ms())

    async def _of_carrier(self, name: str, scope: Scope, receive: Receive) -> tuple[str, Answer]:
        """The result, in a word, and the response."""
        backend = self._backend
        if not backend.view.topic.loaded:
            return "unavailable", _LATER  # it may be a carrier's name
        connection = backend.view.carriers.get(name)
        if connection is None:
            return _UNKNOWN, _NO_ROUTE
        if connection.closed:
            return "unavailable", _LATER  # until a person gives this process the key
        if scope["method"] not in _METHODS:
            return "method", _NOT_THIS_METHOD
        body = await _body(receive, self._settings.carriers_max_bytes)
        if body is None:
            return "too_large", _TOO_LARGE
        request = _request(scope, body, self._settings.carriers_url)
        adapter = ADAPTERS[connection.provider]
        if (challenge := adapter.challenge(request, connection)) is not None:
            return ("challenge" if challenge.status == 200 else "unsigned"), challenge
        if not adapter.verify(request, connection, clocks.now_s()):
            return "unsigned", _UNSIGNED
        return await self._store(adapter, request, connection)

    async def _store(
        self, adapter: Adapter, request: Request, connection: Connection
    ) -> tuple[str, Answer]:
        backend = self._backend
        stored = records_of(
            adapter.parse(request, connection), connection, backend.topics, now_ms=clocks.now_ms()
        )
        try:
            if stored.records:
                await backend.store(stored.records)
        except BrokerUnavailable:
            return "unavailable", _LATER
        for kind, count in stored.counts.items():
            if count:
                backend.metrics.carrier_events.labels(connection.name, kind).inc(count)
                backend.tally.count(connection.name, kind, count)
        if stored.counts["unreadable"]:
            backend.tally.error(connection.name, _UNREADABLE, clocks.now_ms())
        return "accepted", adapter.answer

    def _own_page(self, path: str, scope: Scope) -> Answer:
        backend = self._backend
        match path:
            case "/livez":
                return _json({"alive": not backend.ended()}, well=not backend.ended())
            case "/readyz":
                reasons = backend.unready()
                return _json({"ready": not reasons, "reasons": reasons}, well=not reasons)
            case "/metrics" if self._may_read(scope):
                return Answer(200, backend.metrics.text(), CONTENT_TYPE)
            case "/metrics":
                return _UNSIGNED
            case _:
                return _NO_ROUTE

    def _may_read(self, scope: Scope) -> bool:
        token = self._settings.metrics_token
        if token is None:
            return is_loopback(self._settings.carriers_host)
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        return is_reader(given, token.get_secret_value())


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None if it is too large.

    Raises:
        _Gone: the client left.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _request(scope: Scope, body: bytes, public_url: str | None) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    path = scope.get("raw_path") or scope["path"].encode()
    base = public_url or f"{scope['scheme']}://{headers.get('host', '')}"
    url = base + path.decode("latin-1") + (f"?{query}" if query else "")
    return Request(scope["method"], url, query, headers, body)


def _json(value: object, *, well: bool) -> Answer:
    return Answer(200 if well else 503, orjson.dumps(value), "application/json")


async def _respond(send: Send, answer: Answer, *, head: bool) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def create_carrier_webhooks(settings: Settings) -> tuple[ASGIApp, CarrierBackend]:
    """Build the application and the state behind it; it connects on startup."""
    backend = CarrierBackend(settings)
    return Forwarded(CarrierWebhooks(backend), settings.trusted_proxies), backend
