"""Outputs of keywords from recipients without blocks: made once, then filled in for each message.

The outcome of such a keyword depends on the keyword, its service and the settings. Its outputs only
repeat the message's sid, recipient and times. So two models of a message are decided on and put out
as any message is. The outputs of the first become a form, with a hole for each of these texts. A
form that does not make those of the second, byte by byte, is not used.

The form also has holes for what a service says, such as its reply. So services whose outputs differ
in this alone share the records of their forms.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import orjson

from processor.core.blocks import Mark
from processor.core.events import Event, OptOutNotification, ReplySend
from processor.core.fold import Hit, Item, Ordinary, fold, key_of
from processor.core.messages import Arrival, Scope, subscriber_of
from processor.core.policy import Match
from processor.core.services import Handling
from processor.kafka.copying import form_record
from processor.stores.owned_list import Entries
from processor.wire import blocks as wire_blocks
from processor.wire.headers import CONFIG, SOURCE
from processor.wire.records import FormRecord, Header, Parts, Record, Texts
from processor.wire.texts import filled, record_of, texts_of

_MOST = 12_000  # kinds of messages, each of some 1.6 KB
_MOST_SHARED = 4_000  # records with holes
_FIRST = ("SM1f0e7c55a2b94d0d8c3fb6a0e91d2c47", "+199374610582637", 32_503_680_123_457)
_SECOND = ("SM-2", "+4", 40_748_659_876_543)
_LONGEST = 40  # characters of a body: few texts are sent often, and those are short
_MOST_BYTES = 100_000  # of a record of a model: a larger one is measured each time

Rendered: TypeAlias = tuple[str, bytes, Sequence[Header]]  # topic, value, headers of the event
Render: TypeAlias = Callable[[Event], Rendered]
Put: TypeAlias = tuple[str, bytes, bytes, list[Header]]  # topic, key, value, headers
Keyed: TypeAlias = tuple[bytes, bytes, list[Header]]  # key, value, headers


@dataclass(frozen=True, slots=True)
class Form:
    """The outcome of a keyword from a recipient without blocks."""

    notification: OptOutNotification  # of a model, for metrics
    records: Sequence[tuple[str, FormRecord]]  # each with its topic
    entry: FormRecord | None  # of `block-list`; None: the list does not change
    packed: Parts | None  # the same in Redis
    is_answered: bool
    own: Texts  # of its service; the last texts


@dataclass(slots=True)
class _Kind:
    """The match of messages with the same texts, and their form."""

    match: Match
    handling: Handling
    country: str | None
    form: Form | None = None
    was_tried: bool = False


class _Model(NamedTuple):
    """A message like a hit, and what it is written with."""

    hit: Hit
    offset: int  # of its record
    mark: Mark
    config: bytes


def _own_texts(hit: Hit) -> Texts:
    """The texts of a service and its keyword, as JSON has them; b"" for each that is missing."""
    own = (
        hit.message.account_sid,
        hit.handling.service_sid,
        hit.message.sender,
        hit.match.reply,
    )
    version = b'"config_version":%d' % (hit.handling.config_version or 0)
    return (*(orjson.dumps(one or "")[1:-1] for one in own), version)


class Forms:
    """The forms of a process; its lanes share them."""

    def __init__(self) -> None:
        # When the later kinds are full, they become the earlier kinds; those in use move back.
        self._later: dict[tuple[object, ...], _Kind] = {}
        self._earlier: dict[tuple[object, ...], _Kind] = {}
        self._shared: dict[FormRecord, FormRecord] = {}

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
        known = self._later.get(same)
        kind = known or self._earlier.get(same)
        if kind is None or not _is_of(kind, hit):
            self._keep(same, _Kind(hit.match, hit.handling, hit.country))
            return None  # the next one like it gets a form
        if not known:
            self._keep(same, kind)
        if kind.form is None and not kind.was_tried:
            kind.form, kind.was_tried = self._shared_form(form_of(hit, scope, render)), True
        return kind.form

    def _keep(self, same: tuple[object, ...], kind: _Kind) -> None:
        if len(self._later) >= _MOST // 2:
            self._later, self._earlier = {}, self._later
        self._later[same] = kind

    def _shared_form(self, form: Form | None) -> Form | None:
        """A form that has its records in common with others."""
        if form is None:
            return None
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        share = self._shared.setdefault
        return replace(
            form,
            records=tuple((topic, share(one, one)) for topic, one in form.records),
            entry=share(form.entry, form.entry) if form.entry else None,
        )


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


def _is_of(kind: _Kind, hit: Hit) -> bool:
    """Whether two messages with the same texts match alike: a configuration may have changed."""
    return kind.match is hit.match and kind.handling is hit.handling and kind.country == hit.country


def form_of(hit: Hit, scope: Scope, render: Render) -> Form | None:
    """The form of a keyword; None where none fits, as something else of it is in its outputs."""
    form = _made(_model(hit, *_FIRST), scope, render)
    if form is None:
        return None
    second = _model(hit, *_SECOND)
    put, entry, packed, _ = _outputs(second, scope, render)
    texts = _texts(second, form.own)
    is_right = (
        [(topic, *record_of((one, texts))) for topic, one in form.records] == put
        and (record_of((form.entry, texts)) if form.entry else None) == entry
        and (filled(form.packed, texts) if form.packed else None) == packed
    )
    return form if is_right else None


def _model(hit: Hit, sid: str, recipient: str, at_ms: int) -> _Model:
    message = replace(
        hit.message,
        message_sid=sid,
        recipient=recipient,
        received_at_ms=at_ms,
        arrival=Arrival(at_ms + 1_234),
    )
    mark, config = Mark(at_ms + 98_765, 43), b"%d" % (at_ms + 8_700_321)
    return _Model(replace(hit, message=message), at_ms + 600_000_543, mark, config)


def _texts(model: _Model, own: Texts) -> Texts:
    return texts_of(model.hit, model.offset, (str(model.mark).encode(), model.config, *own))


def _outputs(
    model: _Model, scope: Scope, render: Render
) -> tuple[list[Put], Keyed | None, bytes | None, Sequence[Event]]:
    """The outputs of a message by the full path: records, the entry, and the same in Redis."""
    hit, mark = model.hit, model.mark
    folded = fold([hit], {}, frozenset(), scope=scope, mark=mark)
    marked: list[Header] = [(wire_blocks.MARK_HEADER, str(mark).encode())]
    before = [*marked, (CONFIG, model.config), (SOURCE, b"%d" % model.offset)]
    own_key = subscriber_of(hit.key).encode()
    put: list[Put] = []
    for event in folded.events:
        topic, value, headers = render(event)
        put.append((topic, own_key, value, [*before, *headers]))
    for key, blocks in folded.changed.items():
        entry = key.encode(), wire_blocks.write_entry(key, blocks) or b"", marked
        return put, entry, wire_blocks.pack(blocks), folded.events
    return put, None, None, folded.events


def _made(model: _Model, scope: Scope, render: Render) -> Form | None:
    put, entry, packed, events = _outputs(model, scope, render)
    own = _own_texts(model.hit)
    texts = _texts(model, own)
    matched = [event for event in events if isinstance(event, OptOutNotification)]
    if not matched or any(len(value) > _MOST_BYTES for _, _, value, _ in put):
        return None  # its application decides, as on an ordinary message; or it must be measured
    return Form(
        matched[0],
        [(topic, _record((key, value, said), texts)) for topic, key, value, said in put],
        _record(entry, texts) if entry else None,
        _parts(packed, texts) if packed else None,
        any(isinstance(event, ReplySend) for event in events),
        own,
    )


def _record(record: Keyed, texts: Texts) -> FormRecord:
    key, value, headers = record
    own = tuple((name, _parts(said or b"", texts)) for name, said in headers)
    return form_record(_parts(key, texts), _parts(value, texts), own)


def _parts(value: bytes, texts: Texts) -> Parts:
    found = re.split(b"(" + b"|".join(map(re.escape, filter(None, texts))) + b")", value)
    return tuple(texts.index(part) if at % 2 else part for at, part in enumerate(found) if part)
