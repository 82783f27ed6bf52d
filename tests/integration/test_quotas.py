"""Limits of an account: one item too many is refused everywhere, and nothing is written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from processor.config import Settings
from processor.configuration.quotas import Quota
from processor.kafka.client import read_whole
from processor.stores.messages import Messages
from processor.stores.redis_client import redis_client
from processor.wire.topics import Topics
from tests.api import KEY, OPERATOR_TOKEN, TOKEN, Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT, OTHER_LONG_CODE, RECIPIENT, TOLL_FREE
from tests.integration.conftest import Command
from tests.integration.test_flow import CLINIC
from tests.integration.test_live_stream import send_form, signed_in

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"


async def records_of(settings: Settings) -> int:
    """How many records the topics of the configuration have."""
    topics = Topics.under(settings.topic_prefix)
    count = 0
    for topic in (topics.messaging_services, topics.numbers, topics.configuration_changes):
        async for _ in read_whole(settings, topic, partitions=[0]):
            count += 1
    return count


async def asked(api: Api, path: str, code: int = 0, **form: str) -> dict[str, Any]:
    """The answer to a form: 201, or 400 with a code."""
    answer = await api.ask("POST", path, data=form)
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body.get("code", 0)) == (400 if code else 201, code), answer.text
    return body


async def test_one_thing_too_many_is_refused_by_the_api_and_nothing_is_written(
    settings: Settings,
) -> None:
    settings = with_secrets(settings, account_services=2, account_numbers=2)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        service = (await asked(api, "/v1/Services", FriendlyName="One"))["sid"]
        await asked(api, "/v1/Services", FriendlyName="Two")
        number = await asked(api, f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=LONG_CODE)
        await asked(api, f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=TOLL_FREE)
        before = await records_of(settings)
        refused = await asked(api, "/v1/Services", 30995, FriendlyName="Three")
        assert refused["message"].startswith(
            "Too many messaging services: the account has 2, its limit is 2, and this would make 3."
        )
        another = {"PhoneNumber": OTHER_LONG_CODE}
        await asked(api, f"{BASE}/IncomingPhoneNumbers.json", 20001, **another)
        await asked(api, f"{BASE}/SMS/ShortCodes.json", 20001, ShortCode="12345")
        channel = {"sender_id": f"whatsapp:{LONG_CODE}"}
        answer = await api.ask("POST", "/v2/Channels/Senders", json=channel)
        assert (answer.status_code, answer.json()["code"]) == (400, 20001)
        assert await records_of(settings) == before
        # A number that is the account's already and a name are no more of them.
        await asked(api, f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=number["sid"])
        await asked(api, f"/v1/Services/{service}/AlphaSenders", AlphaSender="Clinic")
        # What is given up makes room; another account has its own.
        assert (await api.ask("DELETE", f"/v1/Services/{service}")).status_code == 204
        await asked(api, "/v1/Services", FriendlyName="Three")
        await asked(api.as_(OTHER_ACCOUNT), "/v1/Services", FriendlyName="Theirs")


async def test_a_configuration_that_is_too_large_is_refused_and_what_is_too_large_may_shrink(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        service = (await asked(api, "/v1/Services", FriendlyName="One"))["sid"]
        size = api.backend.configuration.holdings.usage_of(ACCOUNT)[Quota.CONFIGURATION_BYTES]
    stop = f"/v3/OptOuts/OO{service[2:]}/MessageTypes/ALL/KeywordTypes/STOP.ALL"
    async with serving(settings.model_copy(update={"account_configuration_bytes": size})) as api:
        before = await records_of(settings)
        body = {"keywords": ["stop", "halt"], "message": "You are out. " * 20}
        answer = await api.ask("PUT", stop, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, 20001), answer.text
        assert "bytes of configuration" in answer.json()["message"]
        assert await records_of(settings) == before
    async with serving(settings.model_copy(update={"account_configuration_bytes": 1})) as api:
        path = f"/v1/Services/{service}"
        longer = await api.ask("POST", path, data={"FriendlyName": "Longer"})
        assert longer.status_code == 400
        assert (await api.ask("GET", path)).json()["friendly_name"] == "One"
        shorter = await api.ask("POST", path, data={"FriendlyName": "1"})
        assert (shorter.status_code, shorter.json()["friendly_name"]) == (200, "1")


async def test_the_console_says_beside_the_field_what_is_too_many(settings: Settings) -> None:
    settings = with_secrets(settings, account_numbers=1)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        service = (await asked(api, "/v1/Services", FriendlyName="One"))["sid"]
        path = f"/console/services/{service}/senders"
        async with signed_in(api.base, ACCOUNT, TOKEN) as console:
            assert (await send_form(console, path, address=LONG_CODE)).status_code == 303
            refused = await send_form(console, path, address=OTHER_LONG_CODE)
        assert refused.status_code == 422
        assert "Too many numbers: the account has 1, its limit is 1" in refused.text
        pool = (await api.ask("GET", f"/v1/Services/{service}/PhoneNumbers")).json()
        assert [one["phone_number"] for one in pool["phone_numbers"]] == [LONG_CODE]


async def test_commands_are_refused_alike_and_an_account_may_have_limits_of_its_own(
    settings: Settings,
    optout: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    monkeypatch.setenv("OPTOUT_ACCOUNT_SERVICES", "1")
    monkeypatch.setenv("OPTOUT_ACCOUNT_API_KEYS", "1")
    await create_accounts(with_secrets(settings), ACCOUNT)
    file = tmp_path / "services.yaml"
    shop = {"account_sid": ACCOUNT, "friendly_name": "Shop", "senders": []}
    file.write_text(yaml.safe_dump([CLINIC, shop]))
    before = await records_of(settings)
    refused = await optout("services", "apply", str(file), code=2)
    assert "Too many messaging services: the account has 0, its limit is 1" in refused.stderr
    assert await records_of(settings) == before
    await optout("accounts", "limits", ACCOUNT, "--services", "2", "--messages", "7")
    await optout("services", "apply", str(file))
    await optout("accounts", "key", ACCOUNT)
    keys = await optout("accounts", "key", ACCOUNT, code=2)
    assert "API keys" in keys.stderr
    lines = (await optout("accounts", "limits", ACCOUNT, "--json")).stdout.splitlines()
    found = {
        line["quota"]: (line["used"], line["limit"], line["own"])
        for line in map(orjson.loads, lines)
    }
    size = found.pop("configuration_bytes")[0]
    assert size > 100
    assert found == {
        "services": (2, 2, True),
        "numbers": (1, 10_000, False),
        "api_keys": (1, 1, False),
        "messages": (0, 7, True),
    }
    # Back to the setting: what is there stays, and is no reason to refuse the same file.
    usual = await optout("accounts", "limits", ACCOUNT, "--default", "services")
    assert "OPTOUT_ACCOUNT_SERVICES" in usual.stdout
    await optout("services", "apply", str(file))
    both = ("--default", "services", "--services", "3")
    assert "is given, too" in (await optout("accounts", "limits", ACCOUNT, *both, code=2)).stderr
    await optout("accounts", "limits", OTHER_ACCOUNT, code=1)


async def test_of_too_many_messages_the_oldest_go_and_no_send_is_refused(
    settings: Settings,
) -> None:
    settings = with_secrets(settings, account_messages=3, api_refuse_blocked=False)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        await asked(api, f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=LONG_CODE)
        message = {"To": RECIPIENT, "From": LONG_CODE}
        sids = [
            (await asked(api, f"{BASE}/Messages.json", 0, Body=str(number), **message))["sid"]
            for number in range(5)
        ]
        for query in ("", f"?To={RECIPIENT}", f"?From={LONG_CODE}"):
            listed = (await api.ask("GET", f"{BASE}/Messages.json{query}")).json()["messages"]
            assert [one["sid"] for one in listed] == sids[:1:-1], query
        for sid, status in zip(sids, (404, 404, 200, 200, 200), strict=True):
            assert (await api.ask("GET", f"{BASE}/Messages/{sid}.json")).status_code == status
        assert await api.backend.messages.count(ACCOUNT) == 3
        # A lower limit is reached by the next message.
        client = redis_client(settings)
        try:
            kept = Messages.of(settings, client)
            newest = await kept.get(sids[-1])
            assert newest is not None
            await kept.add(newest, most=1)
            assert await kept.count(ACCOUNT) == 1
        finally:
            await client.close()


async def test_the_operator_is_held_to_an_accounts_limits_as_well(settings: Settings) -> None:
    settings = with_secrets(settings, account_services=0)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        operator = api.as_("operator", OPERATOR_TOKEN)
        answer = await operator.ask(
            "POST",
            "/v1/Services",
            data={"FriendlyName": "One"},
            headers={"X-Optout-Account": ACCOUNT},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, 30995)
