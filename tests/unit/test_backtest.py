"""`optout backtest`: the messages that a draft would read differently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from processor.cli import backtest, main
from processor.cli.common import UtcTime
from tests.builders import ACCOUNT, LONG_CODE, SERVICE, inbound_record
from tests.ears import ENOUGH, PLEASE, an_ear

KEYWORDS_ALONE = {"phrases": "off", "suspected": "off"}


def a_file(path: Path, **opt_out: Any) -> str:
    service = {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "senders": [{"address": LONG_CODE}],
        "opt_out": opt_out,
    }
    path.write_text(yaml.safe_dump(service))
    return str(path)


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    path = tmp_path / "recorded.jsonl"
    bodies = ["quit", "Stop!", "baja", "hello", "stop"]
    lines = [
        json.dumps(inbound_record(body, message_sid=f"SM{n}")) for n, body in enumerate(bodies)
    ]
    path.write_text("\n".join([*lines, "no message"]))
    return str(path)


def test_a_lost_stop_is_counted_shown_and_ends_with_1(tmp_path: Path, recorded: str) -> None:
    baja = {"es": {"STOP": {"keywords": ["baja"], "reply": "Adiós. START."}}}
    short = {"STOP": {"keywords": ["stop"], "reply": "Bye. START."}}
    exact = {"match": "exact", "standard": short, "languages": baja}
    draft = a_file(tmp_path / "draft.yaml", **exact, **KEYWORDS_ALONE)
    active = a_file(tmp_path / "active.yaml", enabled=True, **KEYWORDS_ALONE)
    run = CliRunner().invoke(
        main, ["backtest", "--json", "--services", draft, "--against", active, recorded]
    )
    assert run.exit_code == 1
    found = json.loads(run.stdout)
    assert (found["messages"], found["unreadable"], found["stops_lost"]) == (5, 1, 2)
    assert [
        (
            change["active"],
            change["draft"],
            change["count"],
            change["countries"],
            change["examples"],
        )
        for change in found["changes"]
    ] == [
        (["STOP", "quit", None], None, 1, {"US": 1}, ["quit"]),
        (["STOP", "stop", None], None, 1, {"US": 1}, ["Stop!"]),
        (None, ["STOP", "baja", "es"], 1, {"US": 1}, ["baja"]),
    ]


def test_a_backtest_of_nothing_is_none(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_bytes(b"\x00\xff\n{}\n")
    draft = a_file(tmp_path / "draft.yaml", enabled=True)
    run = CliRunner().invoke(main, ["backtest", "--services", draft, str(recorded)])
    assert run.exit_code == 2
    assert run.stderr.splitlines()[-1] == ("no inbound message found: nothing was tested")


@pytest.mark.parametrize(
    ("said", "at_ms"),
    [
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T12:00", 1_769_860_800_000),
        ("2026-01-31 12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00+02:00", 1_769_853_600_000),
    ],
)
def test_a_time_on_the_command_line_is_utc_unless_it_says_otherwise(said: str, at_ms: int) -> None:
    assert UtcTime().convert(said, None, None) == at_ms


@pytest.mark.parametrize("said", ["yesterday", "1960-01-01", "0001-01-01", "2026-13-01"])
def test_what_is_no_time_of_a_topic_is_refused(said: str) -> None:
    with pytest.raises(click.BadParameter, match=f"'{said}' is "):
        UtcTime().convert(said, None, None)


def test_nothing_changes_against_itself(tmp_path: Path, recorded: str) -> None:
    active = a_file(tmp_path / "active.yaml", enabled=True, **KEYWORDS_ALONE)
    run = CliRunner().invoke(
        main, ["backtest", "--services", active, "--against", active, recorded]
    )
    assert run.exit_code == 0
    assert run.stderr == f"{recorded}:6: not JSON: expected ident at line 1 column 2\n"
    assert run.stdout.splitlines() == [
        "5 messages: 3 STOP under the draft",
        "1 lines are not inbound messages",
        "nothing would change",
    ]


def test_r30_it_says_what_the_policies_of_a_draft_would_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "Ear", an_ear)
    recorded = tmp_path / "recorded.jsonl"
    bodies = [PLEASE, PLEASE, ENOUGH, "hello"]
    recorded.write_text(
        "\n".join(
            json.dumps(inbound_record(body, message_sid=f"SM{n}")) for n, body in enumerate(bodies)
        )
    )
    draft = a_file(tmp_path / "draft.yaml", phrases="report", suspected="block")
    arguments = ["backtest", "--services", draft, str(recorded)]
    run = CliRunner().invoke(main, [*arguments, "--json"])
    found = json.loads(run.stdout)
    assert (run.exit_code, found["stops_lost"]) == (1, 2)  # by default phrases block
    assert found["suspected"] == [
        {"tier": "phrase", "policy": "report", "count": 2},
        {"tier": "suspected", "policy": "block", "count": 1},
    ]
    assert [(one["active"], one["draft"], one["count"]) for one in found["changes"]] == [
        (["STOP", "phrase", None], ["REVIEW", "phrase", None], 2),
        (["REVIEW", "suspected", None], ["STOP", "suspected", None], 1),
    ]
    said = CliRunner().invoke(main, arguments).output
    assert "2 phrase: the draft would have people review them" in said
    assert "STOP 'phrase' becomes REVIEW 'phrase'" in said
