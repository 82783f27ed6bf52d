"""The signature of a request to an application, and its parameters."""

from __future__ import annotations

import pytest

from processor.webhooks.requests import request_of
from processor.webhooks.signature import idempotency_token, sign

TOKEN = "12345"


def test_the_known_vector() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    found = sign(TOKEN, "https://example.com/myapp.php?foo=1&bar=2", form)
    assert found == "L/OH5YylLD5NRKLltdqwSvS0BnU="


def test_a_request_without_a_token_is_unsigned() -> None:
    request = request_of("https://example.com/", "POST", {}, token=None, repeat_token="r")
    assert "X-Twilio-Signature" not in request.headers
    assert request.headers["I-Twilio-Idempotency-Token"] == "r"


@pytest.mark.parametrize(
    ("url", "sent", "authorization"),
    [
        ("https://a.example:444/x?y=1#rc=2", "https://a.example:444/x?y=1", None),
        ("https://u:p%40s@a.example/x", "https://a.example/x", "Basic dTpwQHM="),
        ("https://a.example/é%20'?q=\"ü", "https://a.example/%C3%A9%20'?q=\"%C3%BC", None),
    ],
)
def test_a_url_is_sent_as_configured_without_its_userinfo_and_fragment(
    url: str, sent: str, authorization: str | None
) -> None:
    request = request_of(url, "POST", {"a": "1 ü"}, token=None, repeat_token="r")
    assert (request.url, request.body) == (sent, b"a=1+%C3%BC")
    assert request.headers.get("Authorization") == authorization


def test_repeats_of_one_delivery_share_a_token_and_no_others_do() -> None:
    assert idempotency_token("AC1", "M1.inbound") == idempotency_token("AC1", "M1.inbound")
    others = {("AC1", "M1.inbound"), ("AC2", "M1.inbound"), ("AC1", "M1.failed")}
    assert len({idempotency_token(*each) for each in others}) == 3
