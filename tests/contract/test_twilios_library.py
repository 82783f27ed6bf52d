"""Signatures and applications' answers, compared with Twilio's own library."""

from __future__ import annotations

import json
from hashlib import sha256

from hypothesis import example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from processor.webhooks.addresses import parts_of
from processor.webhooks.requests import request_of
from processor.webhooks.signature import sign, signed_url
from processor.webhooks.twiml import Answer, Message, read

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
    address = signed_url(url)  # where the body is not a form, the address names its hash
    digest = sha256(body.encode()).hexdigest()
    address += f"{'&' if parts_of(address).query else '?'}bodySHA256={digest}"
    assert VALIDATOR.validate(address, body, sign(TOKEN, address, {}))


def test_the_helper_librarys_answer_is_read_whole() -> None:
    made = MessagingResponse()
    message = made.message(to="+15550001111", from_="+15550002222", action="/status")
    message.body("Look <here> & there")
    message.media("https://example.com/1.png")
    message.media("/2.png")
    assert read("text/xml", str(made).encode()) == Answer(
        (
            Message(
                "Look <here> & there",
                ("https://example.com/1.png", "/2.png"),
                "+15550001111",
                "+15550002222",
                "/status",
            ),
        )
    )
