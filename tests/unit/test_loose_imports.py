"""R33, K11: rows as lists have them are read, or refused by name; nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from processor.cli import main
from processor.wire.block_rows import command_of
from processor.wire.wishes import Wishes
from tests.builders import ACCOUNT, SERVICE

LIST = (
    b"recipient,since\n"
    b"+12125550101,2024-01-05T10:00:00Z\n"
    b"12125550102\n"
    b"(212) 555-0103\n"
    b"212-555-0104\n"
    b"1.2125550105E+10\n"
    b"+1 212 555 0106\n"
    b"+1-212-555-0107\n"
    b"0044 7700 900108\n"
    b"+12125550109 \n"
    b"\xef\xbb\xbf+12125550110\n"
    b"whatsapp:+12125550111\n"
    b"+12125550112\n"
)
DEFAULTS: dict[str, str | None] = {"account_sid": ACCOUNT, "scope": "account"}


def tried(tmp_path: Path, content: bytes, *options: str) -> Result:
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    asked = ["blocks", "import", str(file), "--account-sid", ACCOUNT, "--dry-run", *options]
    return CliRunner().invoke(main, asked)


def keys(given: Result) -> list[str]:
    return [line.split(" is ")[1].partition(": ")[0] for line in given.stdout.splitlines()]


def test_r33_a_dry_run_shows_what_each_row_of_a_country_becomes(tmp_path: Path) -> None:
    given = tried(tmp_path, LIST, "--country", "US")
    assert keys(given) == [
        *(f"+121255501{number:02}" for number in range(1, 8)),
        "+447700900108",
        "+12125550109",
        "+12125550110",
        "whatsapp:+12125550111",
        "+12125550112",
    ]
    assert given.exit_code == 0
    assert given.stderr == "12 rows would be commands, 0 bad rows named\n"
    first = given.stdout.splitlines()[0].partition("list.csv:")[2]
    assert first == f"2: '+12125550101' is +12125550101: block {ACCOUNT} account"


def test_r33_a_national_number_without_a_country_is_named(tmp_path: Path) -> None:
    given = tried(tmp_path, LIST)
    assert given.exit_code == 1
    assert len(keys(given)) == 8
    *named, total = given.stderr.splitlines()
    assert [line.partition("list.csv:")[2].partition(":")[0] for line in named] == list("3456")
    assert {line.partition("recipient: ")[2] for line in named} == {
        "has no country: write + and the country's code before it, or name the country"
    }
    assert total == "8 rows would be commands, 4 bad rows named"


def test_r32_two_spellings_of_one_person_with_different_wishes_are_named(tmp_path: Path) -> None:
    rows = (
        b"recipient,blocked,reason\n"
        b"+5215555550101,true,\n"
        b"+525555550101,false,asked\n"
        b"+553188550102,false,asked\n"
        b"+5531988550102,true,\n"
        b"+5531988550102,true,\n"
    )
    given = tried(tmp_path, rows)
    assert [line.split(": ")[2].split()[0] for line in given.stdout.splitlines()] == [
        "block",
        "unblock",
        "block",
        "block",
    ]
    assert [line.partition("list.csv:")[2] for line in given.stderr.splitlines()[:2]] == [
        "3: row 2 blocks the same recipient: this row was left out, remove one of them",
        "5: row 4 unblocks the same recipient: this row was taken, remove the other",
    ]


def test_r33_rows_about_different_places_or_channels_do_not_differ() -> None:
    wishes = Wishes()
    usual: dict[str, Any] = {"account_sid": ACCOUNT, "recipient": "+12125550101", "blocked": True}
    assert wishes.difference(1, usual) is None
    for row, other in enumerate(
        (
            {"scope": "service", "messaging_service_sid": SERVICE},
            {"channel_group": "whatsapp"},
            {"recipient": "+12125550102"},
        ),
        2,
    ):
        assert wishes.difference(row, usual | other | {"blocked": False}) is None


def test_r33_an_import_beyond_what_is_remembered_unblocks_nobody_it_may_have_blocked() -> None:
    wishes = Wishes(most=1)
    one, two, three = ({"recipient": f"+1212555010{n}"} for n in range(3))
    assert wishes.difference(1, one | {"blocked": True}) is None
    assert wishes.difference(2, two | {"blocked": False}) is None  # no block is forgotten yet
    assert wishes.difference(3, three | {"blocked": True}) is None
    why = wishes.difference(4, two | {"blocked": False})
    assert why == "unblocks in a file of over 1 rows: put it into a file of its own"


@pytest.mark.parametrize(
    ("row", "came"),
    [
        ({"recipient": 12125550102, "country": "US"}, ("+12125550102", None)),
        ({"recipient": "020 7946 0000", "country": "GB"}, ("+442079460000", None)),
        ({"recipient": "US.1349"}, ("US.1349", "whatsapp")),
        ({"recipient": "rcs:+1 212 555 0106"}, ("+12125550106", "sms")),
        ({"recipient": "whatsapp:+5215555550101"}, ("+525555550101", "whatsapp")),
    ],
)
def test_r33_a_rows_own_country_and_channel_count(
    row: dict[str, Any], came: tuple[str, str | None]
) -> None:
    command = command_of(row, DEFAULTS, import_id="IM1", country="DE")
    assert (command["recipient"], command.get("channel_group")) == came
    assert orjson.dumps(command)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            {"recipient": "whatsapp:+12125550101", "channel_group": "sms"},
            "channel_group: is not the channel of the recipient's address",
        ),
        (
            {"recipient": "US.1349", "channel_group": "sms"},
            "channel_group: is not the channel of the recipient's address",
        ),
        (
            {"recipient": "12125550102.0"},
            "recipient: has the .0 of a spreadsheet: format the column as text",
        ),
    ],
)
def test_r33_a_row_that_contradicts_itself_is_refused(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match="^" + why.replace(".", r"\.") + "$"):
        command_of(row, DEFAULTS, import_id="IM1")
