"""The files of audits: states, the configuration's history, results, snapshots."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from processor.audit import Report, Snapshot, StateRefused, Violation, results
from processor.audit.configuration import drop_before, keep, kept_in, opened
from processor.audit.state import PartitionState
from processor.audit.values import Block, Mark, Place, Source, Standing, digest
from processor.config import load
from processor.errors import ConfigError
from tests.small_world import Written

ABOUT = {"topic changes": "an id"}
KEY = digest("AC1/+15550000001")
PLACE = Place("account", "", False)
SOURCES = frozenset({Source("keyword", "M1.a.x", 1)})
STANDING = Standing(SOURCES, None, frozenset({"otp"}), True)
BLOCKS = {PLACE: Block(PLACE, STANDING, Mark(7, 1), 5)}


def test_a_state_is_there_again_once_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "partition-0.sqlite"
    state = PartitionState(path, ABOUT)
    state.set_entry(KEY, BLOCKS, Mark(7, 1))
    state.see(b"id", 3, b"cause")
    state.save({"next": "9"}, 0)
    state.set_entry(KEY, {}, Mark(7, 2))  # not saved
    state.close()
    unfiltered = PartitionState(path, ABOUT, filtered=False)
    assert unfiltered.entry(KEY) == (BLOCKS, Mark(7, 1))
    assert unfiltered.entry(digest("AC1/+15550000002")) == ({}, None)
    unfiltered.close()
    again = PartitionState(path, ABOUT)
    assert again.entry(KEY) == (BLOCKS, Mark(7, 1))
    assert again.entry(digest("AC1/+15550000002")) == ({}, None)
    assert (again.get("next"), again.seen(b"id")) == ("9", (3, b"cause"))
    again.save({}, 4)
    assert again.seen(b"id") is None  # it is older
    again.close()


def test_a_state_of_something_else_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "partition-0.sqlite"
    state = PartitionState(path, ABOUT)
    state.save({}, 0)
    state.close()
    with pytest.raises(StateRefused, match=r"another topic changes .*--afresh"):
        PartitionState(path, {"topic changes": "another id"})
    with sqlite3.connect(path) as file:
        file.execute("pragma user_version = 1")
    with pytest.raises(StateRefused, match=r"version 1, this program reads 4; .*--afresh"):
        PartitionState(path, ABOUT)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(5000)]
)
def test_a_damaged_state_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "partition-0.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateRefused, match=r"damaged .*--afresh|damaged; .*--afresh"):
        PartitionState(path, ABOUT)


def test_a_state_in_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateRefused, match="unable to open"):
        PartitionState(tmp_path / "missing" / "partition-0.sqlite", ABOUT)


def a_version(offset: int, value: bytes) -> Written:
    return Written("messaging-services.v1", 0, offset, offset + 1, b"MG1", value)


def test_versions_of_a_service_stay_known_though_compaction_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "services.sqlite"
    with opened(path, ABOUT) as file:
        keep(file, a_version(0, b"one"))
    with opened(path, ABOUT) as file:
        keep(file, a_version(4, b"two"))
        keep(file, a_version(6, b"three"))
    with opened(path, ABOUT) as file:
        assert [(one.offset, one.key, one.value) for one in kept_in(file)] == [
            (0, b"MG1", b"one"),
            (4, b"MG1", b"two"),
            (6, b"MG1", b"three"),
        ]
        drop_before(file, 6)
        assert [one.offset for one in kept_in(file)] == [4, 6]
    with pytest.raises(StateRefused, match=r"another topic changes; .*--afresh"):
        opened(path, {"topic changes": "another id"}).__enter__()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StateRefused, match="--afresh"):
        opened(path, ABOUT).__enter__()


def test_the_last_result_is_kept_and_a_broken_one_refused(tmp_path: Path) -> None:
    assert results.last(tmp_path) is None
    report = Report({"found_leak": 1}, (Violation("leak", "x[0]@1", "was allowed"),), 7)
    results.keep(tmp_path, report)
    assert results.last(tmp_path) == report
    (tmp_path / "result.json").write_bytes(b"{")
    with pytest.raises(StateRefused, match="damaged"):
        results.last(tmp_path)
    results.forget(tmp_path)
    assert results.last(tmp_path) is None


def test_snapshots_are_kept_and_broken_ones_forgotten(tmp_path: Path) -> None:
    one = Snapshot(1, {"inbound-messages.v1": {0: 5, 1: 6}, "webhook-deliveries.v1": {0: 7}})
    results.keep_snapshots(tmp_path, [one])
    assert results.snapshots(tmp_path) == [one]
    (tmp_path / "snapshots.json").write_bytes(b'{"version": 1, "snapshots": [[1]]}')
    assert results.snapshots(tmp_path) == []


def test_a_second_audit_keeps_out_of_a_directory(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    with (
        results.alone_in(directory),
        pytest.raises(StateRefused, match="another audit works there"),
        results.alone_in(directory),
    ):
        pass
    with results.alone_in(directory):
        pass
    assert directory.stat().st_mode & 0o777 == 0o700


def test_the_role_needs_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTOUT_ROLES", "audit")
    with pytest.raises(ConfigError, match="OPTOUT_AUDIT_DIRECTORY"):
        load()
    monkeypatch.setenv("OPTOUT_AUDIT_DIRECTORY", "/var/lib/optout/audit")
    assert load().roles == ("audit",)
    monkeypatch.setenv("OPTOUT_ROLES", "all")
    assert "audit" not in load().roles
