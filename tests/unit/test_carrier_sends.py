"""Messages for carriers: replies, sends and retries are read, and retries are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from processor.carriers.adapter import Sender
from processor.core.events import ReplySend
from processor.core.messages import OptOutType, OutboundSend
from processor.errors import RecordError
from processor.stages.handing_over import HandOver
from processor.webhooks.retries import RetryRules
from processor.wire.carrier_sends import (
    excepted,
    judged,
    message_of,
    read_again,
    read_allowed,
    read_reply,
    send_by,
    write,
)
from processor.wire.events import write_reply
from processor.wire.json_values import MAX_VALUE_BYTES, UNREADABLE, why_unreadable
from processor.wire.topics import Topics
from schemas.carrier_send import CarrierSend
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    NOW,
    NOW_MS,
    OTHER_LONG_CODE,
    RECIPIENT,
    SEND,
    SERVICE,
    decided,
)
from tests.carriers import a_connection
from tests.clinic import a_send

TOPICS = Topics.under("")
AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
RETRY = {
    "message_sid": SEND,
    "account_sid": ACCOUNT,
    "from": LONG_CODE,
    "to": RECIPIENT,
    "body": "Tomorrow at 9.",
}
MORE: dict[str, Any] = {
    "messaging_service_sid": SERVICE,
    "media_urls": ["https://a.b/c.png"],
    "status_callback": "https://a.b/status",
    "attempt": 3,
    "not_before": "2026-11-02T12:00:30.250Z",
}
REPLY = {"reply_to": "START", "send_before": "2026-11-02T12:05:00.000Z", "late_reply": "drop"}


def value_of(**fields: Any) -> bytes:
    return orjson.dumps(RETRY | fields)


def test_a_reply_is_a_message_from_the_sender_that_was_written_to() -> None:
    [reply] = [event for event in decided("START").events if isinstance(event, ReplySend)]
    send = read_reply(write_reply(reply))
    assert (send.message_sid, send.account_sid) == (reply.reply_sid, ACCOUNT)
    assert (send.from_, send.to, send.body) == (LONG_CODE, RECIPIENT, reply.body)
    assert send.reply_to == OptOutType.START
    assert send.send_before == AT + timedelta(minutes=5)
    assert (send.late_reply, send.attempt, send.not_before) == ("send", 1, None)


def test_a_reply_that_waits_for_its_next_try_keeps_its_kind_and_its_end() -> None:
    [reply] = [event for event in decided("STOP").events if isinstance(event, ReplySend)]
    send = read_reply(write_reply(reply))
    later = send.model_copy(update={"attempt": 2, "not_before": AT + timedelta(seconds=30)})
    again = read_again(write(later))
    assert again.model_dump() == later.model_dump()
    assert (again.reply_to, again.attempt) == ("STOP", 2)


@pytest.mark.parametrize("more", [{}, MORE, REPLY, MORE | REPLY])
def test_a_retry_is_read_back_as_it_was_written(more: dict[str, Any]) -> None:
    value = value_of(**more)
    send = read_again(value)
    assert orjson.loads(write(send)) == orjson.loads(value)  # no default takes space
    assert read_again(write(send)) == send


def test_a_send_without_a_sender_goes_out_from_the_one_that_was_chosen() -> None:
    given = read_allowed(
        orjson.dumps(
            a_send(
                SEND,
                **{"from": None, "messaging_service_sid": SERVICE},
                media_urls=MORE["media_urls"],
                status_callback=MORE["status_callback"],
            )
        )
    )
    assert given.from_ is None
    send = send_by(given, OTHER_LONG_CODE)
    assert orjson.loads(write(send)) == {
        **RETRY,
        "messaging_service_sid": SERVICE,
        "from": OTHER_LONG_CODE,
        "body": "Your appointment is tomorrow.",
        "media_urls": MORE["media_urls"],
        "status_callback": MORE["status_callback"],
    }


def test_the_last_look_and_the_status_are_about_the_send() -> None:
    send = read_again(value_of(**MORE))
    assert judged(send, "MG2") == OutboundSend(SEND, ACCOUNT, "MG2", LONG_CODE, RECIPIENT)
    message = message_of(send, NOW_MS + 250)
    assert (message.message_sid, message.account_sid) == (SEND, ACCOUNT)
    assert (message.from_, message.to, message.body) == (LONG_CODE, RECIPIENT, RETRY["body"])
    assert message.messaging_service_sid == SERVICE
    assert message.status_callback == MORE["status_callback"]
    assert message.created_at == AT + timedelta(milliseconds=250)


@pytest.mark.parametrize(
    ("headers", "senders"),
    [
        ([], set()),
        ([("optout.except-from", None)], set()),
        ([("optout.except-from", b"")], set()),
        ([("other", b"12345")], set()),
        ([("optout.except-from", f"{LONG_CODE},12345".encode())], {LONG_CODE, "12345"}),
        ([("optout.except-from", b"1234"), ("optout.except-from", b"12345")], {"12345"}),
    ],
)
def test_r21_the_header_lists_the_senders_that_must_not_send_it(
    headers: list[tuple[str, bytes | None]], senders: set[str]
) -> None:
    assert excepted(headers) == senders


def test_a_header_that_is_not_a_text_is_named_without_its_value() -> None:
    with pytest.raises(RecordError) as refused:
        excepted([("optout.except-from", b"\xff+15550001111")])
    assert str(refused.value) == "the header optout.except-from is not a text"


@pytest.mark.parametrize("read", [read_reply, read_allowed, read_again])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no value: a tombstone has no meaning on this topic"),
        (b"{" + b" " * MAX_VALUE_BYTES, f"{MAX_VALUE_BYTES + 1} bytes; at most"),
        (b"", "not JSON"),
        (b'{"to": "+15557654321x"}', "account_sid: missing"),
        (value_of(to="+15557654321x", created_at=NOW), "to: is not an address: an E.164 number"),
    ],
)
def test_a_value_that_cannot_be_read_says_why_and_repeats_no_number(
    read: Any, value: bytes | None, why: str
) -> None:
    with pytest.raises(UNREADABLE) as refused:
        read(value)
    said = why_unreadable(refused.value)
    assert why in said
    assert "5557654321" not in said


def test_a_retry_counts_its_tries_from_one() -> None:
    assert CarrierSend.model_validate_json(value_of()).attempt == 1
    with pytest.raises(UNREADABLE) as refused:
        read_again(value_of(attempt=0))
    assert why_unreadable(refused.value) == "attempt: Input should be greater than or equal to 1"


@pytest.mark.parametrize(
    ("topic", "not_before", "wait_s"),
    [
        (TOPICS.carrier_retries[0], None, -math.inf),
        (TOPICS.carrier_retries[0], AT + timedelta(seconds=2), 2),
        (TOPICS.carrier_retries[0], AT + timedelta(days=9), 5),
        (TOPICS.allowed_sends, AT + timedelta(days=9), 0),
    ],
)
def test_a_message_waits_as_long_as_it_says_and_never_longer_than_its_topics_delay(
    topic: str, not_before: datetime | None, wait_s: float
) -> None:
    ahead = AT + timedelta(hours=2)
    needs: Any = SimpleNamespace(
        topics=TOPICS, rules=RetryRules(12, 5.0, 3600.0), clock=lambda: ahead
    )
    look: Any = None
    record: Any = SimpleNamespace(topic=topic)
    send = read_again(value_of()).model_copy(update={"not_before": not_before})
    sender = Sender(LONG_CODE, ACCOUNT)
    work = HandOver(needs, look, record, send, (a_connection("twilio"), sender))
    needs.clock = lambda: AT  # as it is corrected
    assert work.wait_s == wait_s
