"""Stored formats of Redis and committed offsets, byte for byte: a release reads the last's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processor.core.blocks import ConfigView, Mark
from processor.core.brakes import Brake
from processor.core.identity import Handled, brake_of, handled_command, handled_message, reply_to
from processor.core.messages import OptOutType
from processor.stores.block_list import FORMAT, NEWER, BatchWrite, Format
from processor.stores.messages import fields_of, message_of
from processor.stores.notes import Note
from processor.stores.redis_block_list import meta_of, undo_of, undo_record
from processor.stores.reply_hours import placed, unpacked
from processor.wire.blocks import pack, read_stored, stored_in, unpack, write_entry
from schemas import released

NOW = released.REDIS
ENTRIES = [NOW / "entries.json", *sorted(released.FOLDER.glob("*/redis-entries.json"))]
LISTS = [NOW / "list.json", *sorted(released.FOLDER.glob("*/redis-list.json"))]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


GOLDEN = [(path, one) for path in ENTRIES for one in read(path)]


@pytest.mark.parametrize(("path", "golden"), GOLDEN, ids=lambda one: str(one)[-60:])
def test_an_entry_in_redis_is_the_one_in_the_topic(path: Path, golden: dict[str, Any]) -> None:
    entry = read_stored(json.dumps(golden["same_as"]).encode())
    assert stored_in(golden["value"].encode()) == entry
    if path.parent == NOW:
        assert pack(*entry).decode() == golden["value"]
        assert json.loads(write_entry(golden["key"], *entry) or b"") == golden["same_as"]


def test_every_kind_of_cause_has_a_golden_entry() -> None:
    kinds = {
        source.kind
        for one in read(NOW / "entries.json")
        for block in unpack(one["value"].encode())
        for source in block.sources
    }
    assert kinds == set(type(next(iter(kinds))))


@pytest.mark.parametrize("path", LISTS, ids=str)
def test_what_a_list_says_of_itself_is_read(path: Path) -> None:
    fields = read(path)["meta"]
    names = ("epoch", "mark", "ready", "partitions", "format", "config", "committed")
    meta = meta_of([*(fields[name].encode() for name in names), 5])
    assert (meta.epoch, str(meta.mark), meta.ready) == (
        int(fields["epoch"]),
        fields["mark"],
        fields["ready"],
    )
    assert (meta.partitions, str(meta.format), str(meta.config), meta.unheard_ms) == (
        int(fields["partitions"]),
        fields["format"],
        fields["config"],
        5,
    )
    assert str(meta.committed) == fields["committed"]
    assert meta.format.least <= FORMAT.written


@pytest.mark.parametrize("path", LISTS, ids=str)
def test_the_last_batch_can_be_undone_and_its_mark_is_noted(path: Path) -> None:
    golden = read(path)
    before, handled, replied = undo_of(golden["undo"].encode())
    nothing, something = before.values()
    assert nothing is None
    assert unpack(something)
    assert [one.id.hex() for one in handled] == [one["id"] for one in golden["handled"]]
    assert str(Note.parse(golden["note"]).mark) == golden["meta"]["mark"]
    if path.parent == NOW:
        ((_, values),) = replied.items()
        counted = {brake: unpacked(value) for brake, value in values.items()}
        assert [list(map(len, (brake, replies))) for brake, replies in counted.items()] == [
            [10, 0],
            [10, 1],
        ]
        reply = reply_to(handled[0])
        assert reply in counted[bytes.fromhex(golden["brake"]["id"])]
        batch = BatchWrite(
            *(1, Mark(1, 1), Mark(1, 2), {}, before, handled, None),
            dict.fromkeys(counted, (reply,)),
            counted,
        )
        assert undo_record(batch, placed(batch.replied)).decode() == golden["undo"]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (f"{FORMAT.written} 7-3", Note(Mark(7, 3), 7)),
        (f"{FORMAT.written} 7-3 9", Note(Mark(7, 3), 9)),
        (f"{FORMAT.written} - 9", Note(None, 9)),
    ],
)
def test_a_note_says_its_mark_and_a_later_epoch(text: str, note: Note) -> None:
    assert Note.parse(text) == note
    assert str(note) == text


@pytest.mark.parametrize(
    "text", ["", "2", "2 -", "2 7", "2 7-3 x", "2 7-3-1", "kafka-consumer-groups"]
)
def test_of_a_foreign_note_nothing_is_kept(text: str) -> None:
    assert Note.parse(text) == Note(None, 0)


@pytest.mark.parametrize("path", LISTS, ids=str)
def test_a_message_handled_before_is_known_again(path: Path) -> None:
    message, command = read(path)["handled"]
    said = message["message"]
    known = handled_message(
        said["account_sid"], said["message_sid"], said["from"], said["to"], at_ms=1
    )
    assert known == Handled(bytes.fromhex(message["id"]), 1)
    known = handled_command(**command["command"], at_ms=1)
    assert known == Handled(bytes.fromhex(command["id"]), 1)


@pytest.mark.parametrize("path", LISTS, ids=str)
def test_a_brake_is_known_again(path: Path) -> None:
    golden = read(path)["brake"]
    said = golden["message"]
    kind = OptOutType(said["kind"])
    brake = brake_of(said["account_sid"], said["from"], said["to"], kind, at_ms=1)
    assert brake == Brake(bytes.fromhex(golden["id"]), 1)


@pytest.mark.parametrize(
    ("text", "read_as"),
    [("2 2", FORMAT), ("3 2", Format(3, 2)), ("", NEWER), ("two", NEWER), ("3 2 1", NEWER)],
)
def test_what_is_no_format_is_newer_than_ours(text: str, read_as: Format) -> None:
    assert Format.parse(text) == read_as
    assert (Format.parse(text).written > FORMAT.written) is (read_as != FORMAT)


def test_a_view_of_the_configuration_is_read_as_it_was_written() -> None:
    view = ConfigView("a:b", 7)
    assert ConfigView.parse(str(view)) == view


def test_a_message_of_the_api_is_what_its_golden_hash_says() -> None:
    fields = read(NOW / "message.json")
    stored = {name.encode(): value.encode() for name, value in fields.items()}
    message = message_of("SM1", stored)
    assert message is not None
    assert {name: str(value) for name, value in fields_of(message).items()} == fields
