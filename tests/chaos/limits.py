"""Records near the limits on input: just under a limit a record is handled, just over it refused.

The limits are those of `deploy/reliability.md`, repeated here by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from processor.kafka.writing import Outgoing
from tests.chaos.traffic import CODECS, Headers, Traffic, Written
from tests.chaos.world import ACCOUNTS, SENDERS, TOLL_FREE, USUAL

VALUE_BYTES = 512 * 1024
LOOKED_AT_BYTES = 1 << 20  # of a refused value, which is still searched for a STOP
RECORD_BYTES = 2 << 20
HEADERS, HEADER_BYTES = 100, 64 * 1024  # the key counts among the bytes
BODY, SID, ADDRESS, MEDIA, MEDIA_URL = 4_096, 64, 68, 10, 2_048
SOURCE, REASON, PARTS = 64, 500, 100
BLOCKS = 100  # of an account on a recipient
_DEEP = b"[" * 5_000 + b"]" * 5_000  # a reader that gets to the end has no limit
_NOT_SO_DEEP = b"[" * 100 + b"]" * 100
_LONG_AGO = "2020-01-01T00:00:00Z"
_STOPS = [body for body, (kind, _) in USUAL.items() if kind == "STOP"]


def over(topic: str, size: int, fields: Mapping[str, Any] | None) -> str | None:
    """The expected reason of a record's dead letter; None if the record is within all limits.

    Args:
        topic: without prefix and version, such as ``inbound-messages``.
        size: of the value in bytes.
        fields: of the value, None if it cannot be read.
    """
    if size > VALUE_BYTES:
        return str(VALUE_BYTES)
    if fields is None:
        return "not JSON"
    sid = "command_id" if topic == "consent-commands" else "message_sid"
    media = fields.get("media_urls") or ()
    limits = {
        sid: len(fields[sid]) > SID,
        "body": len(fields.get("body") or "") > BODY,
        "to": len(fields.get("to") or "") > ADDRESS,
        "media_urls": len(media) > MEDIA or max(map(len, media), default=0) > MEDIA_URL,
        "source": len(fields.get("source") or "") > SOURCE,
        "reason": len(fields.get("reason") or "") > REASON,
    }
    return next((name for name, is_over in limits.items() if is_over), None)


def blocks_all_the_same(size: int, fields: Mapping[str, Any] | None) -> bool:
    """Whether a refused inbound message is a STOP: its author did nothing wrong, so it blocks."""
    if size > LOOKED_AT_BYTES or fields is None or len(fields["body"]) > BODY:
        return False
    return fields["body"].strip(" ") in _STOPS


def passed_on(headers: Headers) -> Headers:
    """The headers that are passed on: from the first, as far as there is room.

    The traffic avoids sizes where the key's few bytes would matter.
    """
    fitting: list[tuple[str, bytes | None]] = []
    room = HEADER_BYTES
    for name, value in headers[:HEADERS]:
        room -= len(name) + len(value or b"")
        if room < 0:
            break
        fitting.append((name, value))
    return fitting


def near_limits(traffic: Traffic) -> Iterator[Sequence[Written]]:
    """Records near each limit, one kind after another, without end."""
    kinds = [*_texts(traffic), *_sends(traffic), *_commands(traffic)]
    while True:
        traffic.chance.shuffle(kinds)
        for make in kinds:
            yield [make()]
        yield _crowd(traffic)
        yield _late(traffic)


def _crowd(traffic: Traffic) -> Sequence[Written]:
    """Commands for more blocks than a recipient may have, by one; the last to arrive is refused."""
    recipient, account = traffic.nobody(), traffic.chance.choice(ACCOUNTS)
    more = {"account_sid": account, "scope": "sender", "blocked": True}
    return [traffic.command(recipient, sender=f"N{number}", **more) for number in range(BLOCKS + 1)]


def _late(traffic: Traffic) -> Sequence[Written]:
    """A START that was sent long before the STOP ahead of it, and so lifts nothing."""
    recipient, account = traffic.nobody(), traffic.chance.choice(ACCOUNTS)
    more = {"account": account, "codec": traffic.chance.choice(CODECS), "received_at": _LONG_AGO}
    return [traffic.text(recipient, TOLL_FREE, body, **more) for body in ("STOP", "START")]


_Makers = Sequence[Callable[[], Written]]


def _texts(traffic: Traffic) -> _Makers:
    sid = traffic.sid

    def text(body: str, sender: str | None = None, **more: Any) -> Written:
        account = traffic.chance.choice(ACCOUNTS)
        sender = sender or traffic.chance.choice(list(SENDERS))
        return traffic.text(traffic.recipient()[0], sender, body, account=account, **more)

    return (
        lambda: _of_size(text("STOP"), VALUE_BYTES),
        lambda: _of_size(text("STOP", refused=True), VALUE_BYTES + 1),
        lambda: _of_size(text("see you", refused=True), VALUE_BYTES + 1),
        lambda: _of_size(text("STOP", refused=True, codec=_packed(traffic)), LOOKED_AT_BYTES + 1),
        lambda: _unreadable(
            _of_size(text("see you", refused=True, codec=_packed(traffic)), RECORD_BYTES + 1)
        ),
        lambda: text(f"{'stop':<{BODY}}"),
        lambda: text("x" * BODY),
        lambda: text(f"{'stop':<{BODY + 1}}", refused=True),
        lambda: text("STOP", sid=sid("M", SID)),
        lambda: text("STOP", sid=sid("M", SID + 1), refused=True),
        lambda: text("STOP", sender=f"rcs:{'a' * (ADDRESS - 4)}"),
        lambda: text("STOP", sender=f"rcs:{'a' * (ADDRESS - 3)}", refused=True),
        lambda: text("HELP", num_media=PARTS),
        # An optional field that cannot be read is left out, and the text is heard (R33).
        lambda: text("Stop!", num_media=PARTS + 1),
        lambda: text("info", num_media=(1 << 64) - 1),
        lambda: text("STOP", headers=_headers(HEADERS - 1)),
        lambda: text("START", headers=_headers(HEADERS + 50)),
        lambda: text("HELP", headers=_headers(60, 1_000)),
        lambda: text("STOP", headers=_headers(80, 1_000)),
        lambda: _with_part(text("START"), _NOT_SO_DEEP),
        lambda: _unreadable(_with_part(text("see you", refused=True), _DEEP)),
    )


def _sends(traffic: Traffic) -> _Makers:
    def send(**more: Any) -> Written:
        account = traffic.chance.choice(ACCOUNTS)
        return traffic.send({}, account, traffic.recipient()[0], **more)

    def url(length: int) -> str:
        return "https://example.com/".ljust(length, "x")

    return (
        lambda: _of_size(send(), VALUE_BYTES),
        lambda: _of_size(send(refused=True), VALUE_BYTES + 1),
        lambda: send(body="x" * BODY),
        lambda: send(body="x" * (BODY + 1), refused=True),
        lambda: send(media_urls=[url(MEDIA_URL)] * MEDIA),
        lambda: send(media_urls=[url(20)] * (MEDIA + 1), refused=True),
        lambda: send(media_urls=[url(MEDIA_URL + 1)], refused=True),
        lambda: send(sid=traffic.sid("S", SID)),
        lambda: send(sid=traffic.sid("S", SID + 1), refused=True),
        lambda: send(headers=_headers(HEADERS - 1)),
        lambda: send(headers=_headers(HEADERS + 50)),
        lambda: send(headers=_headers(60, 1_000)),
        lambda: send(headers=_headers(80, 1_000)),
    )


def _commands(traffic: Traffic) -> _Makers:
    def command(**more: Any) -> Written:
        return traffic.command(traffic.commanded_only(), **more)

    return (
        lambda: command(source="s" * SOURCE, reason="r" * REASON),
        lambda: command(source="s" * (SOURCE + 1), refused=True),
        lambda: command(reason="r" * (REASON + 1), refused=True),
        lambda: command(command_id=traffic.sid("C", SID)),
        lambda: command(command_id=traffic.sid("C", SID + 1), refused=True),
        lambda: _of_size(command(), VALUE_BYTES),
        lambda: _of_size(command(refused=True), VALUE_BYTES + 1),
    )


def _packed(traffic: Traffic) -> str:
    return traffic.chance.choice(CODECS[1:])  # else the broker itself refuses it


def _headers(count: int, size: int = 10) -> Headers:
    return [(f"h{one:03}", b"x" * size) for one in range(count)]


def _of_size(one: Written, size: int) -> Written:
    """The same record with a value of this many bytes."""
    value = one.record.value or b""
    room = size - len(value) - len(b',"x":""')
    return _with_part(one, b'"%s"' % (b"x" * room))


def _with_part(one: Written, part: bytes) -> Written:
    """The same record with an additional, unknown field."""
    record = one.record
    value = (record.value or b"")[:-1] + b',"x":' + part + b"}"
    return replace(one, record=Outgoing(record.topic, record.key, value, record.headers))


def _unreadable(one: Written) -> Written:
    return replace(one, readable=False)
