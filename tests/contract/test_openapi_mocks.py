"""Mocks that Prism makes of providers' OpenAPI documents take our sends, not wrong sends.

Twilio's document comes with its npm package. Telnyx and Meta publish theirs in repositories only:
``OPTOUT_OPENAPI`` may name a folder with ``telnyx.json`` and ``whatsapp.yaml``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest
import pytest_asyncio

from processor.carriers.adapter import Accepted, Call, Connection, Outcome, Rejected, Response, Send
from processor.carriers.providers import ADAPTERS
from processor.webhooks.client import Client, Limits
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Overrides
from tests.builders import LONG_CODE, RECIPIENT
from tests.carriers import HOST, a_connection
from tests.prism import installed, mocking, names_of, reduced

pytestmark = [
    pytest.mark.needs_more,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not shutil.which("npm"), reason="npm is not installed; on Debian: apt-get install -y npm"
    ),
]

_TWILIOS = Path("@twilio-alpha/mcp/twilio-oai/spec/json/twilio_api_v2010.json")
_PATHS = {
    "twilio": "/2010-04-01/Accounts/{AccountSid}/Messages.json",
    "telnyx": "/messages",
    "whatsapp": "/{Version}/{Phone-Number-ID}/messages",
}
_OTHERS = {"telnyx": "telnyx.json", "whatsapp": "whatsapp.yaml"}


def _given() -> list[str]:
    folder = Path(os.environ.get("OPTOUT_OPENAPI", "/nowhere"))
    return ["twilio", *(one for one, file in _OTHERS.items() if (folder / file).exists())]


async def _document(provider: str) -> Path:
    if provider == "twilio":
        return await installed() / _TWILIOS
    return Path(os.environ["OPTOUT_OPENAPI"]) / _OTHERS[provider]


@dataclass
class Mock:
    """A provider's mock, and the lane's client."""

    connection: Connection
    client: Client
    names: frozenset[str]  # of the fields of a request

    def call(self, **changes: object) -> Call:
        """The request for a send, as the lane builds it."""
        prefix = "whatsapp:" if self.connection.provider == "whatsapp" else ""
        sender = self.connection.senders[prefix + LONG_CODE]
        send = Send("SM1", sender, prefix + RECIPIENT, "Tomorrow at 9.")
        return ADAPTERS[self.connection.provider].build(replace(send, **changes), self.connection)  # type: ignore[arg-type]

    async def outcome(self, call: Call) -> Outcome:
        """The outcome of a request."""
        request = Request(call.method, call.url, call.headers, call.body, Overrides())
        answer = await self.client.call(request)
        assert isinstance(answer, Answered), answer
        response = Response(answer.status, answer.body or b"")
        return ADAPTERS[self.connection.provider].outcome(response, self.connection)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=_given())
async def mock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mock]:
    provider: str = request.param
    document = reduced(await _document(provider), _PATHS[provider])
    client = Client([ip_network("127.0.0.0/8")], Limits(5, 30))
    async with mocking(document, tmp_path_factory.mktemp(provider)) as url:
        yield Mock(a_connection(provider, api_url=url), client, names_of(document))
    await client.close()


# Meta's document has no image that both parts of its schema allow. It lacks
# `biz_opaque_callback_data`, which Meta's reference of messages has.
_NOT_ITS = {"whatsapp": {"media_urls", "reference"}}
_SENDS = {
    "a text": {},
    "other letters": {"body": "Ünï 退订 & <code>"},
    "a medium": {"media_urls": ("https://a.b/c.png",)},
    "no text": {"body": "", "media_urls": ("https://a.b/c.png",)},
    "reports": {"status_url": f"{HOST}/carriers/twilio-1?ref=abc", "reference": "abc"},
}


@pytest.mark.parametrize("send", _SENDS.values(), ids=_SENDS.keys())
async def test_it_takes_our_sends(mock: Mock, send: dict[str, object]) -> None:
    if _NOT_ITS.get(mock.connection.provider, set()) & send.keys():
        return
    outcome = await mock.outcome(mock.call(**send))
    assert isinstance(outcome, Accepted), outcome


def _fields_of(call: Call) -> dict[str, object]:
    is_form = "form" in call.headers["Content-Type"]
    fields: dict[str, object] = (
        dict(parse_qsl((call.body or b"").decode()))
        if is_form
        else orjson.loads(call.body or b"{}")
    )
    return fields


@pytest.mark.parametrize("send", _SENDS.values(), ids=_SENDS.keys())
async def test_the_document_names_every_field(mock: Mock, send: dict[str, object]) -> None:
    if _NOT_ITS.get(mock.connection.provider, set()) & send.keys():
        return
    # Prism passes over fields of a form that it does not know.
    assert set(_fields_of(mock.call(**send))) <= mock.names


def _changed(call: Call, name: str, value: str | None) -> Call:
    """A request with another field, or without it."""
    given = {**_fields_of(call), name: value}
    left = {key: one for key, one in given.items() if one is not None}
    is_form = "form" in call.headers["Content-Type"]
    return replace(call, body=urlencode(left).encode() if is_form else orjson.dumps(left))


_WRONG = {
    "twilio": [("To", None), ("StatusCallback", "no address")],
    "telnyx": [("to", None), ("webhook_url", "no address")],
    "whatsapp": [("messaging_product", None), ("type", "telepathy")],
}


async def test_it_refuses_a_send_without_a_field_or_with_a_wrong_one(mock: Mock) -> None:
    for name, value in _WRONG[mock.connection.provider]:
        outcome = await mock.outcome(_changed(mock.call(), name, value))
        assert isinstance(outcome, Rejected), (name, outcome)
