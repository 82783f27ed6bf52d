"""messaging.v1 Services, with Twilio's own client and by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from twilio.base.exceptions import TwilioRestException

from processor.config import Settings
from tests.api import blocking, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, OPERATOR_TOKEN, OTHER_ACCOUNT
from tests.installation import Installation

KEYS = {
    *("sid", "account_sid", "friendly_name", "date_created", "date_updated"),
    *("inbound_request_url", "inbound_method", "fallback_url", "fallback_method"),
    *("status_callback", "sticky_sender", "mms_converter", "smart_encoding"),
    *("scan_message_content", "fallback_to_long_code", "area_code_geomatch"),
    *("synchronous_validation", "validity_period", "url", "links", "usecase"),
    *("us_app_to_person_registered", "use_inbound_webhook_on_number"),
    *("brand", "help_contact"),  # ours: replies are filled with them
}


async def test_a_service_lives_its_life_by_twilios_client(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        services = api.twilio().messaging.v1.services
        made = await blocking(services.create, friendly_name="My First Messaging Service")
        assert made.sid.startswith("MG")
        assert (made.account_sid, made.friendly_name) == (ACCOUNT, "My First Messaging Service")
        assert made.date_created is not None
        assert made.date_created.tzinfo is not None
        changed = await blocking(
            services(made.sid).update, sticky_sender=False, inbound_request_url="https://a.example/"
        )
        assert (changed.sticky_sender, changed.friendly_name) == (False, made.friendly_name)
        fetched = await blocking(services(made.sid).fetch)
        assert fetched.inbound_request_url == "https://a.example/"
        cleared = await blocking(services(made.sid).update, inbound_request_url="")
        assert cleared.inbound_request_url is None
        assert [one.sid for one in await blocking(services.list)] == [made.sid]
        assert await blocking(services(made.sid).delete)
        with pytest.raises(TwilioRestException) as gone:
            await blocking(services(made.sid).fetch)
        assert (gone.value.status, gone.value.code) == (404, 20404)
    at = Installation(settings)
    changes = await at.values(at.topics.configuration_changes)
    assert [(one["actor"], one["what"], one["kind"]) for one in changes] == [
        ("test", "created", "account"),
        (ACCOUNT, "created", "service"),
        (ACCOUNT, "updated", "service"),
        (ACCOUNT, "updated", "service"),
        (ACCOUNT, "deleted", "service"),
    ]
    assert [one.get("version_after") for one in changes] == [None, 1, 2, 3, None]


async def test_a_service_is_written_field_for_field_as_in_the_guide(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        made = await api.ask("POST", "/v1/Services", data={"FriendlyName": "One"})
        body = made.json()
        assert (made.status_code, set(body)) == (201, KEYS)
        assert set(body["links"]) == {
            *("phone_numbers", "short_codes", "alpha_senders", "messages", "channel_senders"),
            *("us_app_to_person", "us_app_to_person_usecases", "destination_alpha_senders"),
        }
        url = f"{api.base}/v1/Services/{body['sid']}"
        assert (body["url"], body["links"]["phone_numbers"]) == (url, f"{url}/PhoneNumbers")
        assert (body["validity_period"], body["usecase"]) == (36_000, "undeclared")
        behind = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "messaging.example.com"}
        proxied = await api.ask("GET", f"/v1/Services/{body['sid']}", headers=behind)
        assert proxied.json()["url"] == url  # not a trusted proxy
    here = (ip_network("127.0.0.1/32"),)
    async with serving(settings.model_copy(update={"trusted_proxies": here})) as api:
        proxied = await api.ask("GET", f"/v1/Services/{body['sid']}", headers=behind)
        assert proxied.json()["url"] == f"https://messaging.example.com/v1/Services/{body['sid']}"


async def test_a_list_is_read_page_by_page(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        for number in range(5):
            await api.ask("POST", "/v1/Services", data={"FriendlyName": f"Service {number}"})
        services = api.twilio().messaging.v1.services
        listed = await blocking(services.list, page_size=2)
        assert len({one.sid for one in listed}) == 5
        first = (await api.ask("GET", "/v1/Services?PageSize=2")).json()
        assert set(first) == {"meta", "services"}
        assert set(first["meta"]) == {
            *("page", "page_size", "first_page_url", "previous_page_url"),
            *("next_page_url", "key", "url"),
        }
        assert first["meta"]["previous_page_url"] is None
        second = (
            await api.ask("GET", first["meta"]["next_page_url"].removeprefix(api.base))
        ).json()
        back = second["meta"]["previous_page_url"].removeprefix(api.base)
        assert (await api.ask("GET", back)).json()["services"] == first["services"]
        odd = await api.ask("GET", "/v1/Services?Page=x&PageToken=whatever&PageSize=5000")
        assert (odd.status_code, len(odd.json()["services"])) == (200, 5)


async def test_wrong_parameters_have_twilios_codes(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        for form, code in (
            ({}, 20002),
            ({"FriendlyName": ""}, 20002),
            ({"FriendlyName": "One", "ValidityPeriod": "36001"}, 20001),
            ({"FriendlyName": "One", "StickySender": "perhaps"}, 20001),
            ({"FriendlyName": "One", "StatusCallback": "nowhere"}, 21609),
        ):
            refused = await api.ask("POST", "/v1/Services", data=form)
            body = refused.json()
            assert (refused.status_code, body["code"], set(body)) == (
                *(400, code),
                {"code", "message", "more_info", "status"},
            )
        refused = await api.ask("PUT", "/v1/Services")
        assert (refused.status_code, refused.json()["code"]) == (405, 20004)
        refused = await api.ask("POST", "/v1/Services", json={"FriendlyName": "One"})
        assert refused.status_code == 415
        large = {"FriendlyName": "x" * (settings.api_max_bytes + 1)}
        assert (await api.ask("POST", "/v1/Services", data=large)).status_code == 413

        async def in_chunks() -> AsyncIterator[bytes]:
            for _ in range(settings.api_max_bytes // 1_000 + 1):
                yield b"x" * 1_000

        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        refused = await api.ask("POST", "/v1/Services", content=in_chunks(), headers=kind)
        assert refused.status_code == 413


async def test_no_account_sees_anothers_service_and_the_operator_sees_all(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as mine:
        sid = (await mine.ask("POST", "/v1/Services", data={"FriendlyName": "Mine"})).json()["sid"]
        theirs, path = mine.as_(OTHER_ACCOUNT), f"/v1/Services/{sid}"
        for method in ("GET", "POST", "DELETE"):
            assert (await theirs.ask(method, path)).status_code == 404
        assert (await theirs.ask("GET", "/v1/Services")).json()["services"] == []
        operator = mine.as_("operator", OPERATOR_TOKEN)
        assert (await operator.ask("GET", path)).json()["sid"] == sid
        for_me = {"X-Optout-Account": ACCOUNT}
        listed = await operator.ask("GET", "/v1/Services", headers=for_me)
        assert [one["sid"] for one in listed.json()["services"]] == [sid]
        nobody = await operator.ask("GET", "/v1/Services")
        assert (nobody.status_code, nobody.json()["code"]) == (400, 20001)


async def test_two_apis_change_one_service_and_no_change_is_lost(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as one, serving(settings) as other:
        made = await one.ask("POST", "/v1/Services", data={"FriendlyName": "Shared"})
        path = f"/v1/Services/{made.json()['sid']}"
        forms = [{"Usecase": "marketing"}, {"SmartEncoding": "false"}, {"MmsConverter": "false"}]
        answers = await asyncio.gather(
            *(api.ask("POST", path, data=form) for api in (one, other) for form in forms)
        )
        assert {answer.status_code for answer in answers} == {200}
        for api in (one, other):  # each process reads its own writes
            kept = (await api.ask("GET", path)).json()
            assert (kept["usecase"], kept["smart_encoding"], kept["mms_converter"]) == (
                *("marketing", False),
                False,
            )
    at = Installation(settings)
    stored = await at.values(at.topics.messaging_services)
    assert [one["version"] for one in stored] == [1, 2, 3, 4]
