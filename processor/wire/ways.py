"""The header of a record that a lane sent on to the other address of its person (R32)."""

from __future__ import annotations

import orjson

from processor.core.links import Step, Way
from processor.errors import RecordError, UnreadableEntry
from processor.wire import blocks as wire_blocks
from processor.wire.headers import WAY
from processor.wire.json_values import is_number, is_subscriber, is_user_id
from processor.wire.records import Header, Record

_WRONG = f"its header {WAY} is none that a lane writes: remove it"


def header_of(way: Way) -> Header:
    """The header: JSON of the step, the two addresses, and blocks as an entry has them."""
    said: dict[str, object] = {"step": way.step, "id": way.id, "number": way.number}
    if way.blocks:
        said["blocks"] = orjson.Fragment(wire_blocks.pack(way.blocks))
    return WAY, orjson.dumps(said)


def way_in(record: Record) -> Way | None:
    """How a record came to its lane from another; None of nearly all.

    Raises:
        RecordError: the header cannot be read.
    """
    if not record.headers:
        return None
    said = next((value for name, value in record.headers if name == WAY), None)
    return None if said is None else _read(said)


def _read(said: bytes) -> Way:
    try:
        fields = orjson.loads(said)
        packed = fields.get("blocks")
        blocks = wire_blocks.unpack(None if packed is None else orjson.dumps(packed))
        way = Way(Step(fields["step"]), fields["id"], fields["number"], blocks)
        is_sound = is_user_id(way.id) and is_number(way.number)
        if way.step is Step.MOVE:
            is_sound = is_subscriber(way.id) and is_subscriber(way.number)
        if not is_sound:
            raise RecordError(_WRONG)
    except (ValueError, TypeError, LookupError, AttributeError, UnreadableEntry):
        raise RecordError(_WRONG) from None
    return way


def checked(way: Way | None, *addresses: str | None) -> Way | None:
    """A way, if it is between these addresses of its record.

    Args:
        way: of the record.
        addresses: the subscriber keys that the record names.

    Raises:
        RecordError: it is another record's.
    """
    if way is None:
        return None
    needed = {way.id} if way.step in (Step.FOLLOW, Step.MOVE) else {way.id, way.number}
    if not needed <= set(addresses):
        raise RecordError(_WRONG)
    return way


def is_in_place(record: Record, own_key: str) -> bool:
    """Whether a record has the key of the entry that decides on it.

    Args:
        record: perhaps on its way.
        own_key: that its producer gave it.
    """
    try:
        way = way_in(record)
    except RecordError:
        return False
    key: bytes | None = record.key
    return key == (way.at if way else own_key).encode()
