"""The API under test: served on its own port, and called as a user calls it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr
from twilio.rest import Client

from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.apply import enabled
from processor.configuration.edits import Edit, edit_of_account, edit_of_service
from processor.http.api import create_api
from processor.http.backend import Backend
from processor.http.serving import Server, web_config
from processor.kafka.topics.configuration_writer import configuration
from tests.builders import ACCOUNT, KEY, LONG_CODE, NOW, OPERATOR_TOKEN, TOKEN
from tests.installation import Installation, running, until

_T = TypeVar("_T")


def with_secrets(settings: Settings, **changes: Any) -> Settings:
    """The settings of an installation that has accounts and an operator."""
    secrets = {"secret_keys": SecretStr(KEY), "operator_tokens": SecretStr(OPERATOR_TOKEN)}
    return settings.model_copy(update=secrets | changes)


async def create_accounts(settings: Settings, *sids: str, token: str = TOKEN) -> None:
    """Create accounts that all have the same token."""
    accounts = [new_account(settings, sid, token, "An account") for sid in sids]
    async with configuration(settings) as stored:
        await stored.update(
            lambda: [edit_of_account(None, account) for account in accounts], actor="test"
        )


class Api:
    """A served API, called as one account."""

    def __init__(self, base: str, backend: Backend | None, user: str, password: str) -> None:
        self.base = base
        self._backend = backend
        self.user = user
        self.password = password

    def as_(self, user: str, password: str = TOKEN) -> Api:
        """The same API, called by another user."""
        return Api(self.base, self._backend, user, password)

    @property
    def backend(self) -> Backend:
        """Its backend, if it is served in this process."""
        assert self._backend is not None
        return self._backend

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Make a request; ``data`` is its form."""
        async with httpx.AsyncClient(auth=(self.user, self.password)) as client:
            return await client.request(method, f"{self.base}{path}", timeout=60, **options)

    def twilio(self, account_sid: str = ACCOUNT) -> Client:
        """Twilio's own client, pointed here as processor/http/README.md says."""
        client = Client(self.user, self.password, account_sid)
        for domain in (client.api, client.messaging, client.accounts):
            domain.base_url = self.base
        return client


def _listening(port: int) -> socket.socket:
    """A socket whose connections answer at once.

    `socket.create_server` does not say that its protocol is TCP, so asyncio leaves the delay of
    small packets on: 40 ms for each request on a connection that stays open.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(128)
    return made


@asynccontextmanager
async def serving(
    settings: Settings, *, user: str = ACCOUNT, password: str = TOKEN, port: int = 0
) -> AsyncIterator[Api]:
    """The API on a port (0: a free port); it is ready, and stops as on SIGTERM."""
    api = create_api(settings)
    with _listening(port) as listening:
        backend: Backend = api.state.backend
        server = Server(
            web_config(api, settings, host=settings.api_host, port=port, metrics=backend.metrics),
            backend,
        )
        serving = asyncio.create_task(server.serve([listening]))
        try:

            async def ready() -> bool:
                return backend.unready() == []

            await until(ready, "API that is ready")
            port = listening.getsockname()[1]
            yield Api(f"http://127.0.0.1:{port}", backend, user, password)
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def all_running(settings: Settings) -> AsyncIterator[Api]:
    """A worker and the API, once every part of the block list can be trusted."""
    async with running(settings), serving(settings) as api:
        numbers = [f"+1555{number:07}" for number in range(20 * settings.partitions)]

        async def is_whole() -> bool:
            answer = await api.ask("POST", "/v1/OptOuts/Check", json={"recipients": numbers})
            return answer.status_code == 200

        await until(is_whole, "block list that is whole")
        yield api


async def blocking(call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
    """Run a call of Twilio's client, which waits for its responses, in a thread."""
    return await asyncio.to_thread(call, *arguments, **named)


async def enable(settings: Settings, sid: str) -> None:
    """Enable Advanced Opt-Out of a service, as `optout services enable` does."""
    async with configuration(settings) as stored:

        def decide() -> list[Edit]:
            service = stored.services.get(sid)
            assert service is not None
            before = service.whole()
            return [edit_of_service(before, enabled(before, now=datetime.now(UTC)))]

        await stored.update(decide, actor="test")


async def carrier_says(at: Installation, send: dict[str, Any], status: str) -> None:
    """Let the carrier report the status of a send."""
    kept = ("message_sid", "account_sid", "messaging_service_sid", "to")
    told = {name: send[name] for name in kept} | {"from": LONG_CODE, "status": status, "at": NOW}
    await at.write(at.topics.message_statuses, told)


BASE = f"/2010-04-01/Accounts/{ACCOUNT}"


async def post(api: Api, what: str, **given: Any) -> Any:
    """The response of an opt-out resource to a JSON request."""
    return await api.ask("POST", f"/v1/OptOuts/{what}", json=given)


async def with_a_number(api: Api) -> str:
    """Create a number of the account; return its sid."""
    form = {"PhoneNumber": LONG_CODE}
    made = await api.ask("POST", f"{BASE}/IncomingPhoneNumbers.json", data=form)
    assert made.status_code == 201
    return str(made.json()["sid"])
