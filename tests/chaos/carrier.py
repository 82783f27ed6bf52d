"""The carrier of some senders: a real server that takes messages, refuses, hangs, or answers late.

It records each request when it comes. An answer that never arrives is the worst: the carrier has
taken the message, and the worker does not know.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web

from tests import application as any_application
from tests.application import Told
from tests.chaos.world import ACCOUNTS, CARRIED, SETTINGS

_BUSY, _FAILS, _NEVER, _UNHEARD, _LATE = 0.05, 0.05, 0.02, 0.02, 0.1  # of the requests
_LATE_S = (0.1, 1.0)
KEY = "Idempotency-Key"


class Handed(NamedTuple):
    """A request: a message, and by which key the carrier knows it again."""

    account: str
    key: str
    sender: str
    to: str
    body: str


@dataclass(slots=True)
class Times:
    """When one message was handed over, monotonic seconds."""

    asked: list[float] = field(default_factory=list)
    taken: int = 0


class Carrier:
    """The requests that the carriers of both accounts got.

    Args:
        seed: determines how requests are answered.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"carrier {seed}")
        self.handed: dict[Handed, Times] = {}
        self.answers: Counter[str] = Counter()
        self.base = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many requests there were, how they were answered, and how many were repeats."""
        repeated = sum(max(0, one.taken - 1) for one in self.handed.values())
        answers = {f"carrier_requests_{name}": count for name, count in self.answers.items()}
        return {"carrier_messages": len(self.handed), "carrier_repeats": repeated, **answers}

    async def answer(self, account: str, told: Told) -> web.Response:
        """Record a request and answer it."""
        fields = told.fields
        handed = Handed(
            account, told.headers.get(KEY, ""), fields["from"], fields["to"], fields["body"]
        )
        times = self.handed.setdefault(handed, Times())
        times.asked.append(time.monotonic())
        what = self._what()
        self.answers[what] += 1
        times.taken += what in ("taken", "taken_late", "taken_unheard")
        match what:
            case "busy":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "failed":
                return web.Response(status=500)
            case "taken_late":
                await asyncio.sleep(self._chance.uniform(*_LATE_S))
            case "never" | "taken_unheard":
                await asyncio.sleep(2 * SETTINGS["carrier_timeout_s"])
            case _:
                pass
        return web.Response()

    def _what(self) -> str:
        kinds = ("busy", "failed", "never", "taken_unheard", "taken_late")
        chances = (_BUSY, _FAILS, _NEVER, _UNHEARD, _LATE)
        return self._chance.choices((*kinds, "taken"), (*chances, 1 - sum(chances)))[0]

    def documents(self) -> list[dict[str, Any]]:
        """The documents of `carriers.yaml`: one carrier for each account."""
        return [_document(self.base, account) for account in ACCOUNTS]


def _document(base: str, account: str) -> dict[str, Any]:
    sent: Mapping[str, str] = {"from": "{from}", "to": "{to}", "body": "{body}"}
    return {
        "name": f"carrier-{account[-1]}",
        "provider": "generic",
        "account_sid": account,
        "senders": list(CARRIED[account]),
        "api_url": f"{base}/{account}",
        "secrets": {},
        "answers": [],
        "mapping": {"sending": {"headers": {KEY: "{sid}"}, "form": dict(sent)}},
    }


@asynccontextmanager
async def carrier(seed: int) -> AsyncIterator[Carrier]:
    """Serve them on a port of their own."""
    made = Carrier(seed)
    async with any_application.application() as served:

        async def answer(told: Told) -> web.Response:
            served.told.clear()  # recorded here; the list would only grow
            return await made.answer(told.path.strip("/"), told)

        served.answers = {f"/{account}": answer for account in ACCOUNTS}
        made.base = f"http://127.0.0.1:{served.port}"
        yield made
