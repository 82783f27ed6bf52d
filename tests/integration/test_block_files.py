"""The block list as files, and one recipient's history."""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from processor.cli.common import actor
from processor.config import Settings
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT, SERVICE
from tests.clinic import a_text
from tests.installation import Installation, running
from tests.integration.conftest import Command


async def test_a_file_is_imported_once_its_bad_rows_named_and_exported_again(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at = Installation(settings)
    rows = tmp_path / "blocked.csv"
    rows.write_text(
        "Recipient,reason\n+15550000001,by letter\nanna,\nwhatsapp:+15550000002,\n"
        f'+15550000008,"never closed\n+15550000009,{"x" * 200_000}\n+15550000009,a\rb\n'
        "+15550000003,\n"
    )
    out = tmp_path / "out.csv"
    async with running(settings):
        first = await optout("blocks", "import", str(rows), "--account-sid", ACCOUNT, code=1)
        assert f"{rows}:3: recipient: is not an E.164 number" in first.stderr
        for line, why in (
            (5, "not CSV: unexpected end of data"),
            (6, "longer than 65,536 bytes"),
            (7, "not CSV: new-line character seen in unquoted field"),
        ):
            assert f"{rows}:{line}: {why}" in first.stderr
        assert "3 rows sent as commands, 4 bad rows named" in first.stderr
        await at.wait_for(at.topics.block_changes, 3)
        # It resumes by its id after every interruption, and nothing happens twice.
        [import_id] = re.findall(r"--import-id (IM[0-9a-f]{32})", first.stderr)
        same = ("blocks", "import", str(rows), "--account-sid", ACCOUNT)
        await optout("blocks", "unblock", "+15550000001", "--account-sid", ACCOUNT)
        await optout(*same, "--import-id", import_id, code=1)
        await at.wait_for_no_lag("match")
        assert len(await at.values(at.topics.block_changes)) == 4
        # Another import of the same file takes effect.
        await optout(*same, code=1)
        await at.wait_for(at.topics.block_changes, 5)
        wrong = await optout(*same, "--import-id", "a b", code=2)
        assert "1 to 64 letters, digits and _ . : -" in wrong.stderr
        await optout("blocks", "export", str(out))
        back = await optout("blocks", "import", str(out))
        assert "3 rows sent as commands, 0 bad" in back.stderr
        jsonl = await optout("blocks", "export", "-", "--format", "jsonl")
    header, *lines = out.read_text().splitlines()
    assert header.startswith("recipient,channel_group,account_sid,scope")
    assert sorted(line.split(",")[:4] for line in lines) == [
        ["+15550000001", "sms", ACCOUNT, "account"],
        ["+15550000002", "whatsapp", ACCOUNT, "account"],
        ["+15550000003", "sms", ACCOUNT, "account"],
    ]
    exported = {orjson.loads(line)["recipient"] for line in jsonl.stdout.splitlines()}
    assert exported == {"+15550000001", "+15550000002", "+15550000003"}


async def test_a_file_that_cannot_be_written_is_named(settings: Settings, optout: Command) -> None:
    async with running(settings):
        for file, why in (
            ("/nowhere/x.csv", "No such file"),
            ("/dev/full", "No space"),
        ):
            refused = await optout("blocks", "export", file, "--format", "csv", code=2)
            assert refused.stderr.startswith(f"{file}: {why}")


async def test_a_row_that_names_a_service_blocks_for_the_service(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at = Installation(settings)
    rows = tmp_path / "rows.jsonl"
    said = [
        {"recipient": "+15550000001", "service_sid": SERVICE},
        {"recipient": "+15550000002", "sender": LONG_CODE},
        {"recipient": "+15550000003", "sender": LONG_CODE, "messaging_service_sid": SERVICE},
    ]
    rows.write_bytes(b"\xef\xbb\xbf" + b"\n".join(map(orjson.dumps, said)))
    async with running(settings):
        first = await optout("blocks", "import", str(rows), "--account-sid", ACCOUNT, code=1)
        assert first.stderr.splitlines()[1:] == [
            f"{rows}:3: scope: a service and a sender are named; say which is meant",
            "2 rows sent as commands, 1 bad rows named",
        ]
        changes = await at.wait_for(at.topics.block_changes, 2)
        assert {one["recipient"][-1]: one["scope"] for one in changes} == {
            "1": "service",
            "2": "sender",
        }
        one = ("+15550000004", "--account-sid", ACCOUNT, "--service-sid", SERVICE)
        assert "is blocked (service)" in (await optout("blocks", "block", *one)).stdout
        both = await optout("blocks", "unblock", *one, "--sender", LONG_CODE, code=2)
        assert "say which is meant" in both.stderr


async def test_r29_the_history_tells_every_change_and_its_cause(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "Quit"), a_text("M2", "start"))
        await at.wait_for(at.topics.block_changes, 2)
        await optout("blocks", "block", RECIPIENT, "--account-sid", ACCOUNT, "--reason", "by phone")
        told = (await optout("blocks", "history", RECIPIENT)).stdout.splitlines()
    assert [line.split()[1] for line in told] == ["blocked", "unblocked", "blocked"]
    assert told[0].endswith("account  keyword 'quit' (M1)")
    assert f"operator 'by phone' by {actor()} (CC" in told[2]


async def test_r29_what_an_import_claims_is_kept_as_a_claim(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at = Installation(settings)
    rows = tmp_path / "theirs.csv"
    rows.write_text(
        "recipient,source,at,reason\n"
        "+15550000001,keyword,2020-02-03T04:05:06Z,\n"
        "+15550000002,,,from the old system\n"
    )
    one, two = "+15550000001", "+15550000002"
    async with running(settings):
        given = ("blocks", "import", str(rows), "--account-sid", ACCOUNT)
        await optout(*given, "--source", "acme", "--actor", "anna")
        changes = {
            change["recipient"]: change["cause"]
            for change in await at.wait_for(at.topics.block_changes, 2)
        }
        assert [changes[number]["source"] for number in (one, two)] == ["import", "import"]
        assert (changes[one]["claimed_source"], changes[one]["claimed_at"]) == (
            "keyword",
            "2020-02-03T04:05:06.000Z",
        )
        assert (changes[two]["claimed_source"], changes[two]["reason"]) == (
            "acme",
            "from the old system",
        )
        assert {cause["actor"] for cause in changes.values()} == {"anna"}
        # A command made it, whatever it claims, so lifting it needs no reason.
        await optout("blocks", "unblock", one, "--account-sid", ACCOUNT)
        out = (await optout("blocks", "export", "-", "--format", "csv")).stdout.splitlines()
        assert out[0].endswith(",mark,source,locked")
        assert out[1].endswith(",command,False")
        locked = orjson.dumps({"recipient": one, "locked": True}).decode()
        rows.with_suffix(".jsonl").write_text(locked)
        refused = await optout(
            *("blocks", "import", str(rows.with_suffix(".jsonl")), "--account-sid", ACCOUNT),
            code=1,
        )
        assert "locked, only, but: an import can only block everything" in refused.stderr
