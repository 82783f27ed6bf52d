"""Every address that the API is given is one that requests can be made to, or is refused there."""

from __future__ import annotations

from typing import Any

import httpx

from processor.config import Settings
from processor.kafka.client import Outgoing
from processor.wire.services import write_stored
from tests.api import Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT, SERVICE, WHATSAPP_SENDER
from tests.installation import Installation, running, until
from tests.integration.test_api_flow import BASE, with_a_number
from tests.integration.test_configuration import a_service
from tests.integration.test_flow import a_text

BAD = [
    "http://[",
    "http://a℀b.com",
    "http://example.com:65536/",
    "http://example.com:22/",
    "http://exam\x00ple.com/",
    "http://user@host@example.com/",
    "http://example.com\\@evil.example/",
    "http://xn--a.com/",
]
NUMBERS = f"{BASE}/IncomingPhoneNumbers"
MESSAGE = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
NEW_NUMBER = {"PhoneNumber": "+15550001111"}
NEW_CODE = {"ShortCode": "54321"}
FORMS: list[tuple[str, dict[str, str], dict[str, int]]] = [
    (f"{BASE}/Messages.json", MESSAGE, {"StatusCallback": 21609, "MediaUrl": 21620}),
    (
        "/v1/Services",
        {"FriendlyName": "One"},
        {"InboundRequestUrl": 21402, "FallbackUrl": 30122, "StatusCallback": 21609},
    ),
    (
        "/v1/Services/{service}",
        {},
        {"InboundRequestUrl": 21402, "FallbackUrl": 30122, "StatusCallback": 21609},
    ),
    *(
        (path, form, {"SmsUrl": 21402, "SmsFallbackUrl": 30122, "StatusCallback": 21609})
        for path, form in (
            (f"{NUMBERS}.json", NEW_NUMBER),
            (f"{NUMBERS}/{{number}}.json", {}),
            (f"{BASE}/SMS/ShortCodes.json", NEW_CODE),
        )
    ),
]
WEBHOOK = {"callback_url": 21402, "fallback_url": 30122, "status_callback_url": 21609}


async def everything(api: Api) -> list[Any]:
    """The account's stored data now."""
    paths = ("/v1/Services", f"{NUMBERS}.json", f"{BASE}/SMS/ShortCodes.json")
    return [
        (await api.ask("GET", path)).json()
        for path in (*paths, f"{BASE}/Messages.json", "/v2/Channels/Senders")
    ]


def assert_refused(answer: httpx.Response, field: str, code: int) -> None:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, code), (answer.request.url.path, body)
    assert body["message"].startswith(f"{field}")
    assert "example" not in body["message"].replace("example.com/path", "")


async def test_an_address_that_cannot_be_asked_is_refused_by_its_code(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with serving(settings) as api:
        made = {
            "number": await with_a_number(api),
            "service": (
                await api.ask("POST", "/v1/Services", data={"FriendlyName": "Clinic"})
            ).json()["sid"],
        }
        before = await everything(api)
        for url in BAD:
            for path, form, fields in FORMS:
                for field, code in fields.items():
                    data = {**form, field: url}
                    answer = await api.ask("POST", path.format(**made), data=data)
                    assert_refused(answer, field, code)
            for field, code in WEBHOOK.items():
                given = {"sender_id": WHATSAPP_SENDER, "webhook": {field: url}}
                answer = await api.ask("POST", "/v2/Channels/Senders", json=given)
                assert_refused(answer, field, code)
        assert await everything(api) == before
        # The second of several is looked at as well as the first.
        media = {**MESSAGE, "MediaUrl": ["https://example.com/a", BAD[0]]}
        answer = await api.ask("POST", f"{BASE}/Messages.json", data=media)
        assert_refused(answer, "MediaUrl", 21620)
    assert await at.records(at.topics.outbound_messages) == []


async def test_a_service_that_holds_such_an_address_all_the_same_is_read_and_mended(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    bad = dict.fromkeys(("inbound_request_url", "fallback_url", "status_callback"), BAD[0])
    stored = a_service(SERVICE, senders=[{"address": LONG_CODE}]).model_copy(update=bad)
    alone = Installation(settings.model_copy(update={"partitions": 1}))
    await alone.write_raw(
        Outgoing(at.topics.messaging_services, SERVICE.encode(), write_stored(stored))
    )
    async with running(settings) as worker, serving(settings) as api:
        path = f"/v1/Services/{SERVICE}"
        assert (await api.ask("GET", path)).json()["inbound_request_url"] == BAD[0]

        async def is_followed() -> bool:
            return SERVICE in worker.services.directory.services

        await until(is_followed, "service")
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        sets = {"STOP": {"keywords": ["stop"], "reply": "You are out. START to return."}}
        draft = f"/v3/OptOuts/OO{SERVICE[2:]}"
        saved = await api.ask("PUT", draft, json={"standard": sets})
        assert saved.status_code == 200, saved.text
        form = {"InboundRequestUrl": "https://example.com/in", "FallbackUrl": ""}
        mended = (await api.ask("POST", path, data=form)).json()
        assert mended["inbound_request_url"] == "https://example.com/in"
        assert mended["fallback_url"] is None
        assert mended["status_callback"] == BAD[0]
