"""The web server of API and carriers: on shutdown it drains requests and ends endless streams."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from functools import partial
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from processor import certificates
from processor.config import Settings
from processor.errors import ConfigError
from processor.http.connections import LOOK_S, Connection, Connections, WebConfig, limits_of
from processor.metrics import Metrics
from processor.webhooks.addresses import is_loopback

logger = logging.getLogger(__name__)

_TICKS = round(LOOK_S / 0.1)  # uvicorn's ticks between two checks
_SHUTDOWN_S = 5.0  # for TLS to close


class Served(Protocol):
    """The state behind an application, as far as its server needs to know it."""

    def ended(self) -> str:
        """Reasons why this process will never serve again; empty if it may."""
        ...

    def close_streams(self) -> None:
        """End the responses that have no end."""
        ...


class Server(uvicorn.Server):
    """Uvicorn, which waits for open responses on shutdown; streams are ended first.

    It ends when the backend ends, as an API without its followers would serve old data.

    Args:
        config: see ``web_config``.
        backend: that of the application.
    """

    config: WebConfig

    def __init__(self, config: WebConfig, backend: Served) -> None:
        super().__init__(config)
        self._backend = backend

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn, which allows a minute for a TLS handshake."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(3)
        config, loop = self.config, asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return Connection(
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        listen = partial(
            loop.create_server,
            protocol,
            backlog=config.backlog,
            ssl=config.ssl,
            ssl_handshake_timeout=config.connections.limits.header_s if config.ssl else None,
            ssl_shutdown_timeout=_SHUTDOWN_S if config.ssl else None,
        )
        try:
            if sockets:
                self.servers = [await listen(sock=one) for one in sockets]
            else:
                self.servers = [await listen(host=config.host, port=config.port)]
        except OSError as error:
            logger.error("api.cannot_listen", extra={"why": error.strerror or str(error)})
            await self.lifespan.shutdown()
            sys.exit(3)
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn."""
        if counter % _TICKS == 0:
            self.config.connections.look()
        return await super().on_tick(counter) or bool(self._backend.ended())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._backend.close_streams()
        await super().shutdown(sockets)


def web_config(
    app: ASGIApp, settings: Settings, *, host: str, port: int, metrics: Metrics
) -> WebConfig:
    """Make uvicorn's configuration for an application.

    Raises:
        ConfigError: the TLS files cannot be used.
    """
    tls = None
    if settings.api_certfile and settings.api_keyfile:
        try:
            tls = certificates.server_context_of(settings.api_certfile, settings.api_keyfile)
        except OSError as error:
            why = f"OPTOUT_API_CERTFILE, OPTOUT_API_KEYFILE: {error.strerror or error}"
            raise ConfigError([why]) from None
    return WebConfig(
        app,
        Connections(limits_of(settings), metrics),
        host=host,
        port=port,
        log_config=None,
        access_log=False,  # queries contain recipients' addresses
        server_header=False,
        proxy_headers=False,  # ``Forwarded`` reads them from trusted proxies
        timeout_keep_alive=settings.api_keep_alive_s,
        timeout_graceful_shutdown=25,
        ssl_context_factory=(lambda config, usual: tls) if tls else None,
    )


def clear_text(settings: Settings) -> str | None:
    """Return a warning if credentials would travel in clear text, else None."""
    if (
        is_loopback(settings.api_host)
        or settings.api_certfile
        or (settings.public_url or "").startswith("https:")
    ):
        return None
    return (
        f"OPTOUT_API_HOST is {settings.api_host}, but no setting turns on TLS: tokens, which also"
        " sign webhooks, would travel in clear text. Set OPTOUT_API_CERTFILE and"
        " OPTOUT_API_KEYFILE, or set OPTOUT_PUBLIC_URL to the https address of a proxy."
    )
