"""The whole path through Twilio's own client: STOP, 21610, START, sent."""

from __future__ import annotations

import pytest
from twilio.base.exceptions import TwilioRestException

from processor.config import Settings
from tests.api import (
    BASE,
    all_running,
    blocking,
    carrier_says,
    create_accounts,
    enable,
    serving,
    with_a_number,
    with_secrets,
)
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT, OTHER_LONG_CODE, RECIPIENT
from tests.clinic import a_text
from tests.installation import Installation, running, until


async def test_stop_fails_the_next_message_with_21610_until_start(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with running(settings), serving(settings) as api:
        client = api.twilio()
        number = await blocking(client.incoming_phone_numbers.create, phone_number=LONG_CODE)
        service = await blocking(client.messaging.v1.services.create, friendly_name="Clinic")
        pool = client.messaging.v1.services(service.sid).phone_numbers
        added = await blocking(pool.create, phone_number_sid=number.sid)
        assert (added.sid, added.phone_number, added.country_code) == (number.sid, LONG_CODE, "US")
        await enable(settings, service.sid)

        async def send() -> str:
            made = await blocking(
                client.messages.create,
                to=RECIPIENT,
                messaging_service_sid=service.sid,
                body="Your appointment is tomorrow.",
            )
            assert (made.status, made.error_code, made.from_) == ("accepted", None, None)
            return str(made.sid)

        async def becomes(sid: str, status: str) -> None:
            async def is_so() -> bool:
                return bool((await blocking(client.messages(sid).fetch)).status == status)

            await until(is_so, f"message that is {status}")

        await at.texts(a_text("SMstop", "STOP"))
        await at.wait_for(at.topics.reply_sends, 1)
        refused = await send()
        await becomes(refused, "failed")
        failed = await blocking(client.messages(refused).fetch)
        assert (failed.error_code, failed.error_message) == (
            21610,
            "Attempt to send to unsubscribed recipient",
        )
        await at.texts(a_text("SMstart", "START"))
        await at.wait_for(at.topics.reply_sends, 2)
        allowed = await send()
        [value] = await at.wait_for(at.topics.allowed_sends, 1)
        assert (value["message_sid"], value["messaging_service_sid"]) == (allowed, service.sid)
        await carrier_says(at, value, "sent")
        await becomes(allowed, "sent")
        listed = await blocking(client.messages.list, to=RECIPIENT)
        assert [one.sid for one in listed] == [allowed, refused]
        assert listed[0].date_sent is not None


MESSAGE_KEYS = {
    *("body", "num_segments", "direction", "from", "to", "date_updated", "price"),
    *("error_message", "uri", "account_sid", "num_media", "status", "messaging_service_sid"),
    *("sid", "date_sent", "date_created", "error_code", "price_unit", "api_version"),
    "subresource_uris",
}


async def test_a_message_is_written_field_for_field_and_listed_page_by_page(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        await with_a_number(api)
        form = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Your parcel is on its way"}
        made = await api.ask("POST", f"{BASE}/Messages.json", data=form)
        body = made.json()
        assert (made.status_code, set(body)) == (201, MESSAGE_KEYS)
        assert (body["status"], body["num_segments"], body["num_media"]) == ("queued", "1", "0")
        assert body["date_created"].endswith(" +0000")
        for _ in range(4):
            await api.ask("POST", f"{BASE}/Messages.json", data=form)
        first = (await api.ask("GET", f"{BASE}/Messages.json?PageSize=2")).json()
        assert set(first) == {
            *("first_page_uri", "next_page_uri", "previous_page_uri", "page"),
            *("page_size", "start", "end", "uri", "messages"),
        }
        client = api.twilio()
        every = await blocking(client.messages.list, page_size=2)
        assert len({one.sid for one in every}) == 5
        assert len(await blocking(client.messages.list, limit=3)) == 3
        assert await blocking(client.messages.list, to="+15550000000") == []
        later = {"date_sent_after": "2999-01-01"}
        assert await blocking(client.messages.list, **later) == []
        one = client.messages(body["sid"])
        assert (await blocking(one.update, body="")).body == ""
        assert await blocking(one.delete)
        theirs = api.as_(OTHER_ACCOUNT)
        assert (await theirs.ask("GET", f"{BASE}/Messages.json")).status_code == 404
        other = BASE.replace(ACCOUNT, OTHER_ACCOUNT)
        path = f"{other}/Messages/{every[1].sid}.json"
        assert (await theirs.ask("GET", path)).status_code == 404
        with pytest.raises(TwilioRestException) as gone:
            await blocking(one.fetch)
        assert (gone.value.status, gone.value.code) == (404, 20404)


async def test_a_wrong_message_has_twilios_code(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    good = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
    async with serving(settings) as api:
        await with_a_number(api)
        empty = await api.ask("POST", "/v1/Services", data={"FriendlyName": "Empty"})
        theirs = await api.as_(OTHER_ACCOUNT).ask(
            "POST", "/v1/Services", data={"FriendlyName": "X"}
        )
        for changes, code in (
            ({"To": ""}, 21211),
            ({"To": "5557654321"}, 21211),
            ({"To": None}, 21604),
            ({"From": None}, 21603),
            ({"From": OTHER_LONG_CODE}, 21606),
            ({"From": "?"}, 21606),
            ({"Body": None}, 21602),
            ({"Body": "x" * 1601}, 21617),
            ({"StatusCallback": "nowhere"}, 21609),
            ({"To": LONG_CODE}, 21266),
            ({"To": f"whatsapp:{RECIPIENT}"}, 21910),
            ({"MessagingServiceSid": "MG1"}, 21705),
            ({"MessagingServiceSid": "MG" + "0" * 32}, 21701),
            ({"MessagingServiceSid": theirs.json()["sid"]}, 21701),
            ({"MessagingServiceSid": empty.json()["sid"]}, 21704),
            ({"SendAt": "2026-11-02T12:00:00Z"}, 20001),
        ):
            merged: dict[str, str | None] = {**good, **changes}
            form = {name: value for name, value in merged.items() if value is not None}
            refused = await api.ask("POST", f"{BASE}/Messages.json", data=form)
            assert (refused.status_code, refused.json()["code"]) == (400, code), changes
            assert RECIPIENT not in refused.text
    at = Installation(settings)
    assert await at.records(at.topics.outbound_messages) == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_bare_from_to_a_blocked_recipient_is_refused_on_the_call(
    settings: Settings, at_once: bool
) -> None:
    settings = with_secrets(settings, api_refuse_blocked=at_once)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with all_running(settings) as api:
        await with_a_number(api)
        why = {"recipient": RECIPIENT, "reason": "asked"}
        assert (await api.ask("POST", "/v1/OptOuts/Block", json=why)).status_code == 200
        given = {"to": RECIPIENT, "from_": LONG_CODE, "body": "Hello"}
        messages = api.twilio().messages
        if at_once:
            with pytest.raises(TwilioRestException) as refused:
                await blocking(messages.create, **given)
            assert (refused.value.status, refused.value.code) == (400, 21610)
            assert await at.records(at.topics.outbound_messages) == []
            assert await blocking(messages.list) == []
        else:
            assert (await blocking(messages.create, **given)).status == "queued"
            [failed] = await at.wait_for(at.topics.message_statuses, 1)
            assert failed["error_code"] == 21610


async def test_a_services_status_callback_stands_where_a_message_has_none(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with serving(settings) as api:
        number = await with_a_number(api)
        callback = "https://example.com/service"
        form = {"FriendlyName": "Clinic", "StatusCallback": callback}
        sid = (await api.ask("POST", "/v1/Services", data=form)).json()["sid"]
        form = {"PhoneNumberSid": number}
        await api.ask("POST", f"/v1/Services/{sid}/PhoneNumbers", data=form)
        form = {"To": RECIPIENT, "MessagingServiceSid": sid, "MediaUrl": "https://example.com/a"}
        made = await api.ask("POST", f"{BASE}/Messages.json", data=form)
        assert (made.json()["sid"][:2], made.json()["num_media"]) == ("MM", "1")
        own = form | {"StatusCallback": "https://example.com/own"}
        await api.ask("POST", f"{BASE}/Messages.json", data=own)
    sends = await at.values(at.topics.outbound_messages)
    assert [one["status_callback"] for one in sends] == [callback, "https://example.com/own"]


async def test_no_login_of_a_callback_is_in_what_carriers_read_or_in_an_answer(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with all_running(settings) as api:
        number = await with_a_number(api)
        login = "https://user:s3cret@example.com"
        form = {"FriendlyName": "Clinic", "StatusCallback": f"{login}/service"}
        made = (await api.ask("POST", "/v1/Services", data=form)).json()
        assert made["status_callback"] == "https://user:***@example.com/service"
        sid = made["sid"]
        again = {"StatusCallback": made["status_callback"]}
        refused = await api.ask("POST", f"/v1/Services/{sid}", data=again)
        assert (refused.status_code, refused.json()["code"]) == (400, 21609)
        form = {"PhoneNumberSid": number}
        await api.ask("POST", f"/v1/Services/{sid}/PhoneNumbers", data=form)
        form = {"To": RECIPIENT, "MessagingServiceSid": sid, "Body": "Hello"}
        for own in ({}, {"StatusCallback": f"{login}/own"}):
            sent = await api.ask("POST", f"{BASE}/Messages.json", data=form | own)
            assert sent.status_code == 201, sent.text
        lost = form | {"StatusCallback": "https://user:s3cret@other.example.com/"}
        refused = await api.ask("POST", f"{BASE}/Messages.json", data=lost)
        assert (refused.status_code, refused.json()["code"]) == (400, 21609)
        assert "s3cret" not in refused.text
        allowed = await at.wait_for(at.topics.allowed_sends, 2)
    urls = [one["status_callback"] for one in allowed]
    assert urls == ["https://example.com/service", "https://example.com/own"]
