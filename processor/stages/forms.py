"""Outputs of keywords from recipients without blocks: made once, then filled in for each message.

The outcome of such a keyword depends on the keyword, its service and the settings. Its outputs only
repeat the message's sid, recipient and times. So two models of a message are decided on and put out
as any message is. The outputs of the first become a form, with a hole for each of these texts. A
form that does not make those of the second, byte by byte, is not used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from processor.core.blocks import Mark
from processor.core.events import Event, OptOutNotification, ReplySend, send_before_ms
from processor.core.fold import Hit, Item, Ordinary, fold, key_of
from processor.core.identity import reply_sid_of, tail_of
from processor.core.messages import Arrival, InboundMessage, Scope
from processor.stores.owned_list import Entries
from processor.wire import blocks as wire_blocks
from processor.wire.json_values import to_text
from processor.wire.records import Header, Parts, Record, Texts, filled

_MOST = 2_000  # forms, of some 3 KB
_LONGEST = 40  # characters of a body: few texts are sent often, and those are short
_FIRST = ("SM1f0e7c55a2b94d0d8c3fb6a0e91d2c47", "+199374610582637", 32_503_680_123_457)
_SECOND = ("SM-2", "+4", 40_748_659_876_543)

Rendered: TypeAlias = tuple[str, bytes, Sequence[Header]]  # topic, value, headers of the event
Render: TypeAlias = Callable[[Event], Rendered]


class FormRecord(NamedTuple):
    """An output, with holes."""

    topic: str
    value: Parts
    headers: tuple[tuple[str, Parts], ...]


@dataclass(frozen=True, slots=True)
class Form:
    """The outcome of a keyword from a recipient without blocks."""

    notification: OptOutNotification  # of a model, for metrics
    records: Sequence[FormRecord]
    entry: Parts | None  # of `block-list`; None: the list does not change
    packed: Parts | None  # the same in Redis
    is_answered: bool


@dataclass(slots=True)
class _Seen:
    """A message of a kind, and the form of all like it."""

    hit: Hit
    form: Form | None = None
    was_tried: bool = False


def texts_of(message: InboundMessage, mark: bytes) -> Texts:
    """The texts that fill a form: of sid, recipient and times, all that the outputs have."""
    at_ms = message.arrival.appended_ms
    return (
        message.message_sid.encode(),
        message.recipient.encode(),
        tail_of(message).encode(),
        reply_sid_of(message).encode(),
        to_text(message.received_at_ms).encode(),
        to_text(at_ms).encode(),
        to_text(send_before_ms(message.arrival)).encode(),
        mark,
        b"%d" % at_ms,
    )


class Forms:
    """The forms of a process; its lanes share them."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], _Seen] = {}

    def fit(
        self,
        pairs: Sequence[tuple[Record, Item | Ordinary]],
        before: Entries,
        scope: Scope,
        render: Render,
    ) -> Mapping[int, Form]:
        """The messages of a batch that a form fits, by their index; the others must be folded.

        No other item of the batch is about the recipient of such a message.

        Args:
            pairs: the batch, in order.
            before: the entries before it.
            scope: of new blocks.
            render: makes an event's output.
        """
        found: dict[int, Form] = {}
        keys = [key_of(item) for _, item in pairs]
        often = Counter(keys)
        for index, ((record, item), key) in enumerate(zip(pairs, keys, strict=True)):
            if (
                isinstance(item, Hit)
                and often[key] == 1
                and not before.blocks[key]
                and key not in before.names
                and not record.headers
                and _is_plain(item)
            ):
                if item.handled.id in before.seen or item.brake.id in before.replied:
                    continue
                if form := self._form_of(item, scope, render):
                    found[index] = form
        return found

    def _form_of(self, hit: Hit, scope: Scope, render: Render) -> Form | None:
        """The form of a message that came before, but for sid, recipient and times."""
        one = hit.message
        same = (
            one.account_sid,
            one.service_sid,
            one.sender,
            one.body,
            one.from_country,
            one.num_media,
            one.carrier_replied,
        )
        known = self._made.get(same)
        if known and _is_like(known.hit, hit):
            if known.form is None and not known.was_tried:
                known.form, known.was_tried = form_of(hit, scope, render), True
            return known.form
        if len(self._made) >= _MOST:
            self._made.clear()
        self._made[same] = _Seen(hit)  # the next one like it gets a form
        return None


def _is_plain(hit: Hit) -> bool:
    """Whether nothing is special about a message: nearly all keywords are."""
    message = hit.message
    return (
        message.recipient[:1] == "+"
        and message.user_id is None
        and message.recipient[1:2] != "5"  # its key may be another (R32)
        and len(message.body) <= _LONGEST
        and message.arrival.first_ms is None
        and hit.match.finding is None
    )


def _is_like(one: Hit, other: Hit) -> bool:
    """Whether two messages with the same texts match alike: a configuration may have changed."""
    return (
        one.match is other.match and one.handling is other.handling and one.country == other.country
    )


def form_of(hit: Hit, scope: Scope, render: Render) -> Form | None:
    """The form of a keyword; None where none fits, as something else of it is in its outputs."""
    first, mark = _model(hit, *_FIRST)
    form = _made(first, mark, scope, render)
    if form is None:
        return None
    second, mark = _model(hit, *_SECOND)
    rendered, entry, packed, _ = _outputs(second, mark, scope, render)
    texts = texts_of(second.message, str(mark).encode())
    is_right = (
        [_filled(one, texts) for one in form.records] == rendered
        and (filled(form.entry, texts) if form.entry else None) == entry
        and (filled(form.packed, texts) if form.packed else None) == packed
    )
    return form if is_right else None


def _filled(one: FormRecord, texts: Texts) -> Rendered:
    headers = [(name, filled(parts, texts)) for name, parts in one.headers]
    return one.topic, filled(one.value, texts), headers


def _model(hit: Hit, sid: str, recipient: str, at_ms: int) -> tuple[Hit, Mark]:
    message = replace(
        hit.message,
        message_sid=sid,
        recipient=recipient,
        received_at_ms=at_ms,
        arrival=Arrival(at_ms + 1_234),
    )
    return replace(hit, message=message), Mark(at_ms + 98_765, 43)


def _outputs(
    hit: Hit, mark: Mark, scope: Scope, render: Render
) -> tuple[list[Rendered], bytes | None, bytes | None, Sequence[Event]]:
    """The outputs of a message by the full path: records, the entry, and the same in Redis."""
    folded = fold([hit], {}, frozenset(), scope=scope, mark=mark)
    rendered = [render(event) for event in folded.events]
    for key, blocks in folded.changed.items():
        return (
            rendered,
            wire_blocks.write_entry(key, blocks),
            wire_blocks.pack(blocks),
            folded.events,
        )
    return rendered, None, None, folded.events


def _made(hit: Hit, mark: Mark, scope: Scope, render: Render) -> Form | None:
    rendered, entry, packed, events = _outputs(hit, mark, scope, render)
    texts = texts_of(hit.message, str(mark).encode())
    matched = [event for event in events if isinstance(event, OptOutNotification)]
    if not matched:
        return None  # its application decides, as on an ordinary message
    return Form(
        matched[0],
        [_record(*one, texts) for one in rendered],
        _parts(entry, texts) if entry else None,
        _parts(packed, texts) if packed else None,
        any(isinstance(event, ReplySend) for event in events),
    )


def _record(topic: str, value: bytes, headers: Sequence[Header], texts: Texts) -> FormRecord:
    own = tuple((name, _parts(said or b"", texts)) for name, said in headers)
    return FormRecord(topic, _parts(value, texts), own)


def _parts(value: bytes, texts: Texts) -> Parts:
    found = re.split(b"(" + b"|".join(map(re.escape, texts)) + b")", value)
    return tuple(texts.index(part) if at % 2 else part for at, part in enumerate(found) if part)
