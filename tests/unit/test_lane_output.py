"""A lane's unsent records keep their order, copied or not."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords

from processor.kafka.copying import form_record
from processor.kafka.fetched import FetchedRecord
from processor.kafka.lanes.lane_output import LaneOutput
from processor.wire.records import Row
from processor.wire.texts import record_of

pytestmark = pytest.mark.usefixtures("readers")
MARK: list[tuple[str, bytes | None]] = [("mark", b"1-1")]


def a_send(number: int) -> FetchedRecord:
    return FetchedRecord("sends", 3, number, 1, 0, b"+15550100001", b"%d" % number, ())


def written(out: LaneOutput) -> list[tuple[Any, Any]]:
    found = []
    for tp, batch in out.batches():
        assert tp == ("allowed", 3)
        batch._set_producer_state(9, 2, 0)
        records = MemoryRecords(bytes(batch._build()))
        assert records.has_next()
        found += [(one.value, one.headers) for one in records.next_batch()]
    return found


@pytest.mark.parametrize("runs", [(150, 1, 150), (1, 1, 1), (120, 120), (3, 500, 2)])
def test_copies_keep_their_places_among_other_records(runs: tuple[int, ...]) -> None:
    out: Any = LaneOutput(3)
    number = 0
    for run in runs:
        out.copy("allowed", [a_send(number + at) for at in range(run)], MARK)
        number += run
        out.put("allowed", b"+15550100001", b"%d" % number, [*MARK, ("own", None)])
        number += 1
    out.copy("allowed", [], MARK)
    found = written(out)
    assert [value for value, _ in found] == [b"%d" % at for at in range(number)]
    copies = [headers == [*MARK, ("optout.source", value)] for value, headers in found]
    assert sum(copies) == number - len(runs)


def test_records_that_are_filled_are_those_that_are_put() -> None:
    sizes = (3, 60_000, 500_000, 1, 40_000, 70_000)  # some begin another batch
    form = form_record((b"k", 0), (b"a", 1), (("mark", (b"1-1",)), ("own", (0,))))
    rows: list[Row] = [(form, (b"%d" % number, b"b" * size)) for number, size in enumerate(sizes)]
    put_out, fill_out = [LaneOutput(3) for _ in range(2)]
    for row in rows:
        put_out.put("allowed", *record_of(row))
    fill_out.fill("allowed", rows[:2])
    fill_out.put("allowed", *record_of(rows[2]))
    fill_out.fill("allowed", [])
    fill_out.fill("allowed", rows[3:])
    found = written(put_out)
    assert written(fill_out) == found
    assert [headers for _, headers in found] == [
        [*MARK, ("own", b"%d" % number)] for number in range(len(sizes))
    ]


def test_a_batch_is_sent_again_under_another_number() -> None:
    again, once = [LaneOutput(3) for _ in range(2)]
    for out in (again, once):
        out.put("allowed", b"+15550100001", b"value", MARK)
    [(_, twice)], [(_, fresh)] = again.batches(), once.batches()
    built: list[Any] = []
    for batch, number in ((twice, 0), (twice, 1), (fresh, 1)):
        batch._set_producer_state(9, 2, number)
        built.append(bytes(batch._build()))
    _, second, other = ([*MemoryRecords(one).next_batch()][0] for one in built)  # noqa: RUF015
    assert (second.key, second.value, second.headers) == (other.key, other.value, other.headers)
    for one in built:
        assert MemoryRecords(one).next_batch().validate_crc()
    heads = [
        (b.producer_id, b.producer_epoch, b.base_sequence)
        for b in (MemoryRecords(one).next_batch() for one in built)
    ]
    assert heads == [(9, 2, 0), (9, 2, 1), (9, 2, 1)]
