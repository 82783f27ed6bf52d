"""The compiled readers find what the others find, on any bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from processor.core import identity
from processor.core.messages import Arrival
from processor.core.partitions import partition_of
from processor.core.prefilter import Prefilter
from processor.kafka import checksum
from processor.kafka import fetched as fetching
from processor.kafka.copying import TransactionBatch, can_copy, copied, form_record
from processor.kafka.fetched import FetchedRecord
from processor.suspicion.stems import SEPARATOR
from processor.wire import inbound_messages
from processor.wire import texts as making_texts
from processor.wire.headers import arrival_of, source_of
from processor.wire.json_values import to_ms, to_text
from processor.wire.records import Parts, Row, Texts
from processor.wire.screening import Origin, doubtful_messages, sure_message, sure_sends
from processor.wire.texts import filled, record_of, texts_of
from schemas.inbound_message import InboundMessage
from schemas.outbound_message import OutboundMessage
from tests.batches import NONE, WRITTEN_AT_MS, a_batch, a_record, walked
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT, a_hit, inbound_record, outbound_record
from tests.strange_records import values
from tests.strategies import bodies, broken

pytest.importorskip("processor.wire._screen", reason="no C compiler built the native readers")
pytest.importorskip("processor.kafka._draw", reason="no C compiler built the native readers")
_copy = pytest.importorskip("processor.kafka._copy", reason="no C compiler built it")
_digest = pytest.importorskip("processor.core._digest", reason="no C compiler built it")
_texts = pytest.importorskip("processor.wire._texts", reason="no C compiler built it")

PARTITIONS = 12
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999 - 300_000  # of dates; R36's minutes
KEY = RECIPIENT.encode()
PLACE = partition_of(KEY, PARTITIONS)
KEYWORDS = Prefilter()
KEYWORDS.add(["stop", "baja", "start", "arrêt", "x" * 200])

texts = st.none() | st.binary(max_size=20)
names = st.sampled_from([b"traceparent", b"", b"caf\xe9"]) | st.binary(max_size=9)
headers = st.lists(st.tuples(names, texts), max_size=4)
forms = st.lists(st.binary(max_size=200) | st.integers(0, 2), max_size=9).map(tuple)


@given(
    st.lists(st.tuples(texts, texts, headers), max_size=5),
    st.integers(-2, 7) | st.none(),
    st.integers(0, 2**62),
    st.integers(0, 6),
    st.integers(1, 3),
    st.data(),
)
def test_any_batch_is_drawn_as_aiokafka_reads_it(
    written: Sequence[tuple[Any, Any, Any]],
    count: int | None,
    first: int,
    behind: int,
    most: int,
    data: st.DataObject,
) -> None:
    payload = b"".join(a_record(number, *one) for number, one in enumerate(written))
    if data.draw(st.booleans()):
        payload = data.draw(broken(payload))
    said = len(written) if count is None else count
    batch = a_batch(NONE, payload, said, first=first, last=first + 9)

    def walk() -> list[Any] | type[Exception]:
        try:
            return walked(batch, first + behind, most=lambda: most)
        except Exception as error:  # the other reader must raise the same
            return type(error)

    native = walk()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fetching, "native", None)
        others = walk()
    if isinstance(others, list):  # a broker counts the records of a batch itself
        offsets = [one.offset for one in others]
        assume(offsets == sorted(set(offsets)))
    assert native == others


@given(st.binary(min_size=21, max_size=400), st.integers(0, 7))
def test_a_checksum_is_aiokafkas(batch: bytes, behind: int) -> None:
    raw = memoryview(bytes(behind) + batch)[behind:]  # it may lie anywhere
    assert checksum._sum(raw) == calc_crc32c(batch[21:])


@given(
    st.lists(st.tuples(texts, st.none() | st.binary(max_size=300)), min_size=1, max_size=9),
    st.lists(st.tuples(st.text(max_size=9), texts), max_size=3),
    st.integers(100, 900),
    st.integers(0, 2**63 - 10),
)
def test_copies_are_as_aiokafka_writes_them(
    parts: Sequence[tuple[bytes | None, bytes | None]],
    added: list[tuple[str, bytes | None]],
    most_bytes: int,
    first: int,
) -> None:
    parts = [(key, b"" if key is None else value) for key, value in parts]  # aiokafka needs either
    records = [
        FetchedRecord("sends", 3, first + at, 1, 0, *one, (("own", b"1"),))
        for at, one in enumerate(parts)
    ]
    assert can_copy(records)
    batches = copied(records, added, at_ms=WRITTEN_AT_MS, most_bytes=most_bytes)
    assert sum(batch.record_count() for batch in batches) == len(parts)
    for batch in batches:
        now, records = records[: batch.record_count()], records[batch.record_count() :]
        builder = BatchBuilder(1 << 20, 0, is_transactional=True)
        for one in now:
            own = [*added, source_of(one)]
            builder.append(timestamp=WRITTEN_AT_MS, key=one.key, value=one.value, headers=own)
        for written in (batch, builder):
            written._set_producer_state(9, 2, 40)
        built = batch._build()
        assert built == builder._build()
        assert len(built) <= most_bytes or len(now) == 1


@given(
    st.lists(
        st.tuples(
            *(texts, st.none() | st.binary(max_size=300)),
            st.lists(st.tuples(st.text(max_size=9), texts), max_size=4),
        ),
        min_size=1,
        max_size=9,
    ),
    st.integers(100, 900),
)
def test_outputs_are_as_aiokafka_writes_them(
    outputs: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]],
    most_bytes: int,
) -> None:
    builder = BatchBuilder(1 << 20, 0, is_transactional=True)
    batch = TransactionBatch(WRITTEN_AT_MS, most_bytes)
    for key, value, own in outputs:
        value = b"" if key is None else value  # aiokafka needs either
        if batch.append(key=key, value=value, headers=own) is None:
            assert batch.closed()
            assert batch.record_count()
            break
        builder.append(timestamp=WRITTEN_AT_MS, key=key, value=value, headers=own)
    for written in (batch, builder):
        written._set_producer_state(9, 2, 40)
    built = batch._build()
    assert built == builder._build()
    assert len(built) <= most_bytes or batch.record_count() == 1


@given(
    st.lists(
        st.tuples(
            forms,
            forms,
            st.lists(st.tuples(st.text(max_size=9), forms), max_size=3).map(tuple),
            st.tuples(*[st.binary(max_size=90)] * 3),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 70),
    st.integers(-9, 900),
)
def test_forms_are_filled_as_records_are_written(
    given_rows: Sequence[tuple[Parts, Parts, tuple[tuple[str, Parts], ...], Texts]],
    index: int,
    room: int,
) -> None:
    rows: list[Row] = [(form_record(*one[:3]), one[3]) for one in given_rows]
    first = len(rows) // 2
    records, count = _copy.fill(index, room, rows, first)
    taken = rows[first : first + count]
    assert records == b"".join(
        _copy.record(index + at, *record_of(row)) for at, row in enumerate(taken)
    )
    assert len(records) <= room or count == 0 or (index == 0 and count == 1)
    if first + count < len(rows):
        left = _copy.record(index + count, *record_of(rows[first + count]))
        assert index + count > 0
        assert len(records) + len(left) > room


@pytest.mark.parametrize(
    "wrong",
    [
        ("0", 9, [], 0),
        (0, 9, (), 0),
        (0, 9, [], None),
        (-1, 9, [], 0),
        (0, 9, [], -1),
        (1 << 70, 9, [], 0),
        (0, 9, []),
        (0, 9, ["row"], 0),
        (0, 9, [((), ())], 0),
        (0, 9, [(((), (), (), ()), [])], 0),
        (0, 9, [(((), (), (), [b""]), ())], 0),
        (0, 9, [(((), (), (), ("a",)), ())], 0),
        (0, 9, [(((), (), (), (0,)), ())], 0),
        (0, 9, [(((), (), (), (-1,)), (b"",))], 0),
        (0, 9, [(((), (), (), (1 << 70,)), (b"",))], 0),
        (0, 9, [(((), (), (), (0,)), ("a",))], 0),
        (0, 9, [(((), (), (), ((0, (0,)),)), (b"",))], 0),
        (0, 9, [(((), (), (), (None,)), (b"",))], 0),
        (0, 9, [(((), (), (), (b"",) * 513), ())], 0),
        (0, 9, [(((), (), (), ((b"",) * 512,)), ())], 0),
    ],
)
def test_a_form_of_other_types_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, OverflowError, ValueError)):
        _copy.fill(*wrong)


@given(
    st.integers(FIRST_MS, LAST_MS) | st.sampled_from([FIRST_MS - 1, LAST_MS + 1, -1, 1 << 63]),
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(max_size=9), max_size=3).map(tuple),
)
@example(951_782_400_000, 1, ())  # a leap day
@example(FIRST_MS, 1, ())
@example(-1, 1, (b"rest",))
def test_texts_are_those_that_python_makes(at_ms: int, offset: int, rest: Texts) -> None:
    hit = a_hit(message_sid="é", received_at_ms=at_ms, arrival=Arrival(at_ms))

    def made() -> Texts | type[Exception]:
        try:
            return texts_of(hit, offset, rest)
        except (OverflowError, ValueError) as error:
            return type(error)

    native = made()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(making_texts, "native", None)
        assert made() == native


@given(st.lists(st.binary(max_size=200) | st.integers(0, 3), max_size=9).map(tuple))
def test_parts_are_filled_as_python_fills_them(parts: Parts) -> None:
    said = b"a", b"", b"\0b"

    def made() -> bytes | type[Exception]:
        try:
            return filled(parts, said)
        except IndexError as error:
            return type(error)

    native = made()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(making_texts, "native", None)
        assert made() == native


@pytest.mark.parametrize(
    "wrong",
    [
        ((1 << 70,), (b"",)),
        ((-1,), (b"",)),
        (("a",), ()),
        ((0,), ("a",)),
        ([], ()),
        ((), []),
        ((),),
    ],
)
def test_parts_of_other_types_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, IndexError)):
        _texts.filled(*wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        ("a", "a", "a", b"", 0, 0, 0, 0, ()),
        ("a", "a", "a", "\udc80", 0, 0, 0, 0, ()),
        ("a", "a", "a", "a", 0, 1 << 70, 0, 0, ()),
        ("a", "a", "a", "a", 0, 0, None, 0, ()),
        ("a", "a", "a", "a", 0, 0, 0, "0", (b"",)),
        ("a", "a", "a", "a", 0, 0, 0, 0, []),
        (),
    ],
)
def test_texts_of_other_types_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, OverflowError, UnicodeEncodeError)):
        _texts.texts(*wrong)


@given(st.lists(st.text(max_size=150), max_size=6).map(tuple), st.integers(1, 64))
@example(("x" * 128,), 64)
@example(("x" * 127, ""), 10)
@example((), 1)
def test_a_digest_is_hashlibs(parts: tuple[str, ...], size: int) -> None:
    try:
        wanted = blake2b("\n".join(parts).encode(), digest_size=size).digest()
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            _digest.digest(parts, size)
        return
    assert _digest.digest(parts, size) == wanted
    ids = identity.ids_of_message(*parts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(identity, "native", None)
        assert identity.ids_of_message(*parts) == ids


@pytest.mark.parametrize(
    "wrong", [((), 0), ((), 65), ((), 1 << 70), ((), "1"), ([], 1), ((b"",), 1), ((),)]
)
def test_a_digest_of_other_types_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, OverflowError, ValueError)):
        _digest.digest(*wrong)
    with pytest.raises(TypeError):
        _digest.ids_of_message(b"")


@pytest.mark.parametrize(
    "wrong",
    [
        (0, "key", b"", []),
        (0, b"", "value", []),
        (0, b"", b"", ()),
        (0, b"", b"", [("name",)]),
        (0, b"", b"", [(b"name", b"")]),
        (0, b"", b"", [("name", "value")]),
        (0, b"", b"", [["name", b""]]),
        ("0", b"", b"", []),
        (0, b"", b""),
    ],
)
def test_an_output_of_other_types_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        _copy.record(*wrong)
    with pytest.raises(UnicodeEncodeError):
        _copy.record(0, b"", b"", [("\udc80", b"")])


def a_message(value: bytes | None, key: bytes = KEY, topic: str = "texts") -> FetchedRecord:
    return FetchedRecord(topic, PLACE, 7, 1, 0, key, value, ())


class Names:
    """A glance that names the texts with a part."""

    def __init__(self, part: str = "nothing has it") -> None:
        self._part = part

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """See ``Glances``."""
        return [index for index, body in enumerate(bodies) if self._part in body]

    def at_joined(self, bodies: bytes) -> Sequence[int]:
        """See ``Glances``."""
        texts = bodies.decode().split(SEPARATOR) if bodies else []
        assert all(text[0] == text[-1] == " " for text in texts)
        return self.at([text[1:-1] for text in texts])


def doubtful(
    records: list[Any], accounts: dict[str, int] | None = None, glance: Names | None = None
) -> Sequence[Any]:
    found = doubtful_messages(records, "texts", KEYWORDS, accounts or {}, glance or Names())
    for record in found.records:  # a named one is valid and no keyword
        if any(record is one for one in found.in_other_words):
            message = read(InboundMessage, record.value)
            assert message is not None
            assert not KEYWORDS.passes(message.body)
    return found.records


def read(model: type[BaseModel], value: bytes) -> Any:
    try:
        return model.model_validate_json(value)
    except ValidationError:
        return None


@given(st.data())
def test_a_message_that_is_passed_over_is_valid_and_no_keyword(data: st.DataObject) -> None:
    value = data.draw(values(inbound_record()))
    record = a_message(value)
    if doubtful([record]) == []:
        message = read(InboundMessage, value)
        assert message is not None
        assert not KEYWORDS.passes(message.body)


@given(st.data())
def test_a_sure_message_is_what_the_model_reads(data: st.DataObject) -> None:
    value = data.draw(values(inbound_record()))
    record = a_message(value)
    message = sure_message(record)
    if message is not None:
        model = read(InboundMessage, value)
        assert message == inbound_messages.message_of(model, arrival_of(record))


@given(st.integers(31_536_000_000, 253_000_000_000_000), st.integers(0, 3))
@example(951_782_400_000, 0)  # a leap day
def test_the_time_of_a_sure_message_is_that_of_the_model(at_ms: int, digits: int) -> None:
    text = to_text(at_ms)[:19] + (f".{at_ms % 10**digits:0{digits}}" if digits else "") + "Z"
    record = a_message(json.dumps(inbound_record(received_at=text)).encode())
    message = sure_message(record)
    assert message is not None
    assert message.received_at_ms == to_ms(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    "value", [b"", b"{}", None, 7, b"x" * (1 << 20), json.dumps(inbound_record(body="\0")).encode()]
)
def test_a_value_that_is_not_sure_is_left_to_the_model(value: Any) -> None:
    assert sure_message(a_message(value)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"body": "ST\nOP", "num_media": 7},
        {"body": "退订", "from_country": None, "messaging_service_sid": None},
        {"from": f"whatsapp:{RECIPIENT}", "to": "12345"},
    ],
)
def test_usual_messages_are_sure(changed: dict[str, Any]) -> None:
    value = json.dumps(inbound_record() | changed, ensure_ascii=False).encode()
    record, model = a_message(value), read(InboundMessage, value)
    assert sure_message(record) == inbound_messages.message_of(model, arrival_of(record))
    assert sure_message(record._replace(headers=(("own", b""),))) is None


@given(st.data())
def test_a_send_with_an_entry_is_valid_and_in_its_place(data: st.DataObject) -> None:
    value = data.draw(values(outbound_record()))
    key = data.draw(st.sampled_from([KEY, KEY + b"0", b""]))
    entry, origin = sure_send(value, key)
    assert (entry is None) is (origin is None)
    if entry is not None:
        send = read(OutboundMessage, value)
        assert entry == f"{send.account_sid}/{send.to}"
        assert origin == (send.account_sid, send.messaging_service_sid, send.from_)
        assert send.to.encode() == key
        assert partition_of(key, PARTITIONS) == PLACE


def sure_send(value: bytes, key: bytes = KEY) -> tuple[str | None, Origin | None]:
    [entry], [origin] = sure_sends([a_message(value, key)], "texts", PARTITIONS)
    return entry, origin


@given(bodies)
@example("Stop.")
@example("st")
@example("STRAP, OP!? .")
@example("stay at 7 p")
@example("Starts ?")
@example("stop-op")
@example('see you\nat ten, "Ok" \\ / \t')
@example("")
def test_a_message_that_may_be_a_keyword_is_not_passed_over(body: str) -> None:
    value = json.dumps(inbound_record(body=body), ensure_ascii=False).encode()
    found = doubtful([a_message(value)])
    if KEYWORDS.passes(body):
        assert len(found) == 1
    elif not any(ord(character) < 0x20 and character not in "\b\f\n\r\t" for character in body):
        assert found == []  # and others are passed over, unless they have a rare escape


@given(st.lists(bodies, max_size=6))
@example(["no e", "see", "e", "é", "STOP", "", 'a "\\e\n'])
@example([])
def test_a_message_that_a_glance_names_is_not_passed_over(texts: list[str]) -> None:
    records = [
        a_message(json.dumps(inbound_record(body=text), ensure_ascii=False).encode())
        for text in texts
    ]
    found = doubtful(records, glance=Names("e"))
    for text, record in zip(texts, records, strict=True):
        if "e" in text or KEYWORDS.passes(text):
            assert any(record is one for one in found)
        elif not any(ord(character) < 0x20 and character not in "\b\f\n\r\t" for character in text):
            assert all(record is not one for one in found)
    assert list(found) == [record for record in records if any(record is one for one in found)]


@pytest.mark.parametrize(
    "changed",
    [
        {"to": "12345"},
        {"to": "whatsapp:+15551234567", "from": f"rcs:{RECIPIENT}"},
        {"from_country": None, "messaging_service_sid": None, "schema_version": 1},
        {"num_media": 100, "received_at": "2026-11-02T12:00:00.123456-05:30"},
    ],
)
def test_usual_messages_need_no_closer_look(changed: dict[str, Any]) -> None:
    record = inbound_record(body="see you at ten") | changed
    for value in (json.dumps(record), json.dumps(record, separators=(",", ":"), indent=1)):
        assert doubtful([a_message(value.encode())]) == []


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"from": None},
        {"messaging_service_sid": None},
        {"status_callback": "https://example.com/status?a=1#b"},
    ],
)
def test_usual_sends_need_no_closer_look(changed: dict[str, Any]) -> None:
    record = outbound_record(media_urls=None, to=RECIPIENT) | changed
    entry, origin = sure_send(json.dumps(record).encode())
    assert entry == f"{ACCOUNT}/{RECIPIENT}"
    assert origin == (ACCOUNT, record.get("messaging_service_sid"), record.get("from"))


@pytest.mark.parametrize(
    ("to", "is_sure"),
    [
        ("+525512345678", True),
        ("+5215512345678", False),
        ("+541112345678", True),
        ("+5491112345678", False),
        ("+54111512345678", False),
        ("+5511987654321", True),
        ("+551187654321", False),
        ("+5612345678", True),
    ],
)
def test_sends_to_numbers_with_two_spellings_need_a_closer_look(to: str, is_sure: bool) -> None:
    key = to.encode()
    value = json.dumps(outbound_record(media_urls=None, to=to)).encode()
    record = FetchedRecord("sends", partition_of(key, PARTITIONS), 0, 0, 0, key, value, ())
    (entry,), _ = sure_sends([record], "sends", PARTITIONS)
    assert entry == (f"{ACCOUNT}/{to}" if is_sure else None)


def test_messages_of_accounts_with_webhooks_need_a_closer_look() -> None:
    mine = a_message(json.dumps(inbound_record(body="see you at ten")).encode())
    theirs = a_message(json.dumps(inbound_record(body="ok", account_sid=OTHER_ACCOUNT)).encode())
    found = doubtful([mine, theirs], {OTHER_ACCOUNT: 1})
    assert list(found) == [theirs]


def test_records_of_other_topics_and_tombstones_need_a_closer_look() -> None:
    value = json.dumps(inbound_record(body="see you at ten")).encode()
    plain = a_message(value)
    others: list[Any] = [a_message(value, topic="commands"), a_message(None), object()]
    assert doubtful([plain, *others, plain]) == others
    assert sure_sends(others, "texts", PARTITIONS) == ([None] * 3, [None] * 3)
