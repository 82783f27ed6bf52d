"""accounts.v1 in bulk: consents become commands, and each item has its own answer."""

from __future__ import annotations

import json

import pytest

from processor.config import Settings
from processor.core.messages import Scope
from tests.api import Api, blocking, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT, RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running, topics_apart

SID = "MG" + "0" * 32
CORRELATION = "ad388b5a46b33b874b0d41f7226db2ef"


def a_consent(**changes: str) -> dict[str, str]:
    consent = {
        "contact_id": RECIPIENT,
        "correlation_id": CORRELATION,
        "sender_id": SID,
        "status": "opt-out",
        "source": "website",
        "date_of_consent": "2026-11-02T12:00:00Z",
    }
    return consent | changes


async def told(
    api: Api, *items: object, path: str = "/v1/Consents/Bulk"
) -> list[dict[str, object]]:
    answer = await api.ask("POST", path, data={"Items": [json.dumps(item) for item in items]})
    body = answer.json()
    assert (answer.status_code, set(body)) == (201, {"items"})
    found: list[dict[str, object]] = body["items"]
    return found


@pytest.mark.parametrize("scope", Scope)
async def test_an_opt_in_overrides_a_stop_of_any_scope(settings: Settings, scope: Scope) -> None:
    settings = with_secrets(settings, block_scope=scope)
    await configure(settings, CLINIC | {"sid": SID})
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with running(settings), serving(settings) as api:
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.block_changes, 1)
        await topics_apart()
        consents = api.twilio().accounts.v1.bulk_consents
        made = await blocking(consents.create, items=[a_consent(status="opt-in")])
        assert [item["error_code"] for item in made.items] == [0]
        await at.wait_for(at.topics.block_changes, 2)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
    changes = await at.values(at.topics.block_changes)
    assert [(one["blocked"], one["cause"]["source"]) for one in changes] == [
        (True, "keyword"),
        (False, "consent-website"),
    ]


async def test_an_opt_out_blocks_the_service_or_the_sender_it_names(settings: Settings) -> None:
    settings = with_secrets(settings)
    await configure(settings, CLINIC | {"sid": SID})
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with serving(settings) as api:
        answers = await told(api, a_consent(), a_consent(sender_id=LONG_CODE))
    assert answers == 2 * [{"correlation_id": CORRELATION, "error_code": 0, "error_messages": []}]
    commands = await at.values(at.topics.consent_commands)
    assert [(one["scope"], one["messaging_service_sid"], one["sender"]) for one in commands] == [
        ("service", SID, None),
        ("sender", None, LONG_CODE),
    ]
    assert {(one["reason"], one["actor"], one["claimed_source"]) for one in commands} == {
        ("opt-out by the Consents API (website)", ACCOUNT, "website")
    }


async def test_a_wrong_item_says_what_is_wrong_and_the_others_count(settings: Settings) -> None:
    settings = with_secrets(settings)
    await configure(settings, CLINIC | {"sid": SID})
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    at = Installation(settings)
    async with serving(settings) as api:
        wrong = {
            "contact_id": "nobody",
            "correlation_id": "",
            "sender_id": "MG" + "1" * 32,
            "status": "perhaps",
            "source": "rumour",
            "date_of_consent": "2999-01-01T00:00:00Z",
        }
        answers = await told(api, *(a_consent(**{name: value}) for name, value in wrong.items()), 1)
        assert [answer["error_messages"] for answer in answers] == [
            *([f"INVALID_{name.upper()}"] for name in wrong),
            ["INVALID_CORRELATION_ID"],
        ]
        assert {answer["error_code"] for answer in answers} == {30646}
        [theirs] = await told(api.as_(OTHER_ACCOUNT), a_consent())
        assert theirs["error_messages"] == ["INVALID_SENDER_ID"]
        contact = {"contact_id": RECIPIENT, "correlation_id": CORRELATION, "zip_code": "12345"}
        good, bad = await told(
            api,
            contact | {"country_iso_code": "US"},
            contact | {"country_iso_code": "Utopia"},
            path="/v1/Contacts/Bulk",
        )
        assert (good["error_code"], bad["error_code"], bad["error_messages"]) == (
            *(0, 30647),
            ["INVALID_COUNTRY_ISO_CODE"],
        )
        many = {"Items": [json.dumps(a_consent())] * 26}
        refused = await api.ask("POST", "/v1/Consents/Bulk", data=many)
        assert (refused.status_code, refused.json()["code"]) == (400, 20001)
    assert await at.records(at.topics.consent_commands) == []
