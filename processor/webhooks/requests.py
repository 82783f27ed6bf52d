"""A request to an application as it goes out: address, form, and headers that authenticate it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode

from processor.webhooks.addresses import parts_of
from processor.webhooks.retries import Overrides, overrides_of
from processor.webhooks.signature import sign, signed_url

_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))  # ASCII is sent as configured


@dataclass(frozen=True, slots=True)
class Request:
    """The request on the wire."""

    method: str
    url: str  # ASCII, with the query; neither userinfo nor fragment
    headers: Mapping[str, str]
    body: bytes | None
    overrides: Overrides


@dataclass(frozen=True, slots=True)
class Answered:
    """A response; of an application, one that is 2xx."""

    status: int
    content_type: str | None
    body: bytes | None  # None: too large
    retry_after: str | None = None


def request_of(
    url: str, method: str, fields: Mapping[str, str], *, token: str | None, repeat_token: str
) -> Request:
    """Make a request with Twilio's parameters.

    Args:
        url: as configured, possibly with ``user:password@`` and ``#fragment``.
        method: GET puts the fields into the query, POST into a form.
        fields: name to value.
        token: the account's, to sign with; None: unsigned.
        repeat_token: the same for every repetition of this request.
    """
    address, form = signed_url(url), urlencode(fields)
    body = None
    headers = {"I-Twilio-Idempotency-Token": repeat_token}
    if method == "GET":
        address, fields = f"{address}{'&' if parts_of(address).query else '?'}{form}", {}
    else:
        body = form.encode()
        headers["Content-Type"] = _FORM
    if token is not None:
        headers["X-Twilio-Signature"] = sign(token, address, fields)
    userinfo, at, _ = parts_of(url).netloc.rpartition("@")
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(userinfo).encode()).decode()
    return Request(method, quote(address, safe=_AS_IT_IS), headers, body, overrides_of(url))
