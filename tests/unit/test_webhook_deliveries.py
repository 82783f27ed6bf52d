"""Topic values of the webhooks lane, and how a stage handles one record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import pytest

from processor.core.services import Directory, Webhook
from processor.kafka.writing import Outgoing
from processor.stages.deliver_webhooks import Delivery
from processor.webhooks.client import Client
from processor.webhooks.requests import Answered, Request
from processor.webhooks.twiml import Message
from processor.wire import webhook_deliveries
from processor.wire.credentials import Unopened
from processor.wire.dead_letters import FIRST_BYTES, MOST_REASON
from schemas import MODELS
from schemas.webhook_delivery import WebhookDelivery
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT, SERVICE, a_service
from tests.deliveries import AT, TOPICS, URL, a_delivery, a_record, a_stage, a_status


def test_a_delivery_is_read_as_it_was_written() -> None:
    delivery = webhook_deliveries.read(a_delivery(not_before="2026-11-02T12:00:00.123Z"))
    written = webhook_deliveries.write(delivery)
    assert webhook_deliveries.read(written) == delivery
    assert json.loads(written)["not_before"] == "2026-11-02T12:00:00.123Z"


def test_an_answers_send_has_the_same_sid_whenever_it_is_repeated() -> None:
    delivery = webhook_deliveries.read(a_delivery())
    answer = Message("Hi", ("/a.png",), status_callback="/status")
    sends = [
        webhook_deliveries.send_of(answer, delivery, index=index, url=URL, at=AT)
        for index in (0, 0, 1)
    ]
    assert sends[0] == sends[1]
    assert sends[0].message_sid != sends[2].message_sid
    value = webhook_deliveries.write_send(sends[0])
    MODELS["outbound-messages.v1"].model_validate_json(value)
    assert json.loads(value) == {
        "message_sid": sends[0].message_sid,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "body": "Hi",
        "media_urls": ["https://example.com/a.png"],
        "status_callback": "https://example.com/status",  # carriers read it
        "created_at": "2026-11-02T12:00:00.123Z",
    }


def test_a_status_is_told_where_its_send_or_its_service_says() -> None:
    directory = Directory([a_service(LONG_CODE, status_callback="https://example.com/all")])
    stage = a_stage(directory)

    def url_of(value: bytes) -> str | None:
        work = stage.work_of(a_record(TOPICS.message_statuses, value))
        return work._delivery.url if isinstance(work, Delivery) else None

    assert url_of(a_status(status_callback="https://example.com/one")) == "https://example.com/one"
    assert url_of(a_status()) == "https://example.com/all"
    assert url_of(a_status(account_sid="ACother")) is None


def test_no_application_is_told_that_a_reply_was_sent() -> None:
    stage = a_stage(Directory([a_service(LONG_CODE, status_callback="https://example.com/all")]))

    def is_told(of: bytes, status: str) -> bool:
        record = a_record(TOPICS.message_statuses, a_status(status=status))
        record.headers = (("optout.hand-over", of),)
        return stage.work_of(record) is not None

    assert (is_told(b"send", "sent"), is_told(b"STOP", "sent")) == (True, False)
    assert is_told(b"STOP", "failed")


def test_a_status_is_told_with_the_login_that_the_service_has_for_that_host() -> None:
    webhook = Webhook(URL)
    stage = a_stage(Directory([a_service(LONG_CODE, webhook=webhook)]))

    def url_of(url: str) -> str:
        work = stage.work_of(a_record(TOPICS.message_statuses, a_status(status_callback=url)))
        assert isinstance(work, Delivery)
        return work._delivery.url

    assert url_of("https://example.com/one") == "https://user:secret@example.com/one"
    assert url_of("https://me:own@example.com/one") == "https://me:own@example.com/one"
    assert url_of("https://other.example.com/one") == "https://other.example.com/one"


@pytest.mark.parametrize("topic", [TOPICS.webhook_deliveries, TOPICS.message_statuses])
@pytest.mark.parametrize("value", [None, b"{", b"{}", b"x" * 600_000])
def test_a_record_nobody_can_read_is_put_aside_untouched(topic: str, value: bytes | None) -> None:
    stage = a_stage()
    letter = stage.work_of(a_record(topic, value))
    assert isinstance(letter, Outgoing)
    assert (letter.topic, letter.value) == (TOPICS.dead_letters, value)
    assert dict(letter.headers)["__connect.errors.topic"] == topic.encode()
    assert stage.counts == {"refused": 1}


@pytest.mark.parametrize(
    ("topic", "not_before", "wait_s"),
    [
        (TOPICS.webhook_retries_2, None, -math.inf),
        (TOPICS.webhook_retries_2, AT + timedelta(seconds=2), 2),
        (TOPICS.webhook_retries_2, AT - timedelta(seconds=2), -2),
        (TOPICS.webhook_retries_2, AT + timedelta(days=9), 3),
        (TOPICS.webhook_deliveries, AT + timedelta(days=9), 0),
    ],
)
def test_a_delivery_waits_as_long_as_it_says_and_never_longer_than_its_topics_delay(
    topic: str, not_before: datetime | None, wait_s: float
) -> None:
    later = {"not_before": not_before.isoformat()} if not_before else {}
    stage = a_stage()
    stage.clock = lambda: AT + timedelta(hours=2)
    work = stage.work_of(a_record(topic, a_delivery(**later)))
    assert isinstance(work, Delivery)
    stage.clock = lambda: AT  # as it is corrected
    assert work.wait_s == wait_s


async def what_follows(topic: str, value: bytes, **changes: Any) -> Outgoing:
    """The record after a delivery to a refused address, or to a host that does not exist."""
    stage = a_stage()
    record = a_record(topic, value)
    record.__dict__.update(changes)
    work = stage.work_of(record)
    assert isinstance(work, Delivery)
    [outgoing] = await work.do()
    await stage.client.close()
    return outgoing


@pytest.mark.parametrize(("attempt", "tier", "seconds"), [(1, 0, 1), (2, 1, 3)])
async def test_a_failure_comes_back_later_with_its_next_attempt(
    attempt: int, tier: int, seconds: int
) -> None:
    value = a_delivery(url="http://nobody.invalid/", attempt=attempt)
    again = await what_follows(TOPICS.webhook_retries_1, value)
    assert (again.topic, again.key) == (TOPICS.webhook_retries[tier], RECIPIENT.encode())
    assert again.value is not None
    delivery = webhook_deliveries.read(again.value)
    assert delivery.attempt == attempt + 1
    assert delivery.not_before == AT.replace(microsecond=123000) + timedelta(seconds=seconds)


def test_what_is_put_off_comes_back_as_what_failed_does() -> None:
    stage = a_stage()
    work = stage.work_of(a_record(TOPICS.webhook_deliveries, a_delivery()))
    assert isinstance(work, Delivery)
    [again] = work.put_off()
    work.committed()
    assert (again.topic, stage.counts) == (
        TOPICS.webhook_retries_1,
        {"failed.busy": 1, "retried": 1},
    )


class Sealed:
    """Tokens that can no longer be opened."""

    def __init__(self) -> None:
        self.asked = 0
        self.open_at_first = 0

    async def wait_loaded(self) -> None:
        """Return at once: the tokens are known."""

    def token_of(self, account_sid: str) -> str | Unopened:
        self.asked += 1
        return "a token" if self.asked <= self.open_at_first else Unopened("1a2b3c4d")

    def unopened(self) -> Mapping[str, Unopened]:
        return {ACCOUNT: Unopened("1a2b3c4d")}


@pytest.mark.parametrize("open_at_first", [0, 1])
@pytest.mark.parametrize("attempt", [1, 3, 99])
async def test_what_cannot_be_signed_is_never_sent_and_never_given_up(
    attempt: int, open_at_first: int, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Request] = []

    async def ask(request: Request) -> Answered:
        asked.append(request)
        return Answered(200, None, b"")

    stage = a_stage()
    stage.tokens = tokens = Sealed()
    tokens.open_at_first = open_at_first
    stage.client = cast(Client, SimpleNamespace(ask=ask))
    value = a_delivery(attempt=attempt, url=f"{URL}#rc=0&rp=5xx", fallback_url=URL)
    work = stage.work_of(a_record(TOPICS.webhook_deliveries, value))
    assert isinstance(work, Delivery)
    [again] = await work.do()
    assert (asked, again.topic) == ([], TOPICS.webhook_retries_4)
    assert again.value is not None
    delivery = webhook_deliveries.read(again.value)
    assert delivery.attempt == attempt
    assert delivery.not_before == AT.replace(microsecond=123000) + timedelta(seconds=27)
    assert "dead_lettered" not in stage.counts
    [told] = [record for record in caplog.records if record.message == "webhooks.sealed"]
    assert vars(told)["account"] == ACCOUNT
    assert vars(told)["key"] == "1a2b3c4d"


async def test_a_dead_letter_begins_anew_when_it_is_sent_back_behind_nothing_that_waits() -> None:
    url = "http://nobody.invalid/"
    letter = await what_follows(TOPICS.webhook_retries_4, a_delivery(url=url, attempt=3))
    assert letter.topic == TOPICS.dead_letters
    assert letter.value is not None
    assert webhook_deliveries.read(letter.value) == webhook_deliveries.read(a_delivery(url=url))
    said = {name: (text or b"").decode() for name, text in letter.headers}
    assert said["__connect.errors.topic"] == TOPICS.webhook_deliveries
    assert said["__connect.errors.exception.message"].endswith("attempt 3")


async def test_a_status_is_sent_back_as_what_it_asked_for() -> None:
    value = a_status(status_callback="http://127.0.0.1:9/secret")
    letter = await what_follows(TOPICS.message_statuses, value)
    said = {name: (text or b"").decode() for name, text in letter.headers}
    assert said["__connect.errors.topic"] == TOPICS.webhook_deliveries
    assert "secret" not in said["__connect.errors.exception.message"]
    assert letter.value is not None
    assert webhook_deliveries.read(letter.value).parameters["ErrorCode"] == "30003"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://[", "11200: the URL has no proper host and port; attempt 1"),
        ("http://a℀b.com", "11200: the URL has no proper host and port; attempt 1"),
        ("http://x:secret@a.b:0x1/", "11200: the URL has no proper host and port; attempt 1"),
        ("http://\x1bcsecret", "11200: the URL has white space, a control character or a backs"),
        ("http://secret\\b/", "11200: the URL has white space, a control character or a backs"),
    ],
)
async def test_a_url_nobody_can_ask_is_said_to_be_one(url: str, reason: str) -> None:
    letter = await what_follows(TOPICS.message_statuses, a_status(status_callback=url))
    said = {name: (text or b"").decode() for name, text in letter.headers}
    assert said["__connect.errors.exception.message"].startswith(reason)
    assert "secret" not in str(letter.headers)


def test_a_dead_letters_reason_ends_where_nobody_reads_on() -> None:
    parameters = {f"name{number}": number for number in range(10_000)}
    letter = a_stage().work_of(
        a_record(TOPICS.webhook_deliveries, a_delivery(parameters=parameters))
    )
    assert isinstance(letter, Outgoing)
    why = dict(letter.headers)["__connect.errors.exception.message"]
    assert why is not None
    assert why.startswith(b"parameters.name0: Input should be a valid string; ")
    assert len(why) == MOST_REASON


def test_what_no_topic_has_room_for_is_referred_to() -> None:
    value = b"x" * 5_000_000
    letter = a_stage().put_aside(a_record(TOPICS.message_statuses, value), "too large", whole=False)
    said = {name: (text or b"").decode() for name, text in letter.headers}
    assert letter.value == value[:FIRST_BYTES]
    assert (letter.topic, letter.key) == (TOPICS.dead_letters, RECIPIENT.encode())
    assert said["__connect.errors.topic"] == TOPICS.message_statuses
    assert said["__connect.errors.offset"] == "7"
    reference = json.loads(said["optout.reference"])
    assert reference["size"] == 5_000_000
    assert reference["sha256"] == sha256(value).hexdigest()


async def test_what_an_answer_led_to_is_counted_once_it_is_committed() -> None:
    stage = a_stage()
    xml = b"<Response><Message to='five'>a</Message><Message>b</Message></Response>"

    async def ask(request: Request) -> Answered:
        return Answered(200, "text/xml", xml)

    stage.client = cast(Client, SimpleNamespace(ask=ask))
    record = a_record(TOPICS.webhook_deliveries, a_delivery())
    again = [stage.work_of(record) for _ in range(2)]  # the first commit fails
    for work in again:
        assert isinstance(work, Delivery)
        assert len(await work.do()) == 1
        assert work.is_made
        assert stage.counts == {}
    assert isinstance(again[1], Delivery)
    again[1].committed()
    assert stage.counts == {"delivered": 1, "answers": 1, "answer_problems.12200": 1}


def test_a_fault_of_ours_is_said_without_the_records_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = a_stage()

    def quoting() -> None:
        raise ValueError("secret")

    with pytest.raises(ValueError, match="secret") as raised:
        quoting()
    letter = stage.unexpected(a_record(TOPICS.message_statuses, a_status()), raised.value)
    said = {name: (text or b"").decode() for name, text in letter.headers}
    assert said["__connect.errors.exception.message"] == (
        "unexpected ValueError while it was decided on: please report it"
    )
    assert "secret" not in caplog.text
    assert stage.counts == {"unexpected": 1}


def test_a_delivery_says_whether_it_may_be_answered() -> None:
    inbound = WebhookDelivery.model_validate_json(a_delivery())
    status = WebhookDelivery.model_validate_json(a_delivery(parameters={"SmsStatus": "sent"}))
    assert webhook_deliveries.is_inbound(inbound)
    assert not webhook_deliveries.is_inbound(status)
