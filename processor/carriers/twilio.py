"""Twilio's Programmable Messaging: webhooks as signed forms, sends by its REST API.

Sources: https://www.twilio.com/docs/usage/webhooks/webhooks-security (the signature),
https://www.twilio.com/docs/messaging/guides/webhook-request (the fields),
https://www.twilio.com/docs/messaging/api/message-resource (sends).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from hashlib import sha1
from typing import get_args
from urllib.parse import quote, urlencode, urlsplit

from processor.carriers.adapter import (
    Accepted,
    Adapter,
    Answer,
    Call,
    Connection,
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
    basic,
    code,
    form_of,
    json_of,
    mapping,
    pairs_of,
    piece,
    text,
    usual_failure,
    words,
)

_STATUSES: frozenset[str] = frozenset(get_args(Status))
_PORTS = {"http": 80, "https": 443}


def verify(request: Request, connection: Connection, now_s: float) -> bool:
    """Whether Twilio signed the request: HMAC-SHA1 of URL and form by the auth token."""
    try:
        form = pairs_of(request.body.decode())
    except ValueError:
        return False
    fields = "".join(name + value for name, value in sorted(set(form)))
    given = request.headers.get("x-twilio-signature", "").encode("utf-8", "replace")
    token = connection.secrets["auth_token"].encode()
    return any(
        hmac.compare_digest(_signature(token, url + fields), given) for url in _spellings(request)
    )


def _signature(token: bytes, said: str) -> bytes:
    return base64.b64encode(hmac.digest(token, said.encode("utf-8", "replace"), sha1))


def _spellings(request: Request) -> Iterator[str]:
    """The URL with and without its usual port: Twilio signs either."""
    yield request.url
    parts = urlsplit(request.url)
    host, _, port = parts.netloc.rpartition(":")
    usual = str(_PORTS.get(parts.scheme, ""))
    if host and port == usual:
        yield parts._replace(netloc=host).geturl()
    elif not (host and port.isdigit()):
        yield parts._replace(netloc=f"{parts.netloc}:{usual}").geturl()


def parse(request: Request, connection: Connection) -> Parsed:
    """One message, or one status."""
    form = form_of(request.body)
    if form.get("SmsStatus") == "received" or ("Body" in form and "MessageStatus" not in form):
        return _message(form)
    status = form.get("MessageStatus", "")
    if not status:
        return Parsed(passed_over=1)
    if status not in _STATUSES:
        return Parsed(passed_over=1)
    reference = form_of(request.query).get("ref")
    failed = code(form.get("ErrorCode"))
    said = words(form.get("ErrorMessage")) or None
    return Parsed(statuses=(Reported(reference, _status_of(status), failed, said),))


def _status_of(said: str) -> Status:
    found: Status = next(one for one in get_args(Status) if one == said)
    return found


def _message(form: dict[str, str]) -> Parsed:
    id_, recipient, sender = (form.get(name, "") for name in ("MessageSid", "From", "To"))
    if not (id_ and recipient and sender):
        return Parsed(unreadable=(Unreadable("MessageSid, From or To is missing", piece(form)),))
    media = form.get("NumMedia", "")
    message = Received(
        id=id_,
        recipient=recipient,
        sender=sender,
        body=form.get("Body", ""),
        num_media=code(media) or 0,
        country=form.get("FromCountry") or None,
        user_id=form.get("ExternalUserId") or None,
    )
    return Parsed(messages=(message,))


def build(send: Send, connection: Connection) -> Call:
    """A request that creates a message; the API has no idempotency key."""
    account = connection.options["account"]
    fields = [("To", send.recipient), ("From", send.sender.address), ("Body", send.body)]
    fields += [("MediaUrl", url) for url in send.media_urls]
    if send.status_url:
        fields.append(("StatusCallback", send.status_url))
    user = connection.options.get("api_key", account)
    password = connection.secrets.get("api_secret") or connection.secrets["auth_token"]
    return Call(
        "POST",
        f"{connection.api_url}/2010-04-01/Accounts/{quote(account, safe='')}/Messages.json",
        {
            "Authorization": basic(user, password),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        urlencode(fields).encode(),
    )


def outcome(response: Response, connection: Connection) -> Outcome:
    """The outcome of a send."""
    answer = mapping(json_of(response.body))
    if 200 <= response.status < 300:
        return Accepted(text(answer.get("sid")) or None)
    return usual_failure(response, code(answer.get("code")), words(answer.get("message")))


ADAPTER = Adapter(
    provider="twilio",
    verify=verify,
    parse=parse,
    build=build,
    outcome=outcome,
    answer=Answer(200, b"<Response/>", "text/xml; charset=utf-8"),
    api_url="https://api.twilio.com",
    # Its default handling; Advanced Opt-Out there may have others.
    answers=(
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("start", "yes", "unstop", "help", "info"),
    ),
    secrets=("auth_token",),
    options=("account",),
    other_secrets=("api_secret",),
    other_options=("api_key",),
)
