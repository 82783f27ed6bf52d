"""A customer's application: a real server that records its requests, and answers as configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from processor.config import Settings
from processor.wire.credentials import Unopened
from tests.builders import OTHER_LONG_CODE
from tests.clinic import CLINIC
from tests.installation import until

TOKEN = "12345"
# Requests that hang do so longer than a test waits, however busy the machine is. That is longer
# than a setting may be, so update a copy with it.
PATIENT: Mapping[str, Any] = {"webhook_timeout_s": 600.0, "watchdog_s": 3_000.0}
SHOP_NUMBER = OTHER_LONG_CODE


@dataclass(frozen=True)
class Told:
    """A request as it arrived."""

    method: str
    url: str
    path: str
    fields: dict[str, str]
    headers: dict[str, str]

    @property
    def message_sid(self) -> str:
        return self.fields["MessageSid"]


Answer = Callable[[Told], Awaitable[web.Response]]


async def nothing(told: Told) -> web.Response:
    return web.Response()


@dataclass
class Application:
    """Answers each path by its own function, other paths with an empty response."""

    answers: dict[str, Answer] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    port: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Told]:
        return [one for one in self.told if one.path == path]

    async def handle(self, request: web.Request) -> web.Response:
        fields = await request.post() if request.method == "POST" else request.query
        told = Told(
            request.method,
            str(request.url),
            request.path,
            {name: str(value) for name, value in fields.items()},
            dict(request.headers),
        )
        self.told.append(told)
        return await self.answers.get(request.path, nothing)(told)


@asynccontextmanager
async def application() -> AsyncIterator[Application]:
    """A server on its own port."""
    made = Application()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


def status(code: int) -> Answer:
    """Answer with a status, and a page."""

    async def answer(told: Told) -> web.Response:
        return web.Response(status=code, text="sorry", headers={"Location": "/elsewhere"})

    return answer


def twiml(text: str) -> Answer:
    """Answer with TwiML."""

    async def answer(told: Told) -> web.Response:
        return web.Response(text=text, content_type="text/xml")

    return answer


class Hanging:
    """Does not answer until it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.hangs = 0

    async def __call__(self, told: Told) -> web.Response:
        self.hangs += 1
        await self.released.wait()
        return web.Response()


class OneToken:
    """Gives every account the same token."""

    async def wait_loaded(self) -> None:
        """Return at once: the token is always known."""

    def token_of(self, account_sid: str) -> str | Unopened | None:
        return TOKEN

    def unopened(self) -> Mapping[str, Unopened]:
        return {}


def allowing(settings: Settings, *roles: str, **changes: object) -> Settings:
    """An installation whose webhooks may go to this machine, and are retried soon."""
    return Settings.model_validate(
        settings.model_dump()
        | {
            "roles": roles or ("match", "gate", "webhooks"),
            "webhook_allow_networks": "127.0.0.0/8",
            "webhook_first_delay_s": 0.05,
            "webhook_longest_delay_s": 0.2,
        }
        | changes
    )


def a_service(app: Application, path: str = "/inbound", **changes: Any) -> dict[str, Any]:
    """The clinic's service, its texts passed to a path of the application."""
    return CLINIC | {"inbound_request_url": app.url(path)} | changes


def a_shop(app: Application, path: str, **changes: Any) -> dict[str, Any]:
    """A service of another account, its texts passed to a path of the application."""
    shop = {"sid": "MGshop", "account_sid": "ACshop", "friendly_name": "Shop"}
    return a_service(app, path, senders=[{"address": SHOP_NUMBER}], **shop | changes)


async def counted(counts: Mapping[str, int], **expected: int) -> None:
    """Wait until outcomes are committed and so counted; dots of names are underscores here.

    Args:
        counts: of the webhooks lane.
        expected: each count.
    """

    def found() -> dict[str, int]:
        names = {name.replace(".", "_"): count for name, count in counts.items()}
        return {name: names.get(name, 0) for name in expected}

    async def enough() -> bool:
        return all(count >= expected[name] for name, count in found().items())

    await until(enough, f"counts {expected}")
    assert found() == expected


async def told_at(app: Application, path: str, count: int) -> list[Told]:
    """The requests to a path, once there were ``count`` of them."""

    async def enough() -> bool:
        return len(app.at(path)) >= count

    await until(enough, f"{count} requests to {path}")
    return app.at(path)
