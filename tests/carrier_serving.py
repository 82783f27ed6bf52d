"""`optout carriers` in this process, and carriers in its topic."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from processor.carriers.adapter import Request
from processor.config import Settings
from processor.configuration.accounts import sealing_keys
from processor.configuration.carriers import about, apply
from processor.configuration.edits import edit_of_carrier
from processor.http.carrier_backend import CarrierBackend
from processor.http.carrier_webhooks import create_carrier_webhooks
from processor.http.serving import Server, web_config
from processor.kafka.topics.configuration_writer import configuration
from processor.wire.credentials import seal
from tests.builders import KEY
from tests.carriers import HOST, SECRETS
from tests.installation import until


def with_carriers(settings: Settings, **more: Any) -> Settings:
    """Settings with a key to seal secrets with, and the address that providers call."""
    return Settings(**settings.model_dump() | {"secret_keys": KEY, "carriers_url": HOST} | more)


async def store(settings: Settings, *documents: dict[str, Any]) -> None:
    """Store carriers; their secrets are those of ``tests.carriers``, sealed, or from ``variables``.

    Args:
        settings: of the installation.
        documents: those of ``a_document``, perhaps with ``variables``: a variable by secret.
    """
    given = []
    for one in documents:
        variables = {name: {"env": variable} for name, variable in one.get("variables", {}).items()}
        fields = {name: value for name, value in one.items() if name != "variables"}
        given.append({**fields, "secrets": {**SECRETS[one["provider"]], **variables}})
    async with configuration(settings) as stored:
        before = dict(stored.carriers.stored())
        applied = apply(
            given,
            before,
            now=datetime.now(UTC),
            actor="test",
            seal=lambda secret, name: seal(secret, sealing_keys(settings)[0], about=about(name)),
        )
        assert not applied.problems, applied.problems
        await stored.update(
            lambda: [
                edit_of_carrier(before.get(one.name), one) for one in applied.changed.values()
            ],
            actor="test",
        )


@dataclass
class Edge:
    """The served carriers."""

    url: str
    backend: CarrierBackend
    session: aiohttp.ClientSession

    async def ask(self, request: Request) -> tuple[int, bytes]:
        """The status and body of the response to a provider's request."""
        url = self.url + request.url.removeprefix(HOST)
        async with self.session.request(
            request.method, url, data=request.body, headers=dict(request.headers)
        ) as answer:
            return answer.status, await answer.read()

    async def knows(self, *names: str) -> None:
        """Wait until it serves these carriers."""

        async def all_known() -> bool:
            carriers = self.backend.view.carriers
            return not self.backend.unready() and all(carriers.get(name) for name in names)

        await until(all_known, f"carriers {', '.join(names)}", pause_s=0.05)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Edge]:
    """Serve the carriers of an installation."""
    app, backend = create_carrier_webhooks(settings)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        config = web_config(app, settings, host="127.0.0.1", port=0, metrics=backend.metrics)
        server = Server(config, backend)
        serving_ = asyncio.create_task(server.serve([listening]))
        try:

            async def started() -> bool:
                return server.started

            await until(started, "server", pause_s=0.01)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            async with aiohttp.ClientSession() as session:
                yield Edge(url, backend, session)
        finally:
            server.should_exit = True
            await serving_
