"""Records of topics: read to core values, and written from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from processor.core.events import ReplySent
from processor.core.identity import change_id_of
from processor.core.messages import Arrival, ChannelGroup, ConsentCommand, OptOutType, Scope
from processor.wire import consent_commands, inbound_messages, outbound_messages
from processor.wire.events import write_block_change, write_notification, write_reply
from processor.wire.json_values import to_ms, to_text
from processor.wire.message_statuses import write_refusal
from processor.wire.topics import Topics
from schemas.inbound_message import InboundMessage
from tests.builders import (
    ACCOUNT,
    COMMAND,
    LONG_CODE,
    MESSAGE,
    NOW,
    NOW_MS,
    RECIPIENT,
    SEND,
    SERVICE,
    TOLL_FREE,
    WHATSAPP_RECIPIENT,
    WHATSAPP_SENDER,
    a_block,
    a_cause,
    a_change,
    a_command,
    a_match,
    a_notification,
    a_place,
    a_reply,
    a_send,
    an_inbound,
    command_record,
    inbound_record,
    outbound_record,
)


def as_json(value: bytes) -> Any:
    return json.loads(value)


def as_bytes(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (inbound_record(), an_inbound(service_sid=SERVICE)),
        (
            inbound_record(messaging_service_sid=None, from_country=None, num_media=None),
            an_inbound(from_country=None),
        ),
        (
            {**inbound_record(), "messaging_service_sid": None, "from_country": None},
            an_inbound(from_country=None),
        ),
        (
            inbound_record("Stop 🛑", from_=WHATSAPP_RECIPIENT, to=WHATSAPP_SENDER, num_media=2),
            an_inbound(
                "Stop 🛑",
                service_sid=SERVICE,
                recipient=WHATSAPP_RECIPIENT,
                sender=WHATSAPP_SENDER,
                num_media=2,
            ),
        ),
        (
            inbound_record(received_at="2026-11-02T14:00:00.0006+02:00", surplus=[1, 2]),
            an_inbound(service_sid=SERVICE, received_at_ms=NOW_MS + 1, arrival=Arrival(NOW_MS + 1)),
        ),
        (inbound_record(schema_version=1, body=""), an_inbound("", service_sid=SERVICE)),
    ],
)
def test_an_inbound_record_is_read_to_a_message(record: dict[str, Any], message: object) -> None:
    assert inbound_messages.message_of(inbound_messages.read(as_bytes(record))) == message


def test_an_outbound_record_is_read_to_what_the_gate_judges() -> None:
    fields = outbound_messages.read(as_bytes(outbound_record()))
    assert outbound_messages.send_of(fields, SERVICE) == a_send(service_sid=SERVICE)
    unchosen = outbound_messages.read(as_bytes(outbound_record(from_=None)))
    assert outbound_messages.send_of(unchosen, SERVICE) == a_send(service_sid=SERVICE, sender=None)


def test_a_command_record_is_read_to_a_command() -> None:
    assert consent_commands.read(as_bytes(command_record())) == a_command(
        claimed_ms=NOW_MS, arrival=None
    )


@pytest.mark.parametrize(
    "command",
    [
        a_command(),
        a_command(blocked=False, reason=None),
        a_command(actor="operator", claimed_source="keyword"),
        a_command(scope=Scope.SERVICE, service_sid=SERVICE),
        a_command(scope=Scope.SENDER, sender=LONG_CODE, channel_group=ChannelGroup.WHATSAPP),
    ],
)
def test_a_command_is_read_as_it_was_written(command: ConsentCommand) -> None:
    assert consent_commands.read(consent_commands.write(command)) == replace(command, arrival=None)


def test_a_block_change_is_written_whole() -> None:
    assert as_json(write_block_change(a_change())) == {
        "change_id": change_id_of(MESSAGE, a_place(), ACCOUNT, RECIPIENT, LONG_CODE),
        "account_sid": ACCOUNT,
        "scope": "account",
        "messaging_service_sid": None,
        "sender": None,
        "carrier": False,
        "recipient": RECIPIENT,
        "channel_group": "sms",
        "blocked": True,
        "previous": False,
        "cause": {
            "id": MESSAGE,
            "source": "keyword",
            "kind": "STOP",
            "keyword": "stop",
            "sender": LONG_CODE,
            "message_sid": None,
            "reason": None,
            "claimed_at": None,
            "claimed_source": None,
            "actor": None,
        },
        "standing": {
            "sources": [
                {
                    "kind": "keyword",
                    "change_id": a_change().change_id,
                    "since": NOW,
                    "last": NOW,
                }
            ],
            "only": None,
            "but": [],
            "locked": False,
        },
        "mark": "1793620000000-7",
        "at": NOW,
    }


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (a_place(Scope.SERVICE), ("service", SERVICE, None, False)),
        (a_place(Scope.SENDER), ("sender", None, LONG_CODE, False)),
        (
            a_place(Scope.SENDER, target=TOLL_FREE, carrier=True),
            ("sender", None, TOLL_FREE, True),
        ),
    ],
)
def test_a_block_change_names_its_place(place: Any, names: tuple[object, ...]) -> None:
    record = as_json(write_block_change(a_change(place, blocked=False)))
    fields = ("scope", "messaging_service_sid", "sender", "carrier", "blocked", "previous")
    assert tuple(record[field] for field in fields) == (*names, False, True)


def test_a_change_by_command_names_its_source_and_reason() -> None:
    cause = replace(
        a_cause(OptOutType.STOP, ""),
        id=COMMAND,
        kind=None,
        keyword=None,
        sender=None,
        source="import",
        reason="asked on the phone",
        claimed_ms=NOW_MS,
        claimed_source="keyword",
        actor="operator",
    )
    assert as_json(write_block_change(a_change(cause=cause)))["cause"] == {
        "id": COMMAND,
        "source": "import",
        "kind": None,
        "keyword": None,
        "sender": None,
        "message_sid": None,
        "reason": "asked on the phone",
        "claimed_at": NOW,
        "claimed_source": "keyword",
        "actor": "operator",
    }


def test_a_reply_is_written_whole() -> None:
    reply = a_reply("baja", text="Listo.", language="es")
    assert as_json(write_reply(reply)) == {
        "reply_sid": reply.reply_sid,
        "in_reply_to": MESSAGE,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "body": "Listo.",
        "kind": "STOP",
        "language": "es",
        "send_before": "2026-11-02T12:05:00.000Z",
        "late_reply": "send",
    }


def test_a_reply_goes_back_on_the_channel_the_message_came_by() -> None:
    message = an_inbound(recipient=WHATSAPP_RECIPIENT, sender=WHATSAPP_SENDER)
    record = as_json(write_reply(a_reply(text="x", message=message)))
    assert (record["from"], record["to"]) == (WHATSAPP_SENDER, WHATSAPP_RECIPIENT)


def test_the_sid_of_a_reply_is_its_messages_own() -> None:
    sids = [a_reply(text="x", message=an_inbound(message_sid=sid)).reply_sid for sid in "aab"]
    assert sids[0] == sids[1] != sids[2]
    assert all(len(sid) == 34 and sid.startswith("SM") for sid in sids)


def test_r27_a_notification_has_all_inbound_fields_and_the_decision() -> None:
    assert as_json(write_notification(a_notification("Baja!"))) == {
        "message_sid": MESSAGE,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": RECIPIENT,
        "to": LONG_CODE,
        "body": "Baja!",
        "from_country": "US",
        "num_media": 0,
        "received_at": NOW,
        "carrier_replied": False,
        "user_id": None,
        "kind": "STOP",
        "opt_out_type": "STOP",
        "keyword": "baja",
        "language": "es",
        "country": None,
        "match": "tolerant",
        "suspected": None,
        "effective": True,
        "reply_sent": "aoo",
        "braked": False,
        "config_version": 3,
        "aoo_enabled": True,
        "at": NOW,
    }
    inbound = {info.alias or name for name, info in InboundMessage.model_fields.items()}
    assert inbound - {"schema_version"} <= set(as_json(write_notification(a_notification())))


def test_r27_a_notification_names_the_country_of_the_entry() -> None:
    notification = a_notification(match=a_match("alto", country="MX"))
    assert as_json(write_notification(notification))["country"] == "MX"


def test_r27_without_aoo_there_is_no_opt_out_type() -> None:
    notification = a_notification(
        aoo_enabled=False, reply_sent=ReplySent.DEFAULT, service_sid=None, config_version=None
    )
    record = as_json(write_notification(notification))
    fields = ("kind", "opt_out_type", "aoo_enabled", "reply_sent", "config_version")
    assert tuple(record[field] for field in fields) == ("STOP", None, False, "default", None)


@pytest.mark.parametrize("reply_sent", ReplySent)
@pytest.mark.parametrize("effective", [True, False])
def test_r27_a_notification_says_who_replied_and_whether_it_took_effect(
    reply_sent: ReplySent, effective: bool
) -> None:
    notification = a_notification(reply_sent=reply_sent, effective=effective)
    record = as_json(write_notification(notification))
    assert (record["reply_sent"], record["effective"]) == (reply_sent.value, effective)


def test_r24_a_refused_send_becomes_failed_with_21610_and_names_the_block() -> None:
    fields = outbound_messages.read(as_bytes(outbound_record()))
    assert as_json(write_refusal(fields, a_block(), NOW_MS)) == {
        "message_sid": SEND,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "status": "failed",
        "error_code": 21610,
        "error_message": "Attempt to send to unsubscribed recipient",
        "status_callback": "https://example.com/status",
        "block": {
            "scope": "account",
            "since": "2026-11-02T11:59:00.000Z",
            "change_id": a_block().change_id,
            "mark": "1793620000000-1",
        },
        "at": NOW,
    }


def test_r24_a_refusal_of_a_send_with_the_least_fields_says_so() -> None:
    least = outbound_record(
        messaging_service_sid=None, from_=None, status_callback=None, media_urls=None
    )
    record = as_json(write_refusal(outbound_messages.read(as_bytes(least)), a_block(), NOW_MS))
    fields = ("messaging_service_sid", "from", "status_callback")
    assert [record[field] for field in fields] == [None, None, None]


@pytest.mark.parametrize(
    ("received_at", "at_ms", "text"),
    [
        ("2026-11-02T12:00:00Z", NOW_MS, NOW),
        ("2026-11-02T12:00:00.000999Z", NOW_MS + 1, "2026-11-02T12:00:00.001Z"),
        ("2026-11-02T02:00:00-10:00", NOW_MS, NOW),
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
        ("9998-12-31T23:59:59.9999Z", 253370764800000, "9999-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_milliseconds_within_and_utc_without(
    received_at: str, at_ms: int, text: str
) -> None:
    fields = inbound_messages.read(as_bytes(inbound_record(received_at=received_at)))
    assert (to_ms(fields.received_at), to_text(at_ms)) == (at_ms, text)


def test_topics_have_the_prefix_before_and_the_version_behind() -> None:
    topics = Topics.under("x.")
    assert (topics.inbound_messages, topics.block_list, topics.dead_letters) == (
        "x.inbound-messages.v1",
        "x.block-list.v2",
        "x.dead-letters.v1",
    )


def test_a_send_is_read_as_it_is_written() -> None:
    value = outbound_messages.write(
        message_sid=SEND,
        account_sid=ACCOUNT,
        service_sid=SERVICE,
        sender=None,
        to=RECIPIENT,
        body="Your appointment is tomorrow.",
        media_urls=["https://example.com/map.png"],
        status_callback=None,
        created_at_ms=NOW_MS,
    )
    read = outbound_messages.send_of(outbound_messages.read(value), SERVICE)
    assert (read.message_sid, read.service_sid, read.sender) == (SEND, SERVICE, None)
