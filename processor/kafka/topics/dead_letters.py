"""Dead letters: read with their reasons, and sent back where they came from, each once.

The group `redrive` knows which letters were sent back. It commits the lowest that was not, and a
note of the later letters that were. One transaction sends letters and commits both. A letter that
only refers to its record is sent back as that record, as long as it can be read.
"""

from __future__ import annotations

import asyncio
import base64
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from processor import clocks
from processor.config import Settings
from processor.core.addresses import subscriber_key
from processor.json_types import Json, JsonObject
from processor.kafka.fetched import readable
from processor.kafka.groups import committed_of, group_view
from processor.kafka.lanes.finished_offsets import Offsets
from processor.kafka.ports import Consumer
from processor.kafka.protocol import writable
from processor.kafka.reading import read_whole, reader
from processor.kafka.starting import start, stop
from processor.kafka.writing import Outgoing, Writer
from processor.wire.dead_letters import CYCLES, own_headers, redrives_of, reference_of, said
from processor.wire.json_values import to_text
from processor.wire.records import Record
from processor.wire.topics import Topics

_MOST_BYTES = 1 << 26  # of a record that a letter refers to; it is written compressed, as it came
_DAY_MS = 86_400_000
_KEPT_DAYS = 6  # brokers keep offsets for 7 days after the last commit (offsets.retention.minutes)
_AT_ONCE = 100  # letters of a reach: some 2 ms of this process,
_PAUSE_S = 0.004  # and others are served twice as long
MOST = 5  # redrives after which a letter stays where it is, unless it is named

Line = JsonObject
Choice = Callable[[Line], bool]


def choice_of(wanted: Mapping[str, str]) -> Choice:
    """The letters that have these values, by the names of a line's fields; without any, all."""
    return lambda line: all(line[name] == value for name, value in wanted.items())


async def may_be_sent_to(settings: Settings) -> frozenset[str]:
    """The topics that lanes read and this process's Kafka user may write to.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    of = Topics.under(settings.topic_prefix).sources
    topics = [topic for role in ("match", "gate", "webhooks") for topic in of(role)]
    async with group_view(settings, _group(settings)) as view:
        return await writable(view._client, topics)


class Redriven(NamedTuple):
    """The result of a redrive."""

    sent: int
    left: int  # sent back too often already
    strewn: int  # stay: among so many others that stay that it could not be noted
    gone: int = 0  # stay: the record that they refer to cannot be read any more
    older: int = 0  # put aside: no offset is committed, and Kafka may have forgotten one


@dataclass(frozen=True, slots=True)
class Reach:
    """Which dead letters are read."""

    offsets: Mapping[TopicPartition, range]
    begins_late: frozenset[int]  # partitions that have older letters


async def reach_of(settings: Settings, most: int, before_ms: int | None = None) -> Reach:
    """The newest dead letters, shared out evenly among partitions that have more.

    Args:
        settings: of the installation.
        most: how many offsets in all.
        before_ms: only those written before, UTC.
    """
    topic = Topics.under(settings.topic_prefix).dead_letters
    async with reader(settings, [topic], at_end=False, paused=True) as consumer:
        sources = list(consumer.assignment())
        begins = await consumer.beginning_offsets(sources)
        ends = await consumer.end_offsets(sources)
        if before_ms is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(sources, before_ms))
            ends |= {tp: one.offset for tp, one in found.items() if one}
    sizes = {tp: max(0, ends[tp] - begins[tp]) for tp in sources}
    shares = shared_out(sizes, most)
    return Reach(
        {tp: range(ends[tp] - shares[tp], ends[tp]) for tp in sources if shares[tp]},
        frozenset(tp.partition for tp in sources if shares[tp] < sizes[tp]),
    )


def shared_out(sizes: Mapping[TopicPartition, int], most: int) -> dict[TopicPartition, int]:
    """How much of each is taken, so that it is ``most`` in all, and what is small goes whole."""
    shares: dict[TopicPartition, int] = {}
    for left, (tp, size) in zip(
        range(len(sizes), 0, -1), sorted(sizes.items(), key=lambda one: one[1]), strict=True
    ):
        shares[tp] = min(size, (most - sum(shares.values())) // left)
    return shares


async def letters(
    settings: Settings, reach: Reach | None = None
) -> AsyncGenerator[tuple[Line, bool], None]:
    """Dead letters, and whether each was sent back; each partition in order.

    Args:
        settings: of the installation.
        reach: only these; None: all.
    """
    topic = Topics.under(settings.topic_prefix).dead_letters
    sources = [TopicPartition(topic, one) for one in range(settings.partitions)]
    async with group_view(settings, _group(settings)) as view:
        done = {
            tp.partition: Offsets(one.offset, one.metadata)
            for tp, one in (await committed_of(view, sources)).items()
        }
    read = read_whole(settings, topic) if reach is None else _within(settings, topic, reach)
    async with aclosing(read) as records:
        async for record in records:
            offsets = done.get(record.partition) or done.setdefault(record.partition, Offsets(0))
            is_done = record.offset < offsets.committed or not offsets.begin(record.offset)
            yield letter_of(record), is_done


async def _within(settings: Settings, topic: str, reach: Reach) -> AsyncGenerator[Record, None]:
    """The records of a reach; others are served between some of them and the next."""
    left = dict(reach.offsets)
    partitions = [tp.partition for tp in left]
    if not left:
        return
    async with reader(settings, [topic], at_end=False, partitions=partitions) as consumer:
        for tp, offsets in left.items():
            consumer.seek(tp, offsets.start)
        while left:
            found = await consumer.getmany(*left, timeout_ms=200, max_records=_AT_ONCE)
            for tp, records in found.items():
                for record in readable(records):
                    if record.offset in left[tp]:
                        yield record
            for tp in [tp for tp in left if await consumer.position(tp) >= left[tp].stop]:
                del left[tp]
            await asyncio.sleep(_PAUSE_S)


async def redrive(
    settings: Settings, chosen: Choice, *, most: int | None = MOST, follow: bool = True
) -> Redriven:
    """Send the chosen dead letters that were not sent back yet, each exactly once.

    Args:
        settings: of the installation.
        chosen: whether a letter is; the others stay for another time.
        most: put a letter that was sent back that often aside for good; None: send it all the same.
        follow: read the records that letters refer to, which takes the right to; else those stay.

    Where no offset is committed, letters from before ``_KEPT_DAYS`` are put aside: Kafka deletes
    the offsets of a group after a week, and they may have been sent back already.

    Returns:
        How many. A note has room for at least a thousand runs of letters; later letters stay.
    """
    group, done = _group(settings), Counter[str]()
    topic = Topics.under(settings.topic_prefix).dead_letters
    async with (
        reader(settings, [topic], at_end=False) as consumer,
        group_view(settings, group) as view,
    ):
        producer = AIOKafkaProducer(
            **settings.kafka(),
            transactional_id=group,
            max_request_size=_MOST_BYTES,
            compression_type="gzip",
        )
        try:
            await start(producer)  # from here no one else can: the committed offsets stay
            out = Writer(producer, settings.partitions)
            sources = list(consumer.assignment())
            ends, begins = (
                await consumer.end_offsets(sources),
                await consumer.beginning_offsets(sources),
            )
            known = await committed_of(view, sources)
            for tp, end in ends.items():
                one = known.get(tp)
                if one is None:
                    first, older = await _first_surely_new(consumer, tp, begins[tp], end)
                    done.update(older=older)
                    one = OffsetAndMetadata(first, "")
                offsets = Offsets(one.offset, one.metadata)
                consumer.seek(tp, offsets.committed)
                is_full = False
                while await consumer.position(tp) < end:
                    found = await consumer.getmany(tp, timeout_ms=200, max_records=500)
                    records = readable(one for one in found.get(tp, ()) if one.offset < end)
                    whole, gone = await _referred_to(settings, records, offsets, chosen, follow)
                    can_go = _unless(chosen, gone)
                    fit = 0 if is_full else fitting(records, offsets, can_go, most)
                    back, aside = taken(records[:fit], offsets, can_go, most, whole)
                    if back or aside:
                        async with producer.transaction():
                            noted = OffsetAndMetadata(offsets.committed, offsets.note())
                            await producer.send_offsets_to_transaction({tp: noted}, group)
                            await out.send_all(back)
                    is_full = is_full or fit < len(records)
                    rest, _ = taken(records[fit:], offsets, can_go, None, whole)
                    done.update(sent=len(back), left=aside, strewn=len(rest), gone=len(gone))
        finally:
            await stop(producer)
    return Redriven(done["sent"], done["left"], done["strewn"], done["gone"], done["older"])


async def _first_surely_new(
    consumer: Consumer, tp: TopicPartition, begin: int, end: int
) -> tuple[int, int]:
    """The first letter that cannot have been sent back, and how many are before it."""
    since_ms = clocks.now_ms() - _KEPT_DAYS * _DAY_MS
    found = (await consumer.offsets_for_times({tp: since_ms}))[tp]
    first = found.offset if found else end
    consumer.seek(tp, begin)
    older = 0
    while await consumer.position(tp) < first:
        records = (await consumer.getmany(tp, timeout_ms=200, max_records=500)).get(tp, ())
        older += sum(one.offset < first for one in readable(records))
    return first, older


async def _referred_to(
    settings: Settings, records: Sequence[Record], offsets: Offsets, chosen: Choice, follow: bool
) -> tuple[dict[str, bytes], set[str]]:
    """The values that chosen letters refer to, by the letter's id; and the ids of the others."""
    whole: dict[str, bytes] = {}
    gone: set[str] = set()
    left = offsets.copy()
    for record in records:
        if not left.begin(record.offset):
            continue  # sent back before
        line = letter_of(record)
        if "reference" in line and chosen(line):
            value = await referred_to(settings, line["reference"]) if follow else None
            if value is None:
                gone.add(line["id"])
            else:
                whole[line["id"]] = value
    return whole, gone


def _unless(chosen: Choice, gone: set[str]) -> Choice:
    return lambda line: line["id"] not in gone and chosen(line)


async def referred_to(settings: Settings, reference: Mapping[str, object]) -> bytes | None:
    """The value that a letter refers to; None where it is gone, or is not a single record.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    topic, partition, offset = (reference.get(name) for name in ("topic", "partition", "offset"))
    if not (isinstance(topic, str) and isinstance(partition, int) and isinstance(offset, int)):
        return None
    tp = TopicPartition(topic, partition)
    async with reader(settings, [topic], at_end=False, partitions=[partition]) as consumer:
        first = (await consumer.beginning_offsets([tp]))[tp]
        end = (await consumer.end_offsets([tp]))[tp]
        if not first <= offset < end:
            return None
        consumer.seek(tp, offset)
        found: Sequence[Record] = ()
        while not found and await consumer.position(tp) < end:
            found = (await consumer.getmany(tp, timeout_ms=200, max_records=1)).get(tp, ())
    value = found[0].value if found and found[0].offset == offset else None
    is_it = value is not None and sha256(value).hexdigest() == reference.get("sha256")
    return value if is_it else None


def fitting(records: Sequence[Record], offsets: Offsets, chosen: Choice, most: int | None) -> int:
    """How many of records can be taken so that there is room to note which were."""

    def is_too_much(count: int) -> bool:
        after = offsets.copy()
        taken(records[:count], after, chosen, most)
        return not after.is_noted

    if not any(chosen(letter_of(one)) for one in records) or not is_too_much(len(records)):
        return len(records)
    return bisect_left(range(1, len(records) + 1), True, key=is_too_much)


def taken(
    records: Sequence[Record],
    offsets: Offsets,
    chosen: Choice,
    most: int | None,
    whole: Mapping[str, bytes] = MappingProxyType({}),
) -> tuple[list[Outgoing], int]:
    """The records to send back, and how many to put aside; both count as done then.

    Args:
        records: letters, in order.
        offsets: which are done; follows.
        chosen: whether a letter is.
        most: put those aside that were sent back that often; None: none.
        whole: the values that letters refer to, by id.
    """
    back: list[Outgoing] = []
    aside = 0
    for record in records:
        # Ends of transactions between two letters that stay do not need a run of their own.
        stayed = offsets.position - 1 in offsets
        gap = [one for one in range(offsets.position, record.offset) if stayed]
        gap = [one for one in gap if offsets.begin(one)]
        is_new = offsets.begin(record.offset)
        line = letter_of(record) if is_new else {}
        if is_new and not chosen(line):
            continue
        for one in gap:
            offsets.finish(one)
        if not is_new:
            continue
        offsets.finish(record.offset)
        if most is None or line["redrives"] < most:
            back.append(sent_back(line, whole.get(line["id"])))
        else:
            aside += 1
    return back, aside


def _group(settings: Settings) -> str:
    return f"{settings.topic_prefix}redrive"


def letter_of(record: Record) -> JsonObject:
    """A dead letter as a line that can be mended and sent back."""
    headers = own_headers(record.headers)
    reference = reference_of(record.headers)
    return {
        "id": f"{record.partition}:{record.offset}",
        "topic": said(record.headers, "topic"),
        "partition": _number(said(record.headers, "partition"), -1),
        "offset": _number(said(record.headers, "offset"), -1),
        "stage": said(record.headers, "stage"),
        "reason": said(record.headers, "exception.message"),
        "at": to_text(record.timestamp),
        "redrives": redrives_of(headers),
        "headers": [
            [name, None if value is None else value.decode("latin-1")]
            for name, value in headers
            if name != CYCLES
        ],
        **_bytes_as_text("key", record.key),
        # Of a record that is only referred to, the beginning; a mended `value` takes its place.
        **_bytes_as_text("value_begins" if reference else "value", record.value),
        **({"reference": reference} if reference else {}),
    }


def _number(text: str | None, otherwise: int) -> int:
    """The number in a header; the record's producer may have written anything there."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def _bytes_as_text(name: str, value: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value or b"").decode()}


def _text_as_bytes(name: str, line: Mapping[str, Json]) -> bytes | None:
    value = line.get(name)
    if isinstance(value, (dict, list)):  # mended as JSON instead of as text
        return orjson.dumps(value)
    if isinstance(value, str):
        return value.encode()
    encoded = line.get(f"{name}_base64")
    return None if encoded is None else base64.b64decode(encoded)


def sent_back(line: Mapping[str, Json], whole: bytes | None = None) -> Outgoing:
    """The record that a line comes to, for the topic it was read from.

    Args:
        line: a letter, perhaps mended.
        whole: the value that it refers to; a mended value in the line comes first.
    """
    mended = _text_as_bytes("value", line)
    value = whole if mended is None else mended
    headers = [
        (name, None if text is None else text.encode("latin-1")) for name, text in line["headers"]
    ]
    return Outgoing(
        topic=line["topic"],
        key=_key(value) or _text_as_bytes("key", line),
        value=value,
        headers=[*headers, (CYCLES, str(line["redrives"] + 1).encode())],
    )


def _key(value: bytes | None) -> bytes | None:
    """The key a record should have: its recipient's subscriber key, whatever kind it is."""
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    name = "from" if "received_at" in fields else "to"
    recipient = fields.get("recipient", fields.get(name))
    return subscriber_key(recipient).encode() if isinstance(recipient, str) else None
