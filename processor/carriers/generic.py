"""A provider without a module: the carrier's document says where its fields are."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from processor.carriers.adapter import (
    Accepted,
    Adapter,
    Call,
    Connection,
    NotSendable,
    Outcome,
    Parsed,
    Received,
    Reported,
    Request,
    Response,
    Send,
    Unreadable,
)
from processor.carriers.values import (
    address,
    at,
    code,
    form_of,
    items,
    json_of,
    mapping,
    milliseconds,
    piece,
    text,
    usual_failure,
)
from schemas.carrier import Received as ReceivedFields

PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[a-z0-9_]+)?)\}")
FILLED = ("sid", "from", "from_id", "to", "body", "media_url", "status_url", "reference")
_PHONE = re.compile(r"\+?[0-9 ().-]+")


def verify(request: Request, connection: Connection, now_s: float) -> bool:
    """Whether the request has our secret, or the body's HMAC by it."""
    secret = connection.secrets["secret"].encode()
    said = connection.mapping
    if said and said.signature_header:
        given = request.headers.get(said.signature_header.lower(), "").removeprefix("sha256=")
        wanted = hmac.digest(secret, request.body, sha256).hex()
        return hmac.compare_digest(given.lower().encode("utf-8", "replace"), wanted.encode())
    if said and said.secret_header:
        found = request.headers.get(said.secret_header.lower(), "")
    else:
        found = form_of(request.query).get("secret", "")
    return hmac.compare_digest(found.encode("utf-8", "replace"), secret)


def parse(request: Request, connection: Connection) -> Parsed:
    """The messages of a request, or the one status of a request with our reference."""
    query = {name: one for name, one in form_of(request.query).items() if name != "secret"}
    value = _value(request, query)
    said = connection.mapping
    if "ref" in query:
        return _status(query["ref"], value, connection)
    fields = said.received if said else None
    if fields is None:
        return Parsed(passed_over=1)
    if fields.messages is None:
        found: list[object] = [value]
    else:
        listed = at(value, fields.messages)
        if not isinstance(listed, list):
            return Parsed(passed_over=1)
        found = list(listed)
    read = [_message(one, fields) for one in found]
    return Parsed(
        messages=tuple(one for one in read if isinstance(one, Received)),
        unreadable=tuple(one for one in read if isinstance(one, Unreadable)),
    )


def _value(request: Request, query: dict[str, str]) -> dict[str, Any]:
    """The fields of a request: JSON, or a form, and the query's where the body has no such."""
    body = json_of(request.body) if request.body else None
    if isinstance(body, dict):
        return {**query, **body}
    return {**query, **form_of(request.body)}


def _message(one: object, fields: ReceivedFields) -> Received | Unreadable:
    id_, recipient = text(at(one, fields.id)), text(at(one, fields.from_))
    sender = text(at(one, fields.to))
    if not (id_ and recipient and sender):
        return Unreadable("id, from or to is missing", piece(one))
    media = at(one, fields.media)
    return Received(
        id=id_,
        recipient=_address(recipient),
        sender=_address(sender),
        body=text(at(one, fields.body)),
        num_media=len(items(media)) or code(media) or 0,
        received_ms=_time(at(one, fields.received_at)),
        user_id=text(at(one, fields.user_id)) or None,
    )


def _address(given: str) -> str:
    return address(given) if _PHONE.fullmatch(given) else given


def _time(value: object) -> int | None:
    found = milliseconds(value)
    if found is not None or not isinstance(value, str):
        return found
    try:
        at_ = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round(1000 * at_.timestamp()) if at_.tzinfo else None


def _status(reference: str, value: dict[str, Any], connection: Connection) -> Parsed:
    fields = connection.mapping.reported if connection.mapping else None
    word = fields.words.get(text(at(value, fields.status))) if fields else None
    if fields is None or word is None:
        return Parsed(passed_over=1)
    return Parsed(statuses=(Reported(reference, word, code(at(value, fields.error))),))


def build(send: Send, connection: Connection) -> Call:
    """The request that the document describes."""
    fields = connection.mapping.sending if connection.mapping else None
    if fields is None:
        raise NotSendable("the carrier's document has no `mapping.sending`")
    if len(send.media_urls) > 1:
        raise NotSendable("a mapping sends one medium with each message")
    given = _given(send, connection)
    headers = {name: filled(one, given) for name, one in fields.headers.items()}
    form = {name: filled(one, given) for name, one in (fields.form or {}).items()}
    if fields.json_ is not None:
        value = {name: filled(one, given) for name, one in fields.json_.items()}
        body = json.dumps(value).encode()
        kind = "application/json"
    else:
        body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
    if fields.method == "GET":
        return Call("GET", f"{connection.api_url}?{urlencode(form)}", headers)
    return Call("POST", connection.api_url, {"Content-Type": kind, **headers}, body)


def _given(send: Send, connection: Connection) -> dict[str, str]:
    return {
        "sid": send.sid,
        "from": send.sender.address,
        "from_id": send.sender.id or "",
        "to": send.recipient,
        "body": send.body,
        "media_url": send.media_urls[0] if send.media_urls else "",
        "status_url": send.status_url or "",
        "reference": send.reference,
        **{f"secret.{name}": secret for name, secret in connection.secrets.items()},
    }


def filled(template: str, given: Mapping[str, str]) -> str:
    """A template with its placeholders filled in; unknown placeholders stay."""
    return PLACEHOLDER.sub(lambda found: given.get(found[1], found[0]), template)


def outcome(response: Response, connection: Connection) -> Outcome:
    """The outcome of a send, by the status of the response."""
    if 200 <= response.status < 300:
        sending = connection.mapping.sending if connection.mapping else None
        path = sending.id if sending else None
        id_ = text(at(mapping(json_of(response.body)), path)) if path else ""
        return Accepted(id_ or None)
    return usual_failure(response, None, f"answered {response.status}")


ADAPTER = Adapter(
    provider="generic",
    verify=verify,
    parse=parse,
    build=build,
    outcome=outcome,
    secrets=("secret",),
    any_secrets=True,
)
