"""The reference that a provider gives back with each report: it names our message."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import astuple, dataclass
from hashlib import blake2b

MOST_CHARACTERS = 512  # WhatsApp's limit


@dataclass(frozen=True, slots=True)
class Reference:
    """A message that was handed over."""

    message_sid: str
    account_sid: str
    service_sid: str | None
    sender: str
    recipient: str
    status_callback: str | None = None


def written(reference: Reference) -> str:
    """The reference as a text for URLs; a callback that has no room is left out."""
    text = _text(reference, reference.status_callback)
    return text if len(text) <= MOST_CHARACTERS else _text(reference, None)


def _text(reference: Reference, callback: str | None) -> str:
    fields = [*astuple(reference)[:-1], callback]
    said = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def read(text: str | None) -> Reference | None:
    """The reference in a report; None where there is none of ours."""
    if not text or len(text) > 2 * MOST_CHARACTERS:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        fields = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None
    if not isinstance(fields, list) or len(fields) != 6:
        return None
    needed, optional = [fields[i] for i in (0, 1, 3, 4)], [fields[i] for i in (2, 5)]
    if not all(isinstance(one, str) for one in needed):
        return None
    if not all(one is None or isinstance(one, str) for one in optional):
        return None
    return Reference(*fields)


def message_sid_of(carrier: str, id_: str) -> str:
    """The sid of a message, from its carrier's name and the carrier's own id (R22)."""
    said = f"{len(carrier)}:{carrier}{id_}".encode()
    return "SM" + blake2b(said, digest_size=16).hexdigest()
