"""Meta's WhatsApp Cloud API: webhooks as signed JSON, several events in each; sends as JSON.

Sources: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks
(messages, and of them system messages), …/whatsapp/business-scoped-user-ids.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from processor.carriers.adapter import (
    Accepted,
    Adapter,
    Again,
    Answer,
    Call,
    Changed,
    Connection,
    NotSendable,
    Outcome,
    Parsed,
    Received,
    Reported,
    Request,
    Response,
    Send,
    Status,
    Unreadable,
)
from processor.carriers.values import (
    address,
    code,
    form_of,
    json_of,
    mapping,
    milliseconds,
    objects,
    piece,
    text,
    usual_failure,
    words,
)

CHANNEL = "whatsapp:"
_VERSION = "v23.0"
_STATUSES: dict[str, Status] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
}
_MEDIA = ("image", "video", "audio", "document", "sticker")
_KINDS = {".jpg": "image", ".jpeg": "image", ".png": "image", ".mp4": "video", ".3gp": "video"}
_KINDS |= {".mp3": "audio", ".ogg": "audio", ".aac": "audio", ".amr": "audio"}
_BUSY = (4, 80007, 130429, 131016, 131048, 131056)  # too many calls or messages; not available
_MOST_REFERENCE = 512
# Types of system messages: the field `user_id_update` of early announcements does not exist.
_CHANGES = ("user_changed_number", "user_changed_user_id")


def challenge(request: Request, connection: Connection) -> Answer | None:
    """The answer to Meta's check of the address, a GET with our own token."""
    if request.method != "GET":
        return None
    query = form_of(request.query)
    token = connection.secrets["verify_token"].encode()
    given = query.get("hub.verify_token", "").encode("utf-8", "replace")
    if query.get("hub.mode") != "subscribe" or not hmac.compare_digest(given, token):
        return Answer(401)
    return Answer(200, query.get("hub.challenge", "").encode())


def verify(request: Request, connection: Connection, now_s: float) -> bool:
    """Whether Meta signed the body: HMAC-SHA256 by the app's secret."""
    mac = hmac.digest(connection.secrets["app_secret"].encode(), request.body, sha256).hex()
    given = request.headers.get("x-hub-signature-256", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, f"sha256={mac}".encode())


def parse(request: Request, connection: Connection) -> Parsed:
    """Every message, status and change of a person's address; other fields are passed over."""
    value = mapping(json_of(request.body))
    if not isinstance(value.get("entry"), list):
        return Parsed(unreadable=(Unreadable("no notification of WhatsApp", request.body),))
    messages: list[Received] = []
    statuses: list[Reported] = []
    unreadable: list[Unreadable] = []
    changes: list[Changed] = []
    passed_over = 0
    for change in _changes(value):
        content = mapping(change.get("value"))
        found = list(objects(content.get("messages"))) if _is_of_messages(change) else []
        told = list(objects(content.get("statuses"))) if _is_of_messages(change) else []
        passed_over += not (found or told)
        sender = _sender(mapping(content.get("metadata")), connection)
        for one in found:
            read = _message(one, content, sender)
            if isinstance(read, Received):
                messages.append(read)
            elif isinstance(read, Changed):
                changes.append(read)
            elif isinstance(read, Unreadable):
                unreadable.append(read)
            else:
                passed_over += 1
        for one in told:
            if status := _STATUSES.get(text(one.get("status"))):
                statuses.append(_status(one, status))
            else:
                passed_over += 1
    return Parsed(tuple(messages), tuple(statuses), tuple(unreadable), tuple(changes), passed_over)


def _changes(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (change for entry in objects(value["entry"]) for change in objects(entry.get("changes")))


def _is_of_messages(change: dict[str, Any]) -> bool:
    return change.get("field") == "messages"


def _sender(metadata: dict[str, Any], connection: Connection) -> str:
    """Our sender of a change; empty where the change does not name it."""
    if ours := connection.with_id(text(metadata.get("phone_number_id"))):
        return ours.address
    number = text(metadata.get("display_phone_number"))
    return address(number, CHANNEL) if number else ""


def _message(
    one: dict[str, Any], content: dict[str, Any], sender: str
) -> Received | Changed | Unreadable | None:
    if text(one.get("type")) == "system":
        return _change(one, sender)
    said = _said(one)
    if said is None:
        return None
    body, num_media = said
    id_, number, user_id = text(one.get("id")), text(one.get("from")), _user_id(one, content)
    if not (id_ and (number or user_id) and sender):
        return Unreadable("id, from or the number it was sent to is missing", piece(one))
    return Received(
        id=id_,
        # A person with a username may hide the number.
        recipient=address(number, CHANNEL) if number else CHANNEL + user_id,
        sender=sender,
        body=body,
        num_media=num_media,
        received_ms=milliseconds(one.get("timestamp")),
        user_id=user_id if number and user_id else None,
    )


def _user_id(one: dict[str, Any], content: dict[str, Any]) -> str:
    """The writer's user id: in the message, or in the contact of its number; empty if none."""
    mine = (
        each
        for each in objects(content.get("contacts"))
        if text(each.get("wa_id")) == text(one.get("from"))  # both empty: the number is hidden
    )
    return text(one.get("from_user_id")) or text(next(mine, {}).get("user_id"))


def _change(one: dict[str, Any], sender: str) -> Changed | Unreadable | None:
    """A person's new number or user id, which a system message says."""
    system = mapping(one.get("system"))
    if text(system.get("type")) not in _CHANGES:
        return None
    id_, number = text(one.get("id")), text(system.get("wa_id"))
    user_id, old = text(system.get("user_id")), text(one.get("from"))
    if not (id_ and sender and (number or user_id)):
        return Unreadable("id, the new number or id, or our number is missing", piece(one))
    old_id = text(system.get("previous_user_id"))
    before = [address(old) if old else "", old_id]
    return Changed(
        id=id_,
        sender=sender,
        before=tuple(filter(None, before)),
        number=address(number) if number else None,
        user_id=user_id or None,
        at_ms=milliseconds(one.get("timestamp")),
    )


def _said(one: dict[str, Any]) -> tuple[str, int] | None:
    """Text and number of media; None for a reaction, an order, … which say nothing to us."""
    kind = text(one.get("type"))
    content = mapping(one.get(kind))
    match kind:
        case "text":
            return text(content.get("body")), 0
        case "button":
            return text(content.get("text")), 0
        case "interactive":
            reply = mapping(content.get(text(content.get("type"))))
            return text(reply.get("title")), 0
        case _ if kind in _MEDIA:
            return text(content.get("caption")), 1
        case "location" | "contacts":
            return "", 0
        case _:
            return None


def _status(one: dict[str, Any], status: Status) -> Reported:
    error = next(objects(one.get("errors")), {})
    return Reported(
        text(one.get("biz_opaque_callback_data")) or None,
        status,
        code(error.get("code")),
        words(error.get("title")) or None,
        milliseconds(one.get("timestamp")),
    )


def build(send: Send, connection: Connection) -> Call:
    """A request that sends a text, or one medium with the text as its caption."""
    if send.sender.id is None:
        raise NotSendable("its sender has no id: WhatsApp's phone_number_id")
    if len(send.media_urls) > 1:
        raise NotSendable("WhatsApp sends one medium with each message")
    fields: dict[str, object] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_to(send.recipient.removeprefix(CHANNEL)),
        **_content(send),
    }
    if 0 < len(send.reference) <= _MOST_REFERENCE:
        fields["biz_opaque_callback_data"] = send.reference
    version = connection.options.get("api_version", _VERSION)
    return Call(
        "POST",
        f"{connection.api_url}/{version}/{send.sender.id}/messages",
        {
            "Authorization": f"Bearer {connection.secrets['access_token']}",
            "Content-Type": "application/json",
        },
        json.dumps(fields).encode(),
    )


def _to(recipient: str) -> dict[str, object]:
    """A number is in `to`, a user id in `recipient`: in `to` it would be taken for a number."""
    return {"to" if recipient.startswith("+") else "recipient": recipient}


def _content(send: Send) -> dict[str, object]:
    if not send.media_urls:
        return {"type": "text", "text": {"body": send.body}}
    [url] = send.media_urls
    end = url.partition("?")[0].lower()
    kind = next((kind for suffix, kind in _KINDS.items() if end.endswith(suffix)), "document")
    caption = {"caption": send.body} if send.body and kind != "audio" else {}
    return {"type": kind, kind: {"link": url, **caption}}


def outcome(response: Response, connection: Connection) -> Outcome:
    """The outcome of a send."""
    answer = mapping(json_of(response.body))
    if 200 <= response.status < 300:
        return Accepted(text(next(objects(answer.get("messages")), {}).get("id")) or None)
    error = mapping(answer.get("error"))
    failed = code(error.get("code"))
    if failed in _BUSY:
        return Again(f"code {failed}", response.retry_after_s or 1.0, is_ill=False)
    if failed == 190:  # the access token: a person can mend it
        return Again("code 190: the access token is not valid")
    return usual_failure(response, failed, words(error.get("message")))


ADAPTER = Adapter(
    provider="whatsapp",
    verify=verify,
    parse=parse,
    build=build,
    outcome=outcome,
    challenge=challenge,
    api_url="https://graph.facebook.com",
    secrets=("app_secret", "access_token", "verify_token"),
    other_options=("api_version",),
)
