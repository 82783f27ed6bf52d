"""The texts that fill records with holes, and the values that they make.

Compiled code makes them (``_texts.c``), where a compiler was found when the package was built.
"""

from __future__ import annotations

from processor.core.events import send_before_ms
from processor.core.fold import Hit
from processor.wire.json_values import to_text
from processor.wire.records import Header, Parts, Row, Texts

try:
    from processor.wire import _texts as native
except ImportError:  # pragma: no cover  # it was built where coverage is measured
    native = None  # type: ignore[assignment]  # Python makes them


def texts_of(hit: Hit, offset: int, rest: Texts) -> Texts:
    """All of a message that its outputs repeat: of sid, recipient, times and place.

    Args:
        hit: the message, which a form fits.
        offset: of its record.
        rest: texts to put behind these.
    """
    message = hit.message
    _, tail, reply_sid = hit.ids
    at_ms, before_ms = message.arrival.appended_ms, send_before_ms(message.arrival)
    if native is not None:
        return native.texts(
            message.message_sid,
            message.recipient,
            tail,
            reply_sid,
            message.received_at_ms,
            at_ms,
            before_ms,
            offset,
            rest,
        )
    return (
        *(one.encode() for one in (message.message_sid, message.recipient, tail, reply_sid)),
        *(to_text(one).encode() for one in (message.received_at_ms, at_ms, before_ms)),
        b"%d" % at_ms,
        b"%d" % offset,
        *rest,
    )


def filled(parts: Parts, texts: Texts) -> bytes:
    """The value with all holes filled."""
    if native is not None:
        return native.filled(parts, texts)
    return b"".join([part if isinstance(part, bytes) else texts[part] for part in parts])


def record_of(row: Row) -> tuple[bytes, bytes, list[Header]]:
    """Key, value and headers of a record with all holes filled."""
    form, texts = row
    headers: list[Header] = [(name, filled(parts, texts)) for name, parts in form.headers]
    return filled(form.key, texts), filled(form.value, texts), headers
