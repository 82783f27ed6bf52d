"""An examination: time limits, checks that need others, and the words for people and programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from processor.cli import main
from processor.config import Settings
from processor.doctor.checks import CHECKS
from processor.doctor.examination import Check, Examination, Role, examine
from processor.doctor.findings import Finding, Result, State, count, is_well, some_of
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.rights import Right, rights_of
from processor.stores.redis_client import redis_client

ROOT = Path(__file__).parents[2]


async def results_of(*checks: Check, role: Role = "operator") -> Sequence[Result]:
    settings = Settings()
    redis = redis_client(settings)
    said: list[str] = []
    at = Examination(settings, role, redis, said.append)
    found = [one async for one in examine(at, checks, limit_s=0.2)]
    await redis.close()
    names = [one.name for one in found if one.state is not State.SKIPPED]
    assert [one for one in said if ":" not in one] == names
    return found


async def good(at: Examination) -> str:
    at.note("a disk is small", "buy one")
    return "three of them"


async def hangs(at: Examination) -> str:
    at.wrong("found before", "mend it")
    at.report("one: 3 of 9")
    await asyncio.Event().wait()
    return ""


async def breaks(at: Examination) -> str:
    raise BrokerUnavailable("Kafka: gone")


async def refuses(at: Examination) -> str:
    raise ConfigError(["one; mend it", "two"])


async def test_a_note_is_not_wrong() -> None:
    [result] = await results_of(Check("one", good, ""))
    assert (result.state, result.fact) == (State.OK, "three of them")
    assert result.findings == (Finding("a disk is small", "buy one", is_wrong=False),)
    assert is_well([result])


async def test_a_check_that_hangs_ends_at_its_limit_and_keeps_its_findings() -> None:
    [result] = await results_of(Check("one", hangs, "look at it"))
    assert [str(one) for one in result.findings] == [
        "found before; mend it",
        "was not done within 0.2 s (one: 3 of 9); look at it; or raise --limit",
    ]
    assert not is_well([result])


async def test_what_needs_a_check_that_failed_is_skipped_and_the_others_run() -> None:
    first, second, third, last = await results_of(
        Check("Kafka", breaks, "start it"),
        Check("topics", good, "", frozenset({"Kafka"})),
        Check("rights", good, "", frozenset({"topics"})),
        Check("Redis", refuses, "start it"),
    )
    assert first.findings == (Finding("Kafka: gone", "start it"),)
    assert (second.state, second.fact) == (State.SKIPPED, "needs Kafka")
    assert (third.state, third.fact) == (State.SKIPPED, "needs topics")
    assert last.findings == (Finding("one; mend it", ""), Finding("two", ""))


async def test_a_role_runs_the_checks_that_it_has_rights_for() -> None:
    both = frozenset[Role]({"api", "operator"})
    [result] = await results_of(
        Check("one", good, "", roles=both), Check("two", good, ""), role="gate"
    )
    assert result.name == "two"


def test_every_check_comes_after_those_that_it_needs() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert check.needs <= seen
        seen.add(check.name)
    assert seen == {
        *("Kafka", "Redis", "topics", "rights", "clocks", "versions"),
        *("secret keys", "services", "webhooks", "carriers"),
    }


def test_the_rights_of_the_package_are_those_of_acls_toml() -> None:
    roles = tomllib.loads((ROOT / "deploy" / "acls.toml").read_text("utf-8"))["kafka"]
    copied = json.loads((ROOT / "processor" / "doctor" / "rights.json").read_text("utf-8"))
    kinds = ("topics", "groups", "transactional_ids")
    assert copied == {
        role: {kind: given.get(kind, {}) for kind in kinds} for role, given in roles.items()
    }, "run `make manifests`"


def test_a_prefix_means_every_topic_that_begins_so_and_a_lane_for_all_lanes() -> None:
    role = {
        "topics": {"*": ["Describe"], "retries-*": ["Write"]},
        "groups": {"match": ["Read"]},
        "transactional_ids": {"match-*": ["Write"]},
    }
    assert rights_of(role, "o.", ["o.retries-1", "o.other"]) == [  # type: ignore[arg-type]
        Right("groups", "o.match", "Read"),
        Right("topics", "o.other", "Describe"),
        Right("topics", "o.retries-1", "Describe"),
        Right("topics", "o.retries-1", "Write"),
        Right("transactional_ids", "o.match-0", "Write"),
    ]


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d"], "a, b, c and 1 more")],
)
def test_many_names_are_cut(names: list[str], words: str) -> None:
    assert some_of(names) == words


def test_things_are_counted_in_words() -> None:
    assert (count(0, "key"), count(1, "key"), count(2_000, "key")) == (
        "0 keys",
        "1 key",
        "2,000 keys",
    )


def test_a_wrong_setting_is_the_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTOUT_PARTITIONS", "many")
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", "short")
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    [line] = result.stdout.splitlines()
    told = orjson.loads(line)
    assert (told["check"], told["state"]) == ("settings", "wrong")
    assert [one["what"].partition(":")[0] for one in told["findings"]] == [
        "OPTOUT_PARTITIONS",
        "OPTOUT_SECRET_KEYS",
    ]


def test_an_address_of_redis_that_is_none_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_REDIS_URL", "redis+sentinel://user:hidden@127.0.0.1:1")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.startswith("settings     wrong\n    wrong: OPTOUT_REDIS_URL: ")
    assert "hidden" not in result.output


def test_servers_that_do_not_answer_are_wrong_and_the_rest_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("OPTOUT_REDIS_URL", "redis://user:hidden@127.0.0.1:1/0")
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "wrong: Kafka at 127.0.0.1:1: KafkaConnectionError" in result.stdout
    assert "do: see that brokers run" in result.stdout
    assert "wrong: Redis: ConnectionError" in result.stdout
    assert "skipped needs Kafka, Redis" in result.stdout
    assert result.stdout.endswith("2 things are wrong\n")
    assert "hidden" not in result.output
    assert result.stderr == ""  # progress is for terminals


@pytest.mark.slow
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_shows_progress_and_colours_unless_it_wants_none(no_color: str) -> None:
    master, slave = pty.openpty()
    environment = {
        "OPTOUT_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "OPTOUT_REDIS_URL": "redis://127.0.0.1:1/0",
        "NO_COLOR": no_color,
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "processor", "doctor"]
    process = subprocess.Popen(
        command, stdout=slave, stderr=slave, env=os.environ | environment, cwd=ROOT
    )
    os.close(slave)
    said = b""
    with contextlib.suppress(OSError):  # Linux's end of a terminal
        while part := os.read(master, 4096):
            said += part
    os.close(master)
    assert process.wait() == 1
    assert "\rKafka …" in said.decode()
    assert (b"\x1b[31m" in said) is not bool(no_color)
