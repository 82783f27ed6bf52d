"""Requests of each provider: signed or not, messages, buttons, media, statuses, several at once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.carriers.adapter import Connection, Parsed, Received, Reported, Request
from processor.carriers.providers import ADAPTERS
from processor.carriers.references import Reference, message_sid_of, read, written
from processor.carriers.values import pairs_of
from processor.errors import RecordError
from processor.http.carrier_requests import records_of
from processor.wire.carriers import write_status
from processor.wire.dead_letters import said
from processor.wire.topics import Topics
from schemas.consent_command import ConsentCommand
from schemas.inbound_message import InboundMessage
from schemas.message_status import MessageStatus
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT, SERVICE
from tests.carriers import (
    NOW_S,
    SECRETS,
    a_connection,
    a_request,
    telnyx_event,
    telnyx_text,
    twilio_text,
    whatsapp_event,
    whatsapp_message,
)

TOPICS = Topics.under("t.")
NOW_MS = round(NOW_S * 1000)
REFERENCE = written(Reference("SM9", ACCOUNT, SERVICE, LONG_CODE, RECIPIENT, "https://a.b/c"))
KANNEL = "secret=our+secret&id=77&from=%2B15557654321&to=12345&text=Stop%20it%21&time=1793620798"
GENERIC = json.dumps(
    {
        "messages": [
            {"id": 5, "from": {"number": "15557654321"}, "to": LONG_CODE, "text": "hi"},
            {"id": 6, "from": {}, "to": LONG_CODE, "text": "lost"},
        ]
    }
).encode()

SIGNED: dict[str, tuple[str, Request]] = {
    "twilio": ("twilio", a_request("twilio", twilio_text("Stop & go é", **{"FromCountry": "US"}))),
    "twilio with a query": ("twilio", a_request("twilio", twilio_text("x"), query="ref=a%20b")),
    "telnyx": ("telnyx", a_request("telnyx", telnyx_text("stop"))),
    "whatsapp": ("whatsapp", a_request("whatsapp", whatsapp_event())),
    "kannel": ("kannel", a_request("kannel", method="GET", query=KANNEL)),
    "generic by the query": ("generic", a_request("generic", query="secret=generic%27s%20secret")),
}


def parse(provider: str, request: Request, **fields: Any) -> Parsed:
    return ADAPTERS[provider].parse(request, a_connection(provider, **fields))


@pytest.mark.parametrize("case", SIGNED)
def test_a_request_that_its_provider_signed_is_verified(case: str) -> None:
    provider, request = SIGNED[case]
    assert ADAPTERS[provider].verify(request, a_connection(provider), NOW_S)


@pytest.mark.parametrize("case", SIGNED)
def test_any_other_request_is_not(case: str) -> None:
    provider, request = SIGNED[case]
    verify, connection = ADAPTERS[provider].verify, a_connection(provider)
    stranger = replace(connection, secrets=dict.fromkeys(connection.secrets, "other"))
    if provider != "telnyx":
        assert not verify(request, stranger, NOW_S)
    else:
        other = {"public_key": "A" * 43 + "="}
        assert not verify(request, replace(connection, options=other), NOW_S)
    assert not verify(replace(request, headers={}, query=""), connection, NOW_S)
    if provider in ("twilio", "telnyx", "whatsapp"):
        assert not verify(replace(request, body=request.body + b"&a=1"), connection, NOW_S)
    assert not verify(
        replace(
            request, headers=dict.fromkeys(request.headers, "\u00e9\udcff"), query="secret=%FF"
        ),
        connection,
        NOW_S,
    )


def test_an_old_request_of_telnyx_may_be_a_recording() -> None:
    request = a_request("telnyx", telnyx_text("stop"))
    assert not ADAPTERS["telnyx"].verify(request, a_connection("telnyx"), NOW_S + 301)


def test_whatsapp_checks_the_address_before_it_uses_it() -> None:
    connection = a_connection("whatsapp")
    query = "hub.mode=subscribe&hub.verify_token=verify&hub.challenge=1158201444"
    answer = ADAPTERS["whatsapp"].challenge(
        a_request("whatsapp", method="GET", query=query), connection
    )
    assert answer
    assert (answer.status, answer.body) == (200, b"1158201444")
    wrong = a_request("whatsapp", method="GET", query=query.replace("=verify", "=x"))
    refused = ADAPTERS["whatsapp"].challenge(wrong, connection)
    assert refused
    assert (refused.status, refused.body) == (401, b"")


def a_received(id_: str, body: str, **fields: Any) -> Received:
    made = {"recipient": RECIPIENT, "sender": LONG_CODE, **fields}
    return Received(id=id_, body=body, **made)


MESSAGES: dict[str, tuple[str, Request, Received]] = {
    "twilio": (
        "twilio",
        a_request("twilio", twilio_text("Stop", NumMedia="2", FromCountry="US")),
        a_received("SM1", "Stop", num_media=2, country="US"),
    ),
    "telnyx": (
        "telnyx",
        a_request("telnyx", telnyx_text("Stop", media=[{"url": "https://a.b/c.png"}])),
        a_received("id-1", "Stop", num_media=1, received_ms=1793620798000),
    ),
    "kannel": (
        "kannel",
        a_request("kannel", method="GET", query=KANNEL),
        a_received("77", "Stop it!", sender="12345", received_ms=1793620798000),
    ),
    "kannel in UCS-2": (
        "kannel",
        a_request(
            "kannel",
            method="GET",
            query="id=1&from=0015557654321&to=15551234567&text=%90%00%8B%A2&coding=2&charset=UTF-16BE",
        ),
        a_received("1", "退订"),
    ),
    "kannel with a plus that means a space": (
        "kannel",
        a_request("kannel", method="GET", query=f"id=1&from={RECIPIENT}&to={LONG_CODE}&text=a+b"),
        a_received("1", "a b"),
    ),
}
WHATSAPP: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "a text": ("text", {"body": "Stop"}, "Stop", 0),
    "a button of a template": ("button", {"text": "Stop", "payload": "x"}, "Stop", 0),
    "a button": (
        "interactive",
        {"type": "button_reply", "button_reply": {"id": "x", "title": "Stop promotions"}},
        "Stop promotions",
        0,
    ),
    "a list's entry": (
        "interactive",
        {"type": "list_reply", "list_reply": {"id": "x", "title": "Help"}},
        "Help",
        0,
    ),
    "a picture": ("image", {"id": "1", "caption": "look"}, "look", 1),
    "a voice note": ("audio", {"id": "1"}, "", 1),
    "a place": ("location", {"latitude": 1}, "", 0),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_message_is_read(case: str) -> None:
    provider, request, message = MESSAGES[case]
    assert parse(provider, request) == Parsed(messages=(message,))


@pytest.mark.parametrize("case", WHATSAPP)
def test_a_message_of_whatsapp_is_read(case: str) -> None:
    kind, content, body, media = WHATSAPP[case]
    request = a_request("whatsapp", whatsapp_event([whatsapp_message(kind, content)]))
    assert parse("whatsapp", request) == Parsed(
        messages=(
            a_received(
                "wamid.1=",
                body,
                recipient=f"whatsapp:{RECIPIENT}",
                sender=f"whatsapp:{LONG_CODE}",
                num_media=media,
                received_ms=1793620798000,
                user_id="US.134912086553",
            ),
        )
    )


def whatsapp(message: dict[str, Any], **contact: Any) -> Parsed:
    """A message in a notification with its writer's contact, as read."""
    value = orjson.loads(whatsapp_event([message]))
    value["entry"][0]["changes"][0]["value"]["contacts"] = [contact] if contact else []
    return parse("whatsapp", a_request("whatsapp", orjson.dumps(value)))


def test_r31_a_person_who_hides_the_number_writes_as_a_user_id() -> None:
    hidden = whatsapp_message("text", {"body": "Stop"})
    del hidden["from"]
    for found in (
        whatsapp(hidden, profile={"username": "ann"}, user_id="US.1349"),
        whatsapp({**hidden, "from_user_id": "US.1349"}),
    ):
        [message] = found.messages
        assert (message.recipient, message.user_id) == ("whatsapp:US.1349", None)
        [record] = records_of(found, a_connection("whatsapp"), TOPICS, now_ms=NOW_MS).records
        assert record.key == b"US.1349"
        InboundMessage.model_validate_json(record.value or b"")
    assert whatsapp(hidden).unreadable


def test_r32_number_and_user_id_of_a_message_go_on_together() -> None:
    request = a_request("whatsapp", whatsapp_event([whatsapp_message("text", {"body": "Stop"})]))
    twilio = twilio_text(
        "Stop",
        From=f"whatsapp:{RECIPIENT}",
        To=f"whatsapp:{LONG_CODE}",
        ExternalUserId="US.134912086553",
    )
    for provider, one in (("whatsapp", request), ("twilio", a_request("twilio", twilio))):
        found = parse(provider, one)
        [record] = records_of(found, a_connection(provider), TOPICS, now_ms=NOW_MS).records
        message = InboundMessage.model_validate_json(record.value or b"")
        assert (message.from_, message.user_id) == (f"whatsapp:{RECIPIENT}", "US.134912086553")
        assert record.key == RECIPIENT.encode()


def system(type_: str, **fields: str) -> Parsed:
    """A system message of WhatsApp, as read."""
    said = {"body": "User Ann changed from a to b", "type": type_, **fields}
    return whatsapp(whatsapp_message("system", said))


@pytest.mark.parametrize(
    ("fields", "commands"),
    [
        (
            {"wa_id": "15557654399", "user_id": "US.2", "previous_user_id": "US.1"},
            [
                ("US.2", "+15557654399", None),
                (RECIPIENT, None, "+15557654399"),
                ("US.1", None, "+15557654399"),
            ],
        ),
        ({"wa_id": "15557654399"}, [(RECIPIENT, None, "+15557654399")]),
    ],
)
def test_r32_a_new_number_links_the_new_addresses_and_takes_blocks_along(
    fields: dict[str, str], commands: list[tuple[str, str | None, str | None]]
) -> None:
    found = system("user_changed_number", **fields)
    stored = records_of(found, a_connection("whatsapp"), TOPICS, now_ms=NOW_MS)
    assert stored.counts["changes"] == 1
    values = [ConsentCommand.model_validate_json(one.value or b"") for one in stored.records]
    assert [(one.recipient, one.link, one.moved_to) for one in values] == commands
    assert [one.key for one in stored.records] == [name.encode() for name, _, _ in commands]
    assert len({one.command_id for one in values}) == len(commands)


def test_r32_a_new_user_id_takes_blocks_along_where_the_number_is_hidden() -> None:
    message = whatsapp_message(
        "system", {"type": "user_changed_user_id", "previous_user_id": "US.1", "user_id": "US.2"}
    )
    del message["from"]
    found = whatsapp(message)
    [record] = records_of(found, a_connection("whatsapp"), TOPICS, now_ms=NOW_MS).records
    value = ConsentCommand.model_validate_json(record.value or b"")
    assert (value.recipient, value.moved_to, value.source) == ("US.1", "US.2", "whatsapp")


def test_a_change_that_cannot_be_read_is_a_letter_and_another_kind_is_passed_over() -> None:
    assert system("user_changed_number").unreadable
    found = system("user_changed_number", wa_id="nobody")
    stored = records_of(found, a_connection("whatsapp"), TOPICS, now_ms=NOW_MS)
    assert [one.topic for one in stored.records] == [TOPICS.dead_letters]
    assert system("customer_identity_changed").passed_over == 1


def test_what_is_new_or_says_nothing_is_passed_over() -> None:
    reaction = whatsapp_message("reaction", {"message_id": "wamid.0", "emoji": "🛑"})
    request = a_request("whatsapp", whatsapp_event([reaction]))
    assert parse("whatsapp", request) == Parsed(passed_over=1)
    request = a_request("whatsapp", whatsapp_event(field="account_alerts"))
    assert parse("whatsapp", request) == Parsed(passed_over=1)
    request = a_request("telnyx", telnyx_event("message.dreamt", {}))
    assert parse("telnyx", request) == Parsed(passed_over=1)
    assert parse("twilio", a_request("twilio", b"Sparkle=1")) == Parsed(passed_over=1)
    assert parse("generic", a_request("generic", b'{"hello": 1}')) == Parsed(passed_over=1)


def test_half_a_batch_that_cannot_be_read_leaves_the_other_half() -> None:
    good = whatsapp_message("text", {"body": "Stop"})
    bad = {**whatsapp_message("text", {"body": "lost"}), "id": None}
    found = parse("whatsapp", a_request("whatsapp", whatsapp_event([good, bad, good])))
    assert [one.body for one in found.messages] == ["Stop", "Stop"]
    [letter] = found.unreadable
    assert orjson.loads(letter.value)["text"] == {"body": "lost"}
    found = parse("generic", a_request("generic", GENERIC))
    assert [one.id for one in found.messages] == ["5"]
    assert b"lost" in found.unreadable[0].value


@pytest.mark.parametrize("provider", sorted(SECRETS))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"data": 3}',
        b'{"entry": [1, {"changes": 2}]}',
        b"[" * 9999,
    ],
)
def test_no_body_makes_a_module_raise(provider: str, body: bytes) -> None:
    parse(provider, a_request("kannel", body))


STATUSES: dict[str, tuple[str, Request, Reported]] = {
    "twilio": (
        "twilio",
        a_request(
            "twilio",
            b"MessageSid=SM5&SmsStatus=undelivered&MessageStatus=undelivered&ErrorCode=30005&To=x",
            query=f"ref={REFERENCE}",
        ),
        Reported(REFERENCE, "undelivered", 30005),
    ),
    "telnyx": (
        "telnyx",
        a_request(
            "telnyx",
            telnyx_event(
                "message.finalized",
                {
                    "id": "5",
                    "to": [{"phone_number": RECIPIENT, "status": "delivery_failed"}],
                    "errors": [{"code": "40008", "title": "Undeliverable to +15557654321"}],
                },
            ),
            query=f"ref={REFERENCE}",
        ),
        Reported(REFERENCE, "undelivered", 40008, "Undeliverable to …", 1793620801000),
    ),
    "whatsapp": (
        "whatsapp",
        a_request(
            "whatsapp",
            whatsapp_event(
                statuses=[
                    {
                        "id": "wamid.5",
                        "status": "read",
                        "timestamp": "1793620801",
                        "recipient_id": RECIPIENT[1:],
                        "biz_opaque_callback_data": REFERENCE,
                    }
                ]
            ),
        ),
        Reported(REFERENCE, "read", at_ms=1793620801000),
    ),
    "kannel": (
        "kannel",
        a_request("kannel", method="GET", query=f"secret=x&ref={REFERENCE}&type=1&time=1793620801"),
        Reported(REFERENCE, "delivered", at_ms=1793620801000),
    ),
    "generic": (
        "generic",
        a_request("generic", b'{"state": "DELIVRD", "error": 0}', query=f"ref={REFERENCE}"),
        Reported(REFERENCE, "delivered", 0),
    ),
}


@pytest.mark.parametrize("case", STATUSES)
def test_a_status_is_read(case: str) -> None:
    provider, request, status = STATUSES[case]
    assert parse(provider, request) == Parsed(statuses=(status,))


def test_a_reference_says_which_message_it_is_about() -> None:
    reference = Reference("SM9", ACCOUNT, SERVICE, LONG_CODE, RECIPIENT, "https://a.b/c")
    assert read(REFERENCE) == reference
    long = replace(reference, status_callback="https://a.b/" + "c" * 900)
    assert read(written(long)) == replace(reference, status_callback=None)
    for text in (None, "", "x", "e30", "W10", REFERENCE[:-3], "é", "WzEsMiwzLDQsNSw2XQ"):
        assert read(text) is None


def test_r22_a_sid_is_made_of_the_carriers_name_and_its_own_id() -> None:
    sids = {message_sid_of(*pair) for pair in [("a", "1"), ("b", "1"), ("a", "2"), ("a1", "")]}
    assert len(sids) == 4
    assert message_sid_of("a", "1") in sids
    assert all(len(one) == 34 for one in sids)


# The records


def records(parsed: Parsed, connection: Connection) -> Any:
    return records_of(parsed, connection, TOPICS, now_ms=NOW_MS)


def test_r32_a_message_is_kept_under_its_subscriber_key() -> None:
    mexican = replace(a_received("SM1", "Stop"), recipient="+5215555550101")
    made = records(Parsed(messages=(mexican,)), a_connection("twilio"))
    assert [record.key for record in made.records] == [b"+525555550101"]


def test_a_message_becomes_a_record_of_its_recipient_and_of_its_senders_account() -> None:
    senders = [{"address": LONG_CODE, "account_sid": "AC2"}]
    connection = a_connection("twilio", senders=senders, answers=["stop"])
    made = records(Parsed(messages=(a_received("SM1", "Stop ", country="US"),)), connection)
    [record] = made.records
    assert (record.topic, record.key) == (TOPICS.inbound_messages, RECIPIENT.encode())
    assert dict(record.headers) == {"carrier": b"twilio-1", "carrier-message-id": b"SM1"}
    value = InboundMessage.model_validate_json(record.value)
    assert (value.account_sid, value.body, value.carrier_replied) == ("AC2", "Stop ", True)
    assert (value.message_sid, value.from_country) == (message_sid_of("twilio-1", "SM1"), "US")
    other = records(Parsed(messages=(a_received("SM1", "x", sender="12345"),)), connection)
    value = InboundMessage.model_validate_json(other.records[0].value)
    assert (value.account_sid, value.carrier_replied) == (ACCOUNT, False)


def test_the_provider_answers_no_word_on_whatsapp() -> None:
    connection = a_connection("twilio", senders=[f"whatsapp:{LONG_CODE}"])
    given = a_received(
        "SM1", "stop", recipient=f"whatsapp:{RECIPIENT}", sender=f"whatsapp:{LONG_CODE}"
    )
    [record] = records(Parsed(messages=(given,)), connection).records
    assert InboundMessage.model_validate_json(record.value).carrier_replied is False


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (a_received("1", "x", recipient="Clinic"), "from: is not a number such as +15551234567"),
        (a_received("1", "x", recipient="12345"), "from: is not a number such as +15551234567"),
        (a_received("1", "x", sender="?"), "to: is not a sender"),
        (a_received("1", "x" * 4097), "body: has more than 4096 characters"),
    ],
)
def test_a_message_that_cannot_be_used_is_a_dead_letter(message: Received, why: str) -> None:
    made = records(
        Parsed(messages=(message, a_received("2", "\ud83d half"))), a_connection("twilio")
    )
    letter, good = made.records
    assert (letter.topic, said(letter.headers, "exception.message")) == (TOPICS.dead_letters, why)
    assert (said(letter.headers, "topic"), said(letter.headers, "offset")) == (
        TOPICS.inbound_messages,
        "-1",
    )
    assert orjson.loads(letter.value)["from"] == message.recipient
    assert InboundMessage.model_validate_json(good.value).body == "\ufffd half"
    assert made.counts == {"unreadable": 1, "messages": 1, "passed_over": 0}


def test_a_status_becomes_a_record_of_its_message() -> None:
    parsed = Parsed(
        statuses=(Reported(REFERENCE, "undelivered", 30005, "gone"), Reported("x", "sent"))
    )
    made = records(parsed, a_connection("twilio"))
    [record] = made.records
    assert (record.topic, record.key) == (TOPICS.message_statuses, RECIPIENT.encode())
    value = MessageStatus.model_validate_json(record.value)
    assert (value.message_sid, value.status, value.error_code) == ("SM9", "undelivered", 30005)
    assert (value.messaging_service_sid, value.status_callback) == (SERVICE, "https://a.b/c")
    assert made.counts == {"statuses": 1, "unreferenced": 1, "passed_over": 0}


def test_a_status_of_another_account_is_not_believed() -> None:
    other = written(Reference("SM9", "AC2", None, LONG_CODE, RECIPIENT))
    made = records(Parsed(statuses=(Reported(other, "sent"),)), a_connection("twilio"))
    assert (made.records, made.counts["unreferenced"]) == ([], 1)


@pytest.mark.parametrize(
    "changes",
    [{"message_sid": "SM 9"}, {"account_sid": ""}, {"recipient": "12345"}, {"recipient": ""}],
)
def test_a_status_with_a_forged_reference_is_refused(
    changes: dict[str, str],
) -> None:
    forged = replace(Reference("SM9", ACCOUNT, SERVICE, LONG_CODE, RECIPIENT), **changes)
    with pytest.raises(RecordError, match=r"^ref: is not one of ours$"):
        write_status(Reported(written(forged), "sent"), forged, now_ms=NOW_MS)
    connection = replace(a_connection("twilio"), account_sid=forged.account_sid)
    made = records(Parsed(statuses=(Reported(written(forged), "sent"),)), connection)
    assert (made.records, made.counts) == ([], {"unreferenced": 1, "passed_over": 0})


@given(st.text(alphabet="ab=&+%2041cñ \n;", max_size=40))
@example("a=1&a=1&b&&=c&x==y")
@example("%zz=%C3%28&é=ü")
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert list(pairs_of(text)) == parse_qsl(text, keep_blank_values=True)


def test_a_form_of_too_many_fields_is_not_signed() -> None:
    request = a_request("twilio", b"&".join(b"a%d=1" % n for n in range(1_001)))
    assert not ADAPTERS["twilio"].verify(request, a_connection("twilio"), NOW_S)
