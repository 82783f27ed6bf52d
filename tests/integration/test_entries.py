"""R18, R21, R22, R25: entries of the block list on a real broker and Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from processor.audit import audit
from processor.config import Settings
from processor.core.decide import NO_REASON
from processor.core.identity import cause_of
from processor.core.messages import Scope
from processor.core.partitions import partition_of
from processor.kafka.writing import Outgoing
from processor.wire.blocks import EXCEPT_FROM_HEADER, MARK_HEADER
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
)
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, by_sid, running, topics_apart, until


def a_command(id_: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "command_id": id_,
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": RECIPIENT,
        "blocked": True,
        "source": "operator",
        "reason": "asked on the phone",
        "at": "2026-11-02T12:00:00Z",
    }
    return fields | changes


async def found_wrong(settings: Settings) -> list[str]:
    return [f"{one.kind} {one.where}: {one.what}" for one in (await audit(settings)).violations]


async def wait_for_records(at: Installation, topic: str, count: int) -> list[Any]:
    async def enough() -> bool:
        return len(await at.records(topic)) >= count

    await until(enough, f"{count} records on {topic}")
    return await at.records(topic)


# Which messages are the same


async def test_r22_one_sid_of_two_accounts_recipients_and_senders_are_four_messages(
    settings: Settings,
) -> None:
    at = Installation(settings)
    texts = [
        a_text("1", "stop"),
        a_text("1", "stop", account_sid=OTHER_ACCOUNT),
        a_text("1", "stop", **{"from": OTHER_RECIPIENT}),
        a_text("1", "stop", account_sid=OTHER_ACCOUNT, to=OTHER_LONG_CODE),
    ]
    async with running(settings):
        await at.texts(*texts)
        await at.texts(*texts)  # delivered again
        await at.write(
            at.topics.consent_commands,
            a_command("1", scope="sender", sender=LONG_CODE),
            a_command("1", scope="sender", sender=LONG_CODE, account_sid=OTHER_ACCOUNT),
        )
        await at.wait_for_no_lag("match")
        await at.sends(
            a_send("S1"),
            a_send("S1", account_sid=OTHER_ACCOUNT),
            a_send("S1", to=OTHER_RECIPIENT),
        )
        await at.wait_for(at.topics.message_statuses, 3)
    notifications = await at.values(at.topics.opt_out_notifications)
    assert len(notifications) == 4
    changes = await at.values(at.topics.block_changes)
    assert len({change["change_id"] for change in changes}) == len(changes) == 5
    replies = await at.values(at.topics.reply_sends)
    assert len({reply["reply_sid"] for reply in replies}) == len(replies) == 3
    ids = [
        dict(record.headers)["ce_id"]
        for topic in (at.topics.block_changes, at.topics.opt_out_notifications)
        for record in await at.records(topic)
    ]
    assert len(set(ids)) == len(ids)
    assert await found_wrong(settings) == []


# Several causes


async def test_r18_a_second_cause_is_in_the_history_and_each_goes_by_itself(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.block_changes, 1)
        await at.write(at.topics.consent_commands, a_command("C1", actor="anna"))
        await at.wait_for(at.topics.block_changes, 2)
        await topics_apart()
        await at.texts(a_text("M2", "yes"))
        await at.wait_for(at.topics.block_changes, 3)
        await at.sends(a_send("S1"))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        await topics_apart()
        # The recipient's own cause is gone, so no reason is needed.
        await at.write(at.topics.consent_commands, a_command("C2", blocked=False, reason=None))
        await at.wait_for(at.topics.block_changes, 4)
    changes = await at.values(at.topics.block_changes)
    assert [
        (
            change["cause"]["id"],
            change["previous"],
            [source["kind"] for source in (change["standing"] or {"sources": ()})["sources"]],
        )
        for change in changes
    ] == [
        ("M1", False, ["keyword"]),
        ("C1", True, ["keyword", "command"]),
        ("M2", True, ["command"]),
        ("C2", True, []),
    ]
    assert changes[1]["cause"]["actor"] == "anna"
    assert cause_of(failed["block"]["change_id"]) == "C1"
    assert await found_wrong(settings) == []


async def test_r29_a_command_without_a_reason_does_not_lift_a_stop_and_may_be_redriven(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.block_changes, 1)
        await topics_apart()
        lift = a_command("C1", blocked=False, reason=None)
        await at.write(at.topics.consent_commands, lift)
        [letter] = await wait_for_records(at, at.topics.dead_letters, 1)
        assert dict(letter.headers)["__connect.errors.exception.message"] == NO_REASON.encode()
        await at.write(at.topics.consent_commands, lift | {"command_id": "C2", "reason": "asked"})
        await at.wait_for(at.topics.block_changes, 2)
    assert await found_wrong(settings) == []


async def test_r19_a_late_start_does_not_lift_a_stop_that_was_said_again(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        between_ms = time.time_ns() // 1_000_000
        await asyncio.sleep(0.1)
        await at.texts(a_text("M2", "stop"))
        await at.wait_for_no_lag("match")
        late = Outgoing(
            at.topics.inbound_messages,
            RECIPIENT.encode(),
            orjson.dumps(a_text("M3", "start")),
            [("optout.first-append", str(between_ms).encode())],
        )
        await at.write_raw(late)
        await at.wait_for_no_lag("match")
        await at.sends(a_send("S1"))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
    assert failed["error_code"] == 21610
    told = by_sid(await at.values(at.topics.opt_out_notifications))
    assert (told["M3"]["effective"], told["M3"]["reply_sent"]) == (False, "none")
    assert await found_wrong(settings) == []


# A full entry


async def test_r18_five_thousand_commands_on_one_recipient_hold_up_nobody(
    settings: Settings,
) -> None:
    at = Installation(settings)
    commands = [
        a_command(f"C{number}", scope="sender", sender=f"+1555{number:07d}")
        for number in range(5_000)
    ]
    neighbour = next(
        number
        for number in (f"+1556000{index:04d}" for index in range(100))
        if partition_of(number.encode(), settings.partitions)
        == partition_of(RECIPIENT.encode(), settings.partitions)
    )
    async with running(settings):
        await at.write(at.topics.consent_commands, *commands)
        await at.texts(a_text("M1", "stop", **{"from": neighbour}))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.texts(a_text("M2", "stop"))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.wait_for_no_lag("match")
    [last] = [
        orjson.loads(record.value)
        for record in await at.records(at.topics.block_list)
        if record.key == ENTRY.encode()
    ][-1:]
    assert [block["scope"] for block in last["blocks"]] == ["account"]
    assert len(await at.records(at.topics.dead_letters)) == 4_900
    assert await found_wrong(settings) == []


# Entries that cannot be read


async def spoil(at: Installation, value: bytes) -> None:
    place = partition_of(RECIPIENT.encode(), at.settings.partitions)
    async with Redis.from_url(at.settings.redis_url) as redis:
        await redis.hset(f"{at.settings.topic_prefix}{{{place}}}:entries", ENTRY, value)


@pytest.mark.parametrize("value", [b"nonsense", b'[3,["a"]]'])
async def test_r25_an_entry_that_cannot_be_read_is_rebuilt(
    settings: Settings, value: bytes
) -> None:
    at = Installation(settings)
    async with running(settings) as runtime:
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await spoil(at, value)
        await at.sends(a_send("S1"))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert cause_of(failed["block"]["change_id"]) == "M1"
        await spoil(at, value)  # again: the gate does not ask for a second rebuild
        await at.sends(a_send("S2"))
        failed = by_sid(await at.wait_for(at.topics.message_statuses, 2))["S2"]
        assert (failed["error_code"], failed["block"]["change_id"]) == (21610, "unreadable")
        text = runtime.shared.metrics.text().decode()
        assert 'optout_unreadable_entries_total{seen_by="gate"}' in text
        await at.texts(a_text("M2", "start"))  # the owner asks for a rebuild when it decides
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.allowed_sends, 1)


async def test_r25_a_record_of_the_list_that_cannot_be_read_blocks(settings: Settings) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "help"))
        await at.wait_for(at.topics.reply_sends, 1)
    place = partition_of(RECIPIENT.encode(), settings.partitions)
    mark = [(MARK_HEADER, b"1-1")]
    async with AIOKafkaProducer(**settings.kafka()) as producer:
        for key, value in ((ENTRY.encode(), b'{"blocks": "?"}'), (b"\xff", b"{}"), (b"x", b"{}")):
            sent = producer.send_and_wait
            await sent(at.topics.block_list, value, key=key, partition=place, headers=mark)
    async with Redis.from_url(settings.redis_url) as redis:
        for name in [one async for one in redis.scan_iter(f"{settings.topic_prefix}*")]:
            await redis.delete(name)
    async with running(settings) as runtime:
        await at.sends(a_send("S1"), a_send("S2", to=OTHER_RECIPIENT))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert (failed["message_sid"], failed["block"]["change_id"]) == ("S1", "unreadable")
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.texts(a_text("M2", "start"))
        await at.wait_for(at.topics.opt_out_notifications, 2)
        await at.write(at.topics.consent_commands, a_command("C1", blocked=False))
        await at.wait_for(at.topics.block_changes, 1)
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.allowed_sends, 2)
        assert 'optout_unreadable_entries_total{seen_by="rebuild"} 1.0' in (
            runtime.shared.metrics.text().decode()
        )


# Newer versions


async def waits_for(lane: Callable[[], list[str]], words: str) -> None:
    async def waits() -> bool:
        return any(words in one for one in lane())

    await until(waits, words)


async def test_a_list_that_a_newer_version_wrote_makes_readers_and_owners_wait(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    place = partition_of(RECIPIENT.encode(), settings.partitions)
    async with Redis.from_url(settings.redis_url) as redis:
        meta = f"{settings.topic_prefix}{{{place}}}:meta"
        await redis.hset(meta, "format", "3 3")
        async with running(settings) as runtime:
            await at.sends(a_send("S1"))
            for role in ("gate", "match"):
                states = lambda role=role: [one.text for one in runtime.states()[role]]  # noqa: E731
                await waits_for(states, "newer version")
            assert await at.values(at.topics.message_statuses) == []
            await redis.hset(meta, "format", "3 2")  # readable here, but not writable
            await at.wait_for(at.topics.message_statuses, 1)
            await redis.hset(meta, "format", "2 2")
            await at.wait_for_no_lag("match")


# The configuration


async def test_r21_a_gate_waits_for_the_configuration_that_a_block_was_decided_under(
    settings: Settings,
) -> None:
    scoped = settings.model_copy(update={"block_scope": Scope.SERVICE})
    at = Installation(scoped)
    clinic: dict[str, Any] = {**CLINIC, "senders": [{"address": LONG_CODE}]}
    await configure(scoped, clinic)
    match, gate = (scoped.model_copy(update={"roles": (role,)}) for role in ("match", "gate"))
    async with running(gate) as behind, running(match) as decides:
        await at.sends(a_send("S0"))
        await at.wait_for(at.topics.allowed_sends, 1)
        topic: Any = behind.shared.services._topic
        reads = topic._gather

        def fails(records: Any) -> Any:
            raise RuntimeError("a follower that is broken")

        topic._gather = fails
        wider = {**clinic, "senders": [{"address": LONG_CODE}, {"address": OTHER_LONG_CODE}]}
        await configure(scoped, wider)

        async def is_known() -> bool:
            directory = decides.shared.services.directory
            return directory.service_of(ACCOUNT, None, OTHER_LONG_CODE) is not None

        await until(is_known, "sender that match knows")
        await at.texts(a_text("M1", "stop", to=OTHER_LONG_CODE))
        await at.wait_for(at.topics.reply_sends, 1)
        # It names no service, and in the older configuration its sender is in none.
        await at.sends(a_send("S1", **{"from": OTHER_LONG_CODE}))
        states = lambda: [one.text for one in behind.states()["gate"]]  # noqa: E731
        await waits_for(states, "the configuration is read")
        assert len(await at.values(at.topics.allowed_sends)) == 1
        topic._gather = reads
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert failed["block"]["scope"] == "service"
    assert await found_wrong(scoped) == []


# Sends without a sender


async def test_r21_a_send_without_a_sender_goes_out_from_one_that_is_not_blocked(
    settings: Settings,
) -> None:
    scoped = settings.model_copy(update={"block_scope": Scope.SENDER})
    at = Installation(scoped)
    pool = [{"address": LONG_CODE}, {"address": OTHER_LONG_CODE}]
    await configure(scoped, {**CLINIC, "senders": pool})
    unsent = {"from": None, "messaging_service_sid": CLINIC["sid"]}
    async with running(scoped):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S1", **unsent))
        [allowed] = await wait_for_records(at, at.topics.allowed_sends, 1)
        assert dict(allowed.headers)[EXCEPT_FROM_HEADER] == LONG_CODE.encode()
        await at.texts(a_text("M2", "stop", to=OTHER_LONG_CODE))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S2", **unsent), a_send("S3", **unsent, to=OTHER_RECIPIENT))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert (failed["message_sid"], failed["block"]["scope"]) == ("S2", "sender")
        both = await wait_for_records(at, at.topics.allowed_sends, 2)
        [other] = [one for one in both if one.key == OTHER_RECIPIENT.encode()]
        assert EXCEPT_FROM_HEADER not in dict(other.headers)
    assert await found_wrong(scoped) == []
