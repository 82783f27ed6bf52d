"""`optout audit` on real topics: no findings in a good run, and every kind of harm is found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from tests.installation import Installation, running
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


async def test_a_good_run_has_no_violation(settings: Settings, optout: Command) -> None:
    await a_good_run(Installation(settings))
    report = orjson.loads((await optout("audit", "--json")).stdout)
    assert report["violations"] == []
    counts = report["counts"]
    assert (counts["verdicts_checked"], counts["block-changes.v1"]) == (6, 4)
    assert (counts["entries_checked"], counts["redis_entries_checked"]) == (2, 2)
    said = (await optout("audit", "--since", "2999-01-01")).stdout
    assert said.endswith("nothing lost, duplicated, reordered, contradictory or leaked\n")


async def last_change(at: Installation) -> dict[str, Any]:
    changes = await at.values(at.topics.block_changes)
    return [change for change in changes if change["recipient"] == RECIPIENT][-1]


Harm = Callable[[Installation, Redis], Awaitable[Any]]


async def forgotten(at: Installation, redis: Redis) -> None:
    place = partition_of(KEY, at.settings.partitions)
    await redis.hdel(f"{at.settings.topic_prefix}{{{place}}}:entries", ENTRY)


async def copied(at: Installation, topic: str, sid: str, name: str = "message_sid") -> None:
    """Write a record a second time, with its headers."""
    [record] = [one for one in await at.records(topic) if orjson.loads(one.value)[name] == sid]
    await at.write_raw(Outgoing(topic, record.key, record.value, record.headers))


async def notified_twice(at: Installation, redis: Redis) -> None:
    await copied(at, at.topics.opt_out_notifications, "M1")


async def replied_twice(at: Installation, redis: Redis) -> None:
    await copied(at, at.topics.reply_sends, "M1", "in_reply_to")


async def allowed_twice(at: Installation, redis: Redis) -> None:
    await copied(at, at.topics.allowed_sends, "S3")


async def leaked(at: Installation, redis: Redis) -> None:
    mark = (await last_change(at))["mark"].encode()
    send = orjson.dumps(a_send("S6"))
    await at.write_raw(
        Outgoing(at.topics.outbound_messages, KEY, send),
        Outgoing(at.topics.allowed_sends, KEY, send, [("mark", mark)]),
    )


async def judged_too_early(at: Installation, redis: Redis) -> None:
    seen = (await last_change(at))["mark"].encode()
    send = orjson.dumps(a_send("S6"))
    after = ("after-mark", seen)
    await at.write_raw(
        Outgoing(at.topics.outbound_messages, KEY, send, [after]),
        Outgoing(at.topics.allowed_sends, KEY, send, [after, ("mark", b"1-1")]),
    )


STRANGER = "+15550000009"  # never blocked


async def altered(at: Installation, redis: Redis) -> None:
    send, sent = (a_send("S6", to=STRANGER, body=body) for body in ("Hello", "Hell"))
    mark = ("mark", (await last_change(at))["mark"].encode())
    key = STRANGER.encode()
    await at.write_raw(
        Outgoing(at.topics.outbound_messages, key, orjson.dumps(send)),
        Outgoing(at.topics.allowed_sends, key, orjson.dumps(sent), [mark]),
    )


async def failed_without_a_block(at: Installation, redis: Redis) -> None:
    [record] = [
        one
        for one in await at.records(at.topics.message_statuses)
        if orjson.loads(one.value)["message_sid"] == "S5"
    ]
    status = orjson.loads(record.value) | {"message_sid": "S6", "to": STRANGER}
    await at.write(at.topics.outbound_messages, a_send("S6", to=STRANGER))
    await at.write_raw(
        Outgoing(record.topic, STRANGER.encode(), orjson.dumps(status), record.headers)
    )


async def failed_as_of_a_suspended_account(at: Installation, redis: Redis) -> None:
    [record] = [
        one
        for one in await at.records(at.topics.message_statuses)
        if orjson.loads(one.value)["message_sid"] == "S5"
    ]
    status = orjson.loads(record.value) | {"message_sid": "S6", "to": STRANGER, "block": None}
    status |= {"error_code": 30002, "error_message": "Account suspended"}
    await at.write(at.topics.outbound_messages, a_send("S6", to=STRANGER))
    await at.write_raw(
        Outgoing(record.topic, STRANGER.encode(), orjson.dumps(status), record.headers)
    )


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


async def replied_to_nobody(at: Installation, redis: Redis) -> None:
    reply = (await at.values(at.topics.reply_sends))[0] | {"in_reply_to": "M7"}
    await at.write(at.topics.reply_sends, reply)


async def changed_without_a_cause(at: Installation, redis: Redis) -> None:
    last = await last_change(at)
    # After every mark of its partition, whichever owner wrote those batches.
    late = {"mark": f"{10**13}-1"}
    change = last | late | {"change_id": "X.a.x", "recipient": "+15550000009"}
    await at.write(at.topics.block_changes, change | {"cause": last["cause"] | {"id": "X"}})


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (forgotten, {"differs"}),
        (notified_twice, {"duplicated", "reordered"}),
        (replied_twice, {"duplicated", "reordered"}),
        (allowed_twice, {"duplicated"}),
        (leaked, {"leak"}),
        (judged_too_early, {"leak"}),
        (altered, {"contradictory"}),
        (failed_without_a_block, {"contradictory"}),
        (failed_as_of_a_suspended_account, {"contradictory"}),
        (no_word_on_a_help, {"lost"}),
        (no_word_on_a_send, {"lost"}),
        (replied_to_nobody, {"contradictory"}),
        (changed_without_a_cause, {"contradictory", "differs"}),
    ],
)
async def test_harm_is_found(settings: Settings, harm: Harm, kinds: set[str]) -> None:
    at = Installation(settings)
    await a_good_run(at)
    redis = Redis.from_url(settings.redis_url)
    await harm(at, redis)
    await redis.aclose()
    report = await audit(settings)
    assert {violation.kind for violation in report.violations} == kinds
    for violation in report.violations:
        assert RECIPIENT not in violation.where + violation.what
