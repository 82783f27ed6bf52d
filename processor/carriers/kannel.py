"""Kannel's smsbox: messages and reports by `get-url` and `dlr-url`, sends by `sendsms`.

The service's `get-url` ends in
``?secret=…&id=%I&from=%p&to=%P&text=%b&coding=%c&charset=%C&time=%T``, with `max-messages = 0`,
and smsbox needs `http-request-retry`.

Source: https://www.kannel.org/download/1.4.5/userguide-1.4.5/userguide.html
"""

from __future__ import annotations

import hmac
from urllib.parse import quote, unquote_to_bytes, urlencode

from processor.carriers.adapter import (
    Accepted,
    Adapter,
    Again,
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
    Status,
    Unreadable,
)
from processor.carriers.values import address, form_of, milliseconds, piece, usual_failure
from processor.core.segments import Encoding, segments_of

_STATUSES: dict[str, Status] = {
    "1": "delivered",
    "2": "undelivered",
    "4": "queued",
    "8": "sent",
    "16": "undelivered",
}
_ALL_REPORTS = "31"
_UCS_2 = "2"


def verify(request: Request, connection: Connection, now_s: float) -> bool:
    """Whether the query has our secret: Kannel signs nothing."""
    given = form_of(request.query).get("secret", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, connection.secrets["secret"].encode())


def parse(request: Request, connection: Connection) -> Parsed:
    """One message, or one report."""
    query = form_of(request.query)
    if "ref" in query:
        status = _STATUSES.get(query.get("type", ""))
        if status is None:
            return Parsed(passed_over=1)
        at_ms = milliseconds(query.get("time"))
        return Parsed(statuses=(Reported(query["ref"], status, at_ms=at_ms),))
    id_, recipient, sender = (query.get(name, "") for name in ("id", "from", "to"))
    if not (id_ and recipient and sender):
        kept = {name: value for name, value in query.items() if name != "secret"}
        return Parsed(unreadable=(Unreadable("id, from or to is missing", piece(kept)),))
    message = Received(
        id=id_,
        recipient=address(_with_plus(recipient)),
        sender=address(_with_plus(sender)),
        body=_body(request.query, query),
        received_ms=milliseconds(query.get("time")),
    )
    return Parsed(messages=(message,))


def _with_plus(given: str) -> str:
    """A number whose ``+`` came as it is: in a query it means a space."""
    return "+" + given.lstrip() if given.startswith(" ") else given


def _body(raw: str, query: dict[str, str]) -> str:
    """The text; one in UCS-2 comes as its bytes."""
    charset = query.get("charset", "").upper().replace("_", "-")
    if query.get("coding") != _UCS_2 or not charset.startswith(("UTF-16", "UTF16", "UCS-2")):
        return query.get("text", "")
    parts = (part.partition("=") for part in raw.split("&"))
    found = next((value for name, _, value in parts if name == "text"), "")
    return unquote_to_bytes(found.replace("+", "%20")).decode("utf-16-be", "replace")


def build(send: Send, connection: Connection) -> Call:
    """A request to `sendsms`; texts that GSM-7 lacks are sent as UCS-2."""
    if send.media_urls:
        raise NotSendable("Kannel sends texts only")
    is_plain = segments_of(send.body).encoding is Encoding.GSM_7
    fields = {
        "username": connection.options["username"],
        "password": connection.secrets["password"],
        "from": send.sender.address,
        "to": send.recipient,
        "text": send.body,
        "charset": "UTF-8",
        "coding": "0" if is_plain else _UCS_2,
    }
    if smsc := connection.options.get("smsc"):
        fields["smsc"] = smsc
    if send.status_url:
        secret = quote(connection.secrets["secret"], safe="")
        fields["dlr-mask"] = _ALL_REPORTS
        fields["dlr-url"] = f"{send.status_url}&secret={secret}&type=%d&time=%T"
    return Call("GET", f"{connection.api_url}?{urlencode(fields)}", {})


def outcome(response: Response, connection: Connection) -> Outcome:
    """The outcome of a send: 202 means accepted or queued, 503 that no SMSC takes it now."""
    if 200 <= response.status < 300:
        return Accepted(None)
    if response.status == 403:  # the user or the password: a person can mend it
        return Again("answered 403: user or password")
    return usual_failure(response, None, f"Kannel answered {response.status}")


ADAPTER = Adapter(
    provider="kannel",
    verify=verify,
    parse=parse,
    build=build,
    outcome=outcome,
    secrets=("secret", "password"),
    options=("username",),
    other_options=("smsc",),
)
