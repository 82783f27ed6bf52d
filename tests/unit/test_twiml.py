"""What applications answer with, and what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from processor.wire.twiml import Answer, Message, read

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


def test_text_of_another_character_set_is_read_as_it_says() -> None:
    assert messages(read("text/plain; charset=iso-8859-1", "é".encode("latin-1"))) == ["é"]


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
