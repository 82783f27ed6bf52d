"""Numbers, and the senders of a service's pool, with Twilio's own client and by hand."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from processor.config import Settings
from tests.api import Api, blocking, create_accounts, serving, with_secrets
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    RCS_SENDER,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
)
from tests.clinic import CLINIC, configure

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
IN_A_POOL = {"sid", "account_sid", "date_created", "date_updated", "url"}
KEYS = {
    "PhoneNumbers": {"service_sid", "phone_number", "country_code", "capabilities"},
    "ShortCodes": {"service_sid", "short_code", "country_code", "capabilities"},
    "AlphaSenders": {"service_sid", "alpha_sender", "capabilities"},
    "ChannelSenders": {"messaging_service_sid", "sender", "sender_type", "country_code"},
}
NUMBER_KEYS = {
    *("account_sid", "address_sid", "address_requirements", "api_version", "beta"),
    *("capabilities", "date_created", "date_updated", "friendly_name", "identity_sid"),
    *("phone_number", "origin", "sid", "sms_application_sid", "sms_fallback_method"),
    *("sms_fallback_url", "sms_method", "sms_url", "status_callback", "status_callback_method"),
    *("trunk_sid", "uri", "voice_receive_mode", "voice_application_sid"),
    *("voice_caller_id_lookup", "voice_fallback_method", "voice_fallback_url", "voice_method"),
    *("voice_url", "emergency_status", "emergency_address_sid", "emergency_address_status"),
    *("bundle_sid", "status", "type"),
}
SHORT_CODE_KEYS = {
    *("account_sid", "api_version", "date_created", "date_updated", "friendly_name"),
    *("short_code", "sid", "sms_fallback_method", "sms_fallback_url", "sms_method"),
    *("sms_url", "uri"),
}


async def posted(api: Api, path: str, status: int = 201, **form: str) -> dict[str, Any]:
    answer = await api.ask("POST", path, data=form)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_number_lives_its_life_by_twilios_client(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        client = api.twilio()
        numbers = client.incoming_phone_numbers
        made = await blocking(
            numbers.create,
            phone_number=LONG_CODE,
            friendly_name="Desk",
            sms_url="https://a.example/",
        )
        assert (made.sid[:2], made.phone_number, made.capabilities["sms"]) == (
            *("PN", LONG_CODE),
            True,
        )
        changed = await blocking(numbers(made.sid).update, friendly_name="Front desk", sms_url="")
        assert (changed.friendly_name, changed.sms_url) == ("Front desk", "")
        await blocking(numbers.create, phone_number=TOLL_FREE)
        assert len(await blocking(numbers.list)) == 2
        found = await blocking(numbers.list, phone_number=LONG_CODE)
        assert [one.sid for one in found] == [made.sid]
        theirs = api.as_(OTHER_ACCOUNT)
        other = BASE.replace(ACCOUNT, OTHER_ACCOUNT)
        taken = await posted(
            theirs, f"{other}/IncomingPhoneNumbers.json", 400, PhoneNumber=LONG_CODE
        )
        assert taken["code"] == 21422
        assert await blocking(numbers(made.sid).delete)
        with pytest.raises(TwilioRestException) as gone:
            await blocking(numbers(made.sid).fetch)
        assert gone.value.code == 20404


async def test_each_kind_of_sender_is_written_field_for_field(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        service = await posted(api, "/v1/Services", FriendlyName="Clinic")
        number = await posted(api, f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=LONG_CODE)
        code = await posted(api, f"{BASE}/SMS/ShortCodes.json", ShortCode=SHORT_CODE)
        assert (set(number), set(code)) == (NUMBER_KEYS, SHORT_CODE_KEYS)
        sender = {"sender_id": WHATSAPP_SENDER, "webhook": {"callback_url": "https://a.example/"}}
        channel = (await api.ask("POST", "/v2/Channels/Senders", json=sender)).json()
        pool = f"/v1/Services/{service['sid']}"
        added = {
            "PhoneNumbers": ("PhoneNumberSid", number["sid"]),
            "ShortCodes": ("ShortCodeSid", code["sid"]),
            "AlphaSenders": ("AlphaSender", "Clinic 24"),
            "ChannelSenders": ("Sid", channel["sid"]),
        }
        for path, (name, value) in added.items():
            body = await posted(api, f"{pool}/{path}", **{name: value})
            assert set(body) == IN_A_POOL | KEYS[path], path
            assert body["url"] == f"{api.base}{pool}/{path}/{body['sid']}"
            assert (await api.ask("GET", f"{pool}/{path}/{body['sid']}")).json() == body
            listed = (await api.ask("GET", f"{pool}/{path}")).json()
            assert listed[listed["meta"]["key"]] == [body]
            again = await api.ask("POST", f"{pool}/{path}", data={name: value})
            assert (again.status_code, again.json()["code"]) == (409, 21710)
        other = await posted(api, "/v1/Services", FriendlyName="Other")
        path, form = f"/v1/Services/{other['sid']}/PhoneNumbers", {"PhoneNumberSid": number["sid"]}
        assert (await posted(api, path, 409, **form))["code"] == 21712
        assert (await posted(api, path, 400, PhoneNumberSid="PN1"))["code"] == 21421
        assert (await posted(api, path, 400, PhoneNumberSid=code["sid"]))["code"] == 21421
        # A deleted service frees its senders.
        assert (await api.ask("DELETE", pool)).status_code == 204
        await posted(api, path, **form)
        # So does a released number.
        gone = await api.ask("DELETE", f"{BASE}/IncomingPhoneNumbers/{number['sid']}.json")
        assert gone.status_code == 204
        assert (await api.ask("GET", path)).json()["phone_numbers"] == []


async def test_what_has_no_meaning_here_is_empty_or_not_found(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        service = await posted(api, "/v1/Services", FriendlyName="Clinic")
        client = api.twilio().messaging.v1.services(service["sid"])
        assert await blocking(client.us_app_to_person.list) == []
        assert await blocking(client.destination_alpha_senders.list) == []
        cases = await blocking(client.us_app_to_person_usecases.fetch)
        assert cases.us_app_to_person_usecases == []
        for path in ("Compliance/Usa2p/QE1", "DestinationAlphaSenders/AI1", "Messages"):
            missing = await api.ask("GET", f"/v1/Services/{service['sid']}/{path}")
            assert (missing.status_code, missing.json()["code"]) == (404, 20404)


async def test_senders_that_a_file_put_into_a_pool_have_sids_too(settings: Settings) -> None:
    settings = with_secrets(settings)
    sid = "MG" + "0" * 32
    senders = [{"address": one} for one in (LONG_CODE, SHORT_CODE, RCS_SENDER)]
    await configure(settings, CLINIC | {"sid": sid, "senders": senders})
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        pool = api.twilio().messaging.v1.services(sid)
        [number] = await blocking(pool.phone_numbers.list)
        [channel] = await blocking(pool.channel_senders.list)
        assert (number.phone_number, channel.sender, channel.sender_type) == (
            *(LONG_CODE, RCS_SENDER),
            "RCS",
        )
        numbers = api.twilio().incoming_phone_numbers
        assert [one.sid for one in await blocking(numbers.list)] == [number.sid]
        renamed = await blocking(numbers(number.sid).update, friendly_name="Desk")
        assert (renamed.sid, renamed.friendly_name) == (number.sid, "Desk")
        assert await blocking(pool.phone_numbers(number.sid).delete)
        assert await blocking(pool.phone_numbers.list) == []
        assert (await blocking(numbers(number.sid).fetch)).friendly_name == "Desk"


async def test_a_pool_has_a_size(settings: Settings) -> None:
    settings = with_secrets(settings)
    sid = "MG" + "0" * 32
    senders = [{"address": f"+1555{number:07}"} for number in range(400)]
    await configure(settings, CLINIC | {"sid": sid, "senders": senders})
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        number = await posted(api, f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=OTHER_LONG_CODE)
        path = f"/v1/Services/{sid}/PhoneNumbers"
        refused = await posted(api, path, 412, PhoneNumberSid=number["sid"])
        assert refused["code"] == 21714
