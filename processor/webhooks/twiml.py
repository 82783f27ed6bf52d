"""Read an application's response, TwiML or plain text, into messages to send."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_MESSAGES = 10
_XML = ("text/xml", "application/xml", "text/html")  # the last is many frameworks' default
BAD_XML, BAD_TYPE, UNKNOWN_VERB, NO_BODY, TOO_MANY = 12100, 12300, 14110, 14103, 14109
# Python knows a hundred more. Some take seconds to decode a response of the allowed size.
_CHARSETS = {
    "utf-8": "utf-8-sig",
    "utf8": "utf-8-sig",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}
_MOST_MARKS = 2_000  # of "<", of "=": each tag or attribute takes microseconds
_DECLARED = re.compile(rb"\s*<\?xml[^>]{1,100}?\sencoding\s*=\s*[\"']([^\"'>]{1,40})[\"']")


@dataclass(frozen=True, slots=True)
class Message:
    """A message in an application's response."""

    body: str
    media_urls: tuple[str, ...] = ()
    recipient: str | None = None  # None: the sender of the inbound message
    sender: str | None = None  # None: the address that the inbound message went to
    status_callback: str | None = None  # may be relative to the request's URL


@dataclass(frozen=True, slots=True)
class Answer:
    """The messages of a response, and Twilio's codes for its errors."""

    messages: tuple[Message, ...] = ()
    problems: tuple[int, ...] = ()

    @property
    def unusable(self) -> bool:
        """Whether nothing in it can be read."""
        return not {BAD_XML, BAD_TYPE}.isdisjoint(self.problems)


def read(content_type: str | None, body: bytes) -> Answer:
    """Read the body of a 2xx response; errors are returned as problems, never raised."""
    if not body.strip():
        return Answer()
    kind, charset = _kind_of(content_type)
    if kind != "text/plain" and kind not in _XML:
        return Answer(problems=(BAD_TYPE,))
    is_xml = kind in _XML
    codec = _CHARSETS.get(((_declared(body) if is_xml else None) or charset or "utf-8").lower())
    if codec is None:
        return Answer(problems=(BAD_TYPE,))
    try:
        text = body.decode(codec)
    except UnicodeError:
        return Answer(problems=(BAD_XML if is_xml else BAD_TYPE,))
    return _read_xml(text) if is_xml else Answer((Message(text),))


def _read_xml(text: str) -> Answer:
    if max(text.count("<"), text.count("=")) > _MOST_MARKS:
        return Answer(problems=(BAD_XML,))
    try:
        root = fromstring(text, forbid_dtd=True)  # expat ignores the declared encoding of a str
    except (ParseError, DefusedXmlException, ValueError):
        return Answer(problems=(BAD_XML,))
    if root.tag != "Response":
        return Answer(problems=(BAD_XML,))
    return _answer(root)


def _kind_of(content_type: str | None) -> tuple[str, str | None]:
    kind, _, rest = (content_type or "").partition(";")
    _, _, charset = rest.lower().partition("charset=")
    return kind.strip().lower(), charset.partition(";")[0].strip(" \"'") or None


def _declared(body: bytes) -> str | None:
    """The encoding that an XML document declares, or None."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    found = _DECLARED.match(body)
    return found[1].decode("latin-1") if found else None


def _answer(root: Element) -> Answer:
    found = [message_or_problem for verb in root for message_or_problem in _read_verb(verb)]
    messages = [one for one in found if isinstance(one, Message)]
    problems = [one for one in found if isinstance(one, int)]
    if len(messages) > MOST_MESSAGES:
        problems.append(TOO_MANY)
    return Answer(tuple(messages[:MOST_MESSAGES]), tuple(dict.fromkeys(problems)))


def _read_verb(verb: Element) -> Iterator[Message | int]:
    if verb.tag not in ("Message", "Sms"):  # Sms is Message's old name
        yield UNKNOWN_VERB
        return
    bodies = verb.findall("Body")
    texts = [_text(body) for body in bodies] if bodies else [(verb.text or "").strip()]
    media = tuple(filter(None, map(_text, verb.findall("Media"))))
    body = " ".join(texts)
    if not body and not media:
        yield NO_BODY
        return
    yield Message(
        body=body,
        media_urls=media,
        recipient=verb.get("to"),
        sender=verb.get("from"),
        status_callback=verb.get("statusCallback") or verb.get("action"),
    )


def _text(element: Element) -> str:
    return "".join(element.itertext()).strip()
