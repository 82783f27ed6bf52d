"""The answers of applications, and the errors in them."""

from __future__ import annotations

from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from processor.webhooks.twiml import Answer, Message, read

XML = "text/xml"
BOMB = (
    '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    "<Response><Message>&b;</Message></Response>"
)
OUTSIDE = (
    '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<Response><Message>&x;</Message></Response>"
)


def messages(answer: Answer) -> list[str]:
    return [message.body for message in answer.messages]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, b""),
        ("application/json", b"  \n"),
        (XML, b"<Response/>"),
        ("application/xml; charset=utf-8", b"<?xml version='1.0'?><Response></Response>"),
    ],
)
def test_nothing_is_no_reply(content_type: str | None, body: bytes) -> None:
    assert read(content_type, body) == Answer()


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        (XML, "<Response><Message>Hello</Message></Response>", ["Hello"]),
        (XML, "<Response><Message>a</Message><Sms>b</Sms></Response>", ["a", "b"]),
        ("text/html; charset=utf-8", "<Response><Message>ü</Message></Response>", ["ü"]),
        ("text/plain", "Hello <there>", ["Hello <there>"]),
        ("Text/Plain; charset=UTF-8", "¿Qué?", ["¿Qué?"]),
    ],
)
def test_a_reply_is_read(content_type: str, body: str, said: list[str]) -> None:
    answer = read(content_type, body.encode())
    assert (messages(answer), answer.problems) == (said, ())


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("UTF-8", "utf-8-sig"),
        ("us-ascii", "ascii"),
        ("iso-8859-1", "latin-1"),
        ("Windows-1252", "cp1252"),
        ('"utf-16"', "utf-16"),
        ("utf-16be; x=y", "utf-16-be"),
    ],
)
def test_an_answer_of_another_charset_is_read_as_it_says(charset: str, codec: str) -> None:
    text = "cafe" if codec == "ascii" else "café"
    assert messages(read(f"text/plain; charset={charset}", text.encode(codec))) == [text]
    xml = f"<Response><Message>{text}</Message></Response>"
    assert messages(read(f"text/xml; Charset={charset}", xml.encode(codec))) == [text]


@pytest.mark.parametrize("codec", ["utf-8", "iso-8859-1", "windows-1252", "utf-16"])
def test_xml_is_read_in_the_encoding_that_it_declares(codec: str) -> None:
    declared = f'<?xml version="1.0" encoding="{codec}" standalone="yes"?>'
    xml = f"{declared}<Response><Message>é</Message></Response>"
    assert messages(read("text/xml; charset=punycode", xml.encode(codec))) == ["é"]


UNUSUAL = {*aliases.values(), "idna", "punycode", "undefined"} - {"ascii", "cp1252"}


@pytest.mark.parametrize("codec", sorted(UNUSUAL))
def test_no_codec_is_at_work_for_an_answer_but_the_usual_ones(codec: str) -> None:
    refused = Answer(problems=(12300,))
    assert read(f"text/plain; charset={codec}", b"abc-") == refused
    declared = f"<?xml version='1.0' encoding='{codec}'?><Response><Sms>a</Sms></Response>"
    assert read(XML, declared.encode()) == refused


@pytest.mark.parametrize(
    "body",
    [
        b"<Response>" + 5_000 * b"<Sms>a</Sms>",
        b"<Response>" + 20_000 * b"<a>",
        b"<Response " + b" ".join(b"a%d=''" % number for number in range(5_000)) + b"/>",
    ],
    ids=["messages", "depth", "attributes"],
)
def test_more_markup_than_an_answer_needs_is_not_read(body: bytes) -> None:
    assert read(XML, body) == Answer(problems=(12100,))


def test_the_helper_librarys_answer_is_read_whole() -> None:
    made = MessagingResponse()
    message = made.message(to="+15550001111", from_="+15550002222", action="/status")
    message.body("Look <here> & there")
    message.media("https://example.com/1.png")
    message.media("/2.png")
    assert read(XML, str(made).encode()) == Answer(
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


@pytest.mark.parametrize(
    ("content_type", "body", "problem"),
    [
        (None, "Hello", 12300),
        ("application/json", '{"ok": true}', 12300),
        ("text/plain; charset=none", "Hello", 12300),
        ("text/plain; charset=us-ascii", "é", 12300),
        ("text/xml; charset=us-ascii", "<Response><Message>é</Message></Response>", 12100),
        (XML, "<Response><Message>", 12100),
        (XML, "Hello", 12100),
        (XML, "<html></html>", 12100),
        (XML, BOMB, 12100),
        (XML, OUTSIDE, 12100),
        (XML, "<Response><Redirect>/x</Redirect></Response>", 14110),
        (XML, "<Response><Message/></Response>", 14103),
    ],
)
def test_what_is_wrong_has_twilios_code(content_type: str, body: str, problem: int) -> None:
    assert read(content_type, body.encode()) == Answer(problems=(problem,))


def test_too_many_replies_are_cut_off() -> None:
    body = "<Response>" + "".join(f"<Message>{n}</Message>" for n in range(12)) + "</Response>"
    answer = read(XML, body.encode())
    assert messages(answer) == [str(n) for n in range(10)]
    assert answer.problems == (14109,)


@given(
    st.sampled_from([None, XML, "text/plain", "text/plain;charset=", ";;", "text/xml; charset=x"]),
    st.binary(max_size=60) | st.text("<>/ResponMag&;! ", max_size=60).map(str.encode),
)
def test_nothing_an_application_writes_is_raised(content_type: str | None, body: bytes) -> None:
    assert isinstance(read(content_type, body), Answer)
