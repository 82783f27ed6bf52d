"""What an application answers a request with: TwiML or plain text, to messages to send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_MESSAGES = 10
_XML = ("text/xml", "application/xml", "text/html")  # the last as many frameworks' default
BAD_XML, BAD_TYPE, UNKNOWN_VERB, NO_BODY, TOO_MANY = 12100, 12300, 14110, 14103, 14109


@dataclass(frozen=True, slots=True)
class Message:
    """A message that an application answers with."""

    body: str
    media_urls: tuple[str, ...] = ()
    recipient: str | None = None  # None: who wrote
    sender: str | None = None  # None: the one that was written to
    status_callback: str | None = None  # perhaps relative to the request's URL


@dataclass(frozen=True, slots=True)
class Answer:
    """The messages of an answer, and Twilio's codes of what is wrong with it."""

    messages: tuple[Message, ...] = ()
    problems: tuple[int, ...] = ()

    @property
    def unusable(self) -> bool:
        """Whether nothing of it can be read."""
        return not {BAD_XML, BAD_TYPE}.isdisjoint(self.problems)


def read(content_type: str | None, body: bytes) -> Answer:
    """Read the body of a 2xx answer; what is wrong with it is told, never raised."""
    if not body.strip():
        return Answer()
    kind, charset = _kind_of(content_type)
    if kind == "text/plain":
        try:
            return Answer((Message(body.decode(charset)),))
        except (UnicodeDecodeError, LookupError):
            return Answer(problems=(BAD_TYPE,))
    if kind not in _XML:
        return Answer(problems=(BAD_TYPE,))
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return Answer(problems=(BAD_XML,))
    if root.tag != "Response":
        return Answer(problems=(BAD_XML,))
    return _answer(root)


def _kind_of(content_type: str | None) -> tuple[str, str]:
    kind, _, rest = (content_type or "").partition(";")
    _, _, charset = rest.partition("charset=")
    return kind.strip().lower(), charset.partition(";")[0].strip(" \"'") or "utf-8"


def _answer(root: Element) -> Answer:
    found = [message_or_problem for verb in root for message_or_problem in _read_verb(verb)]
    messages = [one for one in found if isinstance(one, Message)]
    problems = [one for one in found if isinstance(one, int)]
    if len(messages) > MOST_MESSAGES:
        problems.append(TOO_MANY)
    return Answer(tuple(messages[:MOST_MESSAGES]), tuple(dict.fromkeys(problems)))


def _read_verb(verb: Element) -> Iterator[Message | int]:
    if verb.tag not in ("Message", "Sms"):  # the latter is the former's old name
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
