"""The applications of both accounts: one real server, which answers well, late, badly or never."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web
from twilio.request_validator import RequestValidator

from tests import application as any_application
from tests.application import Told
from tests.chaos.world import SETTINGS, TOKENS, WAYS, path_of

_FAILS, _NEVER, _LATE = 0.05, 0.03, 0.1  # of the requests
_LATE_S = (0.1, 1.0)


class Delivery(NamedTuple):
    """A request's meaning: every part of it must be as it is due."""

    path: str
    account: str
    sid: str
    sender: str | None
    recipient: str
    service: str | None
    said: tuple[str, str | None]  # body and OptOutType; of a status, that and its error


def delivery_of(path: str, parameters: Mapping[str, str]) -> Delivery:
    """The meaning of a request with these parameters."""
    inbound = parameters.get("SmsStatus") == "received"
    ends = ("To", "From") if inbound else ("From", "To")
    said = ("Body", "OptOutType") if inbound else ("MessageStatus", "ErrorCode")
    return Delivery(
        path,
        parameters["AccountSid"],
        parameters["MessageSid"],
        parameters.get(ends[0]),
        parameters[ends[1]],
        parameters.get("MessagingServiceSid"),
        (parameters[said[0]], parameters.get(said[1])),
    )


@dataclass(slots=True)
class Asked:
    """The requests that made one delivery."""

    count: int = 0
    answered: int = 0  # with 200
    tokens: set[str] = field(default_factory=set)  # `I-Twilio-Idempotency-Token`
    unsigned: int = 0  # not signed with its account's token


class Applications:
    """The requests to the applications.

    Args:
        seed: of how requests are answered.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"application {seed}")
        self.asked: dict[Delivery, Asked] = defaultdict(Asked)
        self.base = self.nowhere = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many requests there were, and how many were answered well."""
        asked = self.asked.values()
        return {
            "webhook_requests": sum(one.count for one in asked),
            "webhook_requests_answered": sum(one.answered for one in asked),
        }

    async def answer(self, told: Told) -> web.Response:
        """Note a request and answer it."""
        path = path_of(told.url)
        asked = self.asked[delivery_of(path, told.fields)]
        asked.count += 1
        asked.tokens.add(told.headers.get("I-Twilio-Idempotency-Token", ""))
        if not _is_signed(path, told):
            asked.unsigned += 1
        chance = self._chance.random()
        if chance < _FAILS:
            return web.Response(status=500)
        if chance < _FAILS + _NEVER:
            await asyncio.sleep(2 * SETTINGS["webhook_timeout_s"])
            return web.Response(status=503)  # to nobody, who waited
        if chance < _FAILS + _NEVER + _LATE:
            await asyncio.sleep(self._chance.uniform(*_LATE_S))
        asked.answered += 1
        return web.Response()


def _is_signed(path: str, told: Told) -> bool:
    """Whether a request is signed by the account whose application it goes to."""
    fields = told.fields if told.method == "POST" else {}
    validator = RequestValidator(TOKENS[path.split("/")[1]])
    signature = told.headers.get("X-Twilio-Signature", "")
    return bool(validator.validate(told.url, fields, signature))


@asynccontextmanager
async def applications(seed: int) -> AsyncIterator[Applications]:
    """Serve them on a port of their own."""
    made = Applications(seed)
    async with any_application.application() as served:

        async def answer(told: Told) -> web.Response:
            served.told.clear()  # noted here, and it would grow all the while
            return await made.answer(told)

        paths = {path for way in WAYS.values() for path in (way.inbound, way.status) if path}
        paths |= {path.replace("/inbound", "/fallback") for path in paths}
        served.answers = dict.fromkeys(paths, answer)
        made.base = f"http://127.0.0.1:{served.port}"
        made.nowhere = f"http://127.0.0.2:{served.port}"  # where nobody listens
        yield made
