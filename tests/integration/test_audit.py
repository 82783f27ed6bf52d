"""`optout audit` on real topics: no findings in a good run, and every kind of harm is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis

from processor.audit import audit
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.groups import group_view
from processor.kafka.writing import Outgoing
from tests.builders import ACCOUNT, ENTRY, RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running, until
from tests.integration.conftest import Command

KEY = RECIPIENT.encode()
OTHER = "+15550000001"


async def a_good_run(at: Installation) -> None:
    """A conversation, sends, a command, a redelivery, a bad record, and another recipient."""
    command = {
        "command_id": "C1",
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": OTHER,
        "channel_group": "sms",
        "blocked": True,
        "source": "operator",
        "at": "2026-11-02T12:00:00.000Z",
    }
    await configure(at.settings, CLINIC)
    async with running(at.settings) as runtime:
        await runtime.shared.services.wait_loaded()
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.texts(a_text("M1", "help"), a_text("M2", "stop"), a_text("M2", "stop"))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S2"), a_send("S2"))
        await at.wait_for(at.topics.message_statuses, 2)
        await at.texts(a_text("M3", "HALT"), a_text("M4", "start"), a_text("M5", "start"))
        await at.wait_for(at.topics.reply_sends, 4)
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.allowed_sends, 2)
        await at.texts(a_text("M6", "stop"), a_text("M7", "hello"))
        await at.write(at.topics.consent_commands, command)
        await at.write_raw(Outgoing(at.topics.inbound_messages, KEY, b"no message"))
        await at.wait_for_letters(1)
        await at.wait_for(at.topics.block_changes, 4)
        await at.sends(a_send("S4", to=OTHER), a_send("S5"))
        await at.wait_for(at.topics.message_statuses, 4)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory where audits keep their state."""
    directory = tmp_path / "audit"
    monkeypatch.setenv("OPTOUT_AUDIT_DIRECTORY", str(directory))
    return directory


def holds(directory: Path, number: str) -> bool:
    """Whether a file of a directory contains a number."""
    return any(number.encode() in path.read_bytes() for path in directory.iterdir())


async def test_a_good_run_has_no_violation(settings: Settings, optout: Command) -> None:
    await a_good_run(Installation(settings))
    report = orjson.loads((await optout("audit", "--json")).stdout)
    assert report["violations"] == []
    counts = report["counts"]
    assert (counts["verdicts_checked"], counts["block-changes.v1"]) == (6, 4)
    assert counts["redis_entries_checked"] == 2
    assert counts["entries_checked"] >= 2  # compaction may have taken some
    said = (await optout("audit", "--since", "2999-01-01")).stdout
    assert said.endswith("nothing lost, duplicated, reordered, contradictory or leaked\n")


async def test_an_audit_goes_on_where_the_last_one_ended(
    settings: Settings, optout: Command, kept: Path
) -> None:
    at = Installation(settings)
    await a_good_run(at)
    first = orjson.loads((await optout("audit", "--json")).stdout)
    again = orjson.loads((await optout("audit", "--json")).stdout)
    assert (first["violations"], again["violations"]) == ([], [])
    assert first["counts"]["verdicts_checked"] == 6
    assert again["counts"].get("verdicts_checked", 0) == 0
    assert again["counts"]["redis_entries_checked"] == 2
    await passed_by(at, "gate", at.topics.outbound_messages, a_send("S6"))
    found = orjson.loads((await optout("audit", "--json", code=1)).stdout)
    assert [one["kind"] for one in found["violations"]] == ["lost"]
    last = await optout("audit", "--last", "--json", code=1)
    assert orjson.loads(last.stdout) == found
    assert not holds(kept, RECIPIENT)
    afresh = orjson.loads((await optout("audit", "--afresh", "--json", code=1)).stdout)
    assert afresh["counts"]["verdicts_checked"] == 6


async def test_a_state_that_is_damaged_or_of_another_installation_is_refused(
    settings: Settings, optout: Command, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_good_run(Installation(settings))
    await optout("audit", "--processes", "1")
    place = partition_of(KEY, settings.partitions)
    damage(kept / f"partition-{place}.sqlite")
    refused = await optout("audit", "--processes", "1", code=1)
    assert "is damaged" in refused.output
    assert "optout audit --afresh" in refused.output
    await optout("audit", "--afresh", "--processes", "1")
    monkeypatch.setenv("OPTOUT_PARTITIONS", str(settings.partitions - 1))
    refused = await optout("audit", "--processes", "1", code=1)
    assert "another partition count" in refused.output
    assert "optout audit --afresh" in refused.output


async def test_the_role_audits_again_and_again(settings: Settings, kept: Path) -> None:
    at = Installation(settings)
    await a_good_run(at)
    changes: dict[str, Any] = {"roles": ("audit",), "audit_directory": str(kept)}
    changes |= {"audit_delay_s": 0.0, "audit_every_s": 1.0, "audit_processes": 1}
    async with running(settings.model_copy(update=changes)) as runtime:

        def value(name: str, **labels: str) -> float:
            return runtime.shared.metrics.registry.get_sample_value(name, labels) or 0

        async def audited() -> bool:
            return value("optout_audit_checked_total", what="verdicts") >= 6

        async def found() -> bool:
            return value("optout_audit_violations_total", kind="lost") >= 1

        await until(audited, "audit of all verdicts")
        assert (await found(), runtime.unready()) == (False, [])
        assert value("optout_audited_until_seconds") > 0
        await passed_by(at, "gate", at.topics.outbound_messages, a_send("S6"))
        await until(found, "finding")
        for state in states(kept):
            damage(state)

        async def refused() -> bool:
            return value("optout_audit_failures_total", reason="StateRefused") >= 1

        await until(refused, "refusal")
        assert "optout audit --afresh" in runtime.unready()[0]


def states(directory: Path) -> list[Path]:
    """The states of the partitions."""
    return sorted(directory.glob("partition-*.sqlite"))


def damage(path: Path) -> None:
    """Overwrite most of a file with zeros."""
    good = path.read_bytes()
    path.write_bytes(good[:200] + bytes(len(good) - 200))


Harm = Callable[[Installation, Redis], Awaitable[Any]]


def entries_of(at: Installation) -> str:
    """The hash in Redis with the entry of the recipient."""
    place = partition_of(KEY, at.settings.partitions)
    return f"{at.settings.topic_prefix}{{{place}}}:entries"


async def forgotten(at: Installation, redis: Redis) -> None:
    await redis.hdel(entries_of(at), ENTRY)


async def entry(at: Installation, redis: Redis) -> bytes:
    """The entry of the recipient in Redis."""
    value = await redis.hget(entries_of(at), ENTRY)
    assert isinstance(value, bytes)
    return value


async def altered(at: Installation, redis: Redis) -> None:
    value = await entry(at, redis)
    await redis.hset(entries_of(at), ENTRY, value.replace(b'["a",', b'["sMG9",'))


async def renewed(at: Installation, redis: Redis) -> None:
    """The time of the last STOP is another, as if a STOP had come again."""
    [version, [place, mark, cause, *times]] = orjson.loads(await entry(at, redis))
    block = [place, mark, cause, times[0], times[-1] + 1]
    await redis.hset(entries_of(at), ENTRY, orjson.dumps([version, block]))


async def broken(at: Installation, redis: Redis) -> None:
    await redis.hset(entries_of(at), ENTRY, b"no entry")


async def invented(at: Installation, redis: Redis) -> None:
    value = await entry(at, redis)
    await redis.hset(entries_of(at), f"{ACCOUNT}/+15550000009", value)


async def notified_twice(at: Installation, redis: Redis) -> None:
    topic = at.topics.opt_out_notifications
    [record] = [
        one for one in await at.records(topic) if orjson.loads(one.value)["message_sid"] == "M1"
    ]
    await at.write_raw(Outgoing(topic, record.key, record.value, record.headers))


async def passed_by(at: Installation, role: str, topic: str, fields: dict[str, Any]) -> None:
    """Write a record, and commit it for the group without any result."""
    await at.write(topic, fields)
    tp = TopicPartition(topic, partition_of(KEY, at.settings.partitions))
    async with group_view(at.settings, f"{at.settings.topic_prefix}{role}") as group:
        group.assign([tp])
        await group.commit({tp: (await group.end_offsets([tp]))[tp]})


async def no_word_on_a_help(at: Installation, redis: Redis) -> None:
    await passed_by(at, "match", at.topics.inbound_messages, a_text("M8", "help"))


async def no_word_on_a_send(at: Installation, redis: Redis) -> None:
    await passed_by(at, "gate", at.topics.outbound_messages, a_send("S6"))


async def not_sent_on(at: Installation, redis: Redis) -> None:
    """A misplaced STOP that match passed by."""
    stranger = next(
        number
        for number in (f"+1555000{last:04}" for last in range(100))
        if partition_of(number.encode(), at.settings.partitions)
        != partition_of(KEY, at.settings.partitions)
    )
    topic = at.topics.inbound_messages
    value = orjson.dumps(a_text("M9", "stop", **{"from": stranger}))
    await at.write_raw(Outgoing(topic, KEY, value))
    await passed_by(at, "match", topic, a_text("M8", "hello"))


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (forgotten, {"differs"}),
        (altered, {"differs"}),
        (renewed, {"differs"}),
        (broken, {"differs"}),
        (invented, {"differs"}),
        (notified_twice, {"duplicated", "reordered"}),
        (no_word_on_a_help, {"lost"}),
        (no_word_on_a_send, {"lost"}),
        (not_sent_on, {"lost"}),
    ],
)
async def test_harm_is_found(settings: Settings, harm: Harm, kinds: set[str]) -> None:
    """Unit tests have the faults in single records; these are in servers and groups."""
    at = Installation(settings)
    await a_good_run(at)
    redis = Redis.from_url(settings.redis_url)
    await harm(at, redis)
    await redis.aclose()
    report = await audit(settings)
    assert {violation.kind for violation in report.violations} == kinds
    for violation in report.violations:
        assert RECIPIENT not in violation.where + violation.what


async def test_a_misplaced_record_is_followed_to_its_partition(settings: Settings) -> None:
    at = Installation(settings)
    stranger = next(
        number
        for number in (f"+1555000{last:04}" for last in range(100))
        if partition_of(number.encode(), settings.partitions)
        != partition_of(KEY, settings.partitions)
    )
    value = orjson.dumps(a_text("M1", "stop", **{"from": stranger}))
    async with running(settings):
        await at.write_raw(Outgoing(at.topics.inbound_messages, KEY, value))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.wait_for_no_lag("match")
    report = await audit(settings)
    assert report.violations == ()
    assert report.counts["sent_on"] == 1
