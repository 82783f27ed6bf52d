"""Sends as each provider's API takes them, the meaning of its answers, and the pace."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from processor.carriers.adapter import (
    Accepted,
    Again,
    Call,
    NotSendable,
    Outcome,
    Rejected,
    Response,
    Send,
)
from processor.carriers.providers import ADAPTERS
from processor.stages.pace import Pace
from tests.builders import LONG_CODE, RECIPIENT
from tests.carriers import PHONE_ID, SECRETS, a_connection

STATUS_URL = "https://sms.example.com/carriers/x?ref=abc"


def call(provider: str, *, whatsapp: bool = False, **changes: Any) -> Call:
    connection = a_connection(provider)
    [sender] = connection.senders.values()
    fields: dict[str, Any] = {
        "sid": "SM9",
        "sender": sender,
        "recipient": f"whatsapp:{RECIPIENT}" if provider == "whatsapp" else RECIPIENT,
        "body": "Hi & bye",
        "reference": "abc",
        "status_url": STATUS_URL,
    }
    return ADAPTERS[provider].build(Send(**{**fields, **changes}), connection)


def test_twilio_takes_a_form() -> None:
    made = call("twilio", media_urls=("https://a.b/c.png", "https://a.b/d.png"))
    account = "AC0000000000000000000000000000000f"
    assert made.url == f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json"
    assert parse_qsl((made.body or b"").decode()) == [
        ("To", RECIPIENT),
        ("From", LONG_CODE),
        ("Body", "Hi & bye"),
        ("MediaUrl", "https://a.b/c.png"),
        ("MediaUrl", "https://a.b/d.png"),
        ("StatusCallback", STATUS_URL),
    ]
    assert made.headers["Authorization"].startswith("Basic QUMw")
    assert "twilio's token" not in repr(made)


def test_telnyx_takes_json() -> None:
    made = call("telnyx")
    assert (made.method, made.url) == ("POST", "https://api.telnyx.com/v2/messages")
    assert json.loads(made.body or b"") == {
        "from": LONG_CODE,
        "to": RECIPIENT,
        "text": "Hi & bye",
        "webhook_url": STATUS_URL,
    }
    assert made.headers["Authorization"] == "Bearer KEY0123"


def test_r31_whatsapp_takes_a_user_id_in_a_field_of_its_own() -> None:
    said = json.loads(call("whatsapp", recipient="whatsapp:US.1349").body or b"")
    assert (said["recipient"], said["recipient_type"]) == ("US.1349", "individual")
    assert "to" not in said  # there, Meta takes the digits for a number


def test_whatsapp_takes_json_with_our_reference() -> None:
    made = call("whatsapp")
    assert made.url == f"https://graph.facebook.com/v23.0/{PHONE_ID}/messages"
    assert json.loads(made.body or b"") == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": RECIPIENT,
        "type": "text",
        "text": {"body": "Hi & bye"},
        "biz_opaque_callback_data": "abc",
    }
    picture = json.loads(call("whatsapp", media_urls=("https://a.b/c.PNG?d",)).body or b"")
    assert picture["image"] == {"link": "https://a.b/c.PNG?d", "caption": "Hi & bye"}
    sound = json.loads(call("whatsapp", media_urls=("https://a.b/c.mp3",)).body or b"")
    assert sound["audio"] == {"link": "https://a.b/c.mp3"}
    with pytest.raises(NotSendable, match="one medium"):
        call("whatsapp", media_urls=("https://a.b/c.png", "https://a.b/d.png"))


def test_kannel_takes_a_query_and_gets_a_url_for_reports() -> None:
    parts = urlsplit(call("kannel").url)
    assert parts.netloc + parts.path == "127.0.0.1:13013/cgi-bin/sendsms"
    assert {name: one for name, [one] in parse_qs(parts.query).items()} == {
        "username": "optout",
        "password": "kannel's",
        "from": LONG_CODE,
        "to": RECIPIENT,
        "text": "Hi & bye",
        "charset": "UTF-8",
        "coding": "0",
        "dlr-mask": "31",
        "dlr-url": f"{STATUS_URL}&secret=our%20secret&type=%d&time=%T",
    }
    assert parse_qs(urlsplit(call("kannel", body="退订").url).query)["coding"] == ["2"]
    with pytest.raises(NotSendable, match="texts only"):
        call("kannel", media_urls=("https://a.b/c.png",))


def test_a_mapping_says_how_another_provider_takes_it() -> None:
    made = call("generic", body="{to} {secret.secret} {unknown}")
    assert made.headers == {
        "Content-Type": "application/json",
        "Idempotency-Key": "SM9",
        "Authorization": "Bearer generic's secret",
    }
    assert json.loads(made.body or b"") == {
        "from": LONG_CODE,
        "to": RECIPIENT,
        "text": "{to} {secret.secret} {unknown}",  # nothing in a text is filled in
        "callback": STATUS_URL,
    }


OUTCOMES: list[tuple[str, int, bytes, Outcome]] = [
    ("twilio", 201, b'{"sid": "SMx", "status": "queued"}', Accepted("SMx")),
    (
        "twilio",
        400,
        b'{"code": 21211, "message": "The \'To\' number +15557654321 is not valid", "status": 400}',
        Rejected(21211, "The 'To' number … is not valid"),
    ),
    ("twilio", 429, b'{"code": 20429}', Again("429: too many", 1.0, is_ill=False)),
    ("twilio", 401, b'{"code": 20003}', Again("answered 401")),
    ("twilio", 503, b"<html>", Again("answered 503")),
    ("twilio", 302, b"", Again("answered 302")),
    ("telnyx", 200, b'{"data": {"id": "b0c7e8cb"}}', Accepted("b0c7e8cb")),
    (
        "telnyx",
        403,
        b'{"errors": [{"code": "40300", "title": "Blocked due to STOP message"}]}',
        Rejected(40300, "Blocked due to STOP message"),
    ),
    ("whatsapp", 200, b'{"messages": [{"id": "wamid.9"}]}', Accepted("wamid.9")),
    (
        "whatsapp",
        400,
        b'{"error": {"message": "(#131030) not allowed", "code": 131030}}',
        Rejected(131030, "(#131030) not allowed"),
    ),
    (
        "whatsapp",
        400,
        b'{"error": {"message": "x", "code": 130429}}',
        Again("code 130429", 1.0, is_ill=False),
    ),
    (
        "whatsapp",
        401,
        b'{"error": {"message": "x", "code": 190}}',
        Again("code 190: the access token is not valid"),
    ),
    ("kannel", 202, b"0: Accepted for delivery", Accepted(None)),
    ("kannel", 202, b"3: Queued for later delivery", Accepted(None)),
    ("kannel", 400, b"Empty text not allowed", Rejected(None, "Kannel answered 400")),
    ("kannel", 403, b"Authorization failed", Again("answered 403: user or password")),
    ("kannel", 503, b"Temporal failure, try again later.", Again("answered 503")),
    ("generic", 200, b'{"message": {"id": 7}}', Accepted("7")),
    ("generic", 422, b"", Rejected(None, "answered 422")),
]


@pytest.mark.parametrize(("provider", "status", "body", "outcome"), OUTCOMES)
def test_an_answer_means(provider: str, status: int, body: bytes, outcome: Outcome) -> None:
    response = Response(status, body)
    assert ADAPTERS[provider].outcome(response, a_connection(provider)) == outcome


def test_a_provider_may_say_when_to_come_again() -> None:
    found = ADAPTERS["twilio"].outcome(Response(429, b"", 30.0), a_connection("twilio"))
    assert found == Again("429: too many", 30.0, is_ill=False)


@pytest.mark.parametrize("provider", sorted(SECRETS))
@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b'{"data": [], "messages": 3, "error": 4}'])
@pytest.mark.parametrize("status", [200, 302, 400, 500])
def test_no_answer_makes_a_module_raise(provider: str, body: bytes, status: int) -> None:
    ADAPTERS[provider].outcome(Response(status, body), a_connection(provider))


# The pace


class Clock:
    """A clock that only tests move."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_pace_lets_so_many_through_a_second() -> None:
    clock = Clock()
    pace = Pace(lambda: 1.0, clock)
    sent = 0
    for _ in range(1000):  # ten seconds
        clock.now_s += 0.01
        if pace.is_free(20.0):
            assert pace.take(20.0) == 0
            sent += 1
    assert 200 <= sent <= 206


def test_a_worker_has_the_share_of_its_lanes() -> None:
    clock, shares = Clock(), [0.25]
    pace = Pace(lambda: shares[0], clock)
    pace.take(8.0)
    clock.now_s += 0.25
    assert not pace.is_free(8.0)
    clock.now_s += 0.26
    assert pace.is_free(8.0)
    shares[0] = 1.0
    pace.take(8.0)
    clock.now_s += 0.13
    assert pace.is_free(8.0)


def test_replies_may_go_ahead_and_later_sends_wait_for_them() -> None:
    clock = Clock()
    pace = Pace(lambda: 1.0, clock)
    assert [pace.take(2.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    assert not pace.is_free(2.0)
    clock.now_s += 1.6
    assert pace.is_free(2.0)


def test_a_carrier_without_a_limit_has_no_pace() -> None:
    pace = Pace(lambda: 0.0, Clock())
    assert all(pace.is_free(None) and pace.take(None) == 0 for _ in range(100))
