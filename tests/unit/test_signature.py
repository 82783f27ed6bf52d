"""Signatures, checked by Twilio's own validator."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from processor.webhooks.requests import request_of
from processor.webhooks.signature import idempotency_token, sign, signed_url, with_body_hash

TOKEN = "12345"
VALIDATOR = RequestValidator(TOKEN)

letters = st.text("abcdefghijklmnopqrstuvwxyzABC019._~-", min_size=1, max_size=8)
values = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
fields = st.dictionaries(st.text("ABCabc019", min_size=1, max_size=8), values, max_size=6)
hosts = st.sampled_from(["example.com", "example.com:8443", "example.com:443", "192.0.2.1:80"])
userinfos = st.sampled_from(["", "user:pass@", "user:p%40ss@", "user@"])
queries = st.lists(st.tuples(letters, letters), max_size=3)


@st.composite
def urls(draw: st.DrawFn) -> str:
    path = "/".join(["", *draw(st.lists(letters, min_size=1, max_size=3))])
    query = "&".join(f"{name}={value}" for name, value in draw(queries))
    fragment = draw(st.sampled_from(["", "#rc=2&ct=1000"]))
    scheme = draw(st.sampled_from(["http", "https"]))
    return f"{scheme}://{draw(userinfos)}{draw(hosts)}{path}{'?' if query else ''}{query}{fragment}"


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


@given(urls(), fields)
@example("https://user:pass@example.com:8443/é?ü=1", {"Body": " ¿STOP? \n", "Empty": ""})
def test_the_official_validator_accepts_a_post(url: str, form: dict[str, str]) -> None:
    request = request_of(url, "POST", form, token=TOKEN, repeat_token="r")
    assert VALIDATOR.validate(signed_url(url), form, request.headers["X-Twilio-Signature"])
    other = form | {"Body": form.get("Body", "") + "x"}
    assert not VALIDATOR.validate(signed_url(url), other, request.headers["X-Twilio-Signature"])


@given(urls(), fields)
def test_the_official_validator_accepts_a_get(url: str, form: dict[str, str]) -> None:
    request = request_of(url, "GET", form, token=TOKEN, repeat_token="r")
    assert request.body is None
    assert VALIDATOR.validate(request.url, {}, request.headers["X-Twilio-Signature"])


@given(urls(), fields)
def test_the_official_validator_accepts_json(url: str, form: dict[str, str]) -> None:
    body = json.dumps(form)
    address = with_body_hash(url, body.encode())
    assert VALIDATOR.validate(address, body, sign(TOKEN, address, {}))


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
