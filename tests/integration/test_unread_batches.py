"""An unreadable batch: readers other than lanes skip it, or name what is missing."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest

from processor.audit import audit
from processor.config import Settings
from processor.core.messages import OptOutType
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.kafka.client import read_whole
from processor.kafka.codecs import ZSTD
from processor.kafka.fetched import UnreadBatch
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.live_topics import tail
from processor.kafka.topics.services_topic import stored
from processor.wire.json_values import to_text
from tests.batches import a_batch, a_long_record, deflated, write_batches
from tests.builders import ACCOUNT, RECIPIENT, SERVICE
from tests.installation import Installation, running
from tests.integration.conftest import Command
from tests.integration.test_counts_history import followed
from tests.integration.test_flow import CLINIC, a_send, a_text, configure
from tests.integration.test_topics_move import moved_to, the_move

KEY = RECIPIENT.encode()
WHY = "a record that inflates to more than 2 MiB"


async def write_unreadable(
    settings: Settings, topic: str, partition: int | None = None, key: bytes = KEY
) -> int:
    """Write a batch of one record that is not handed out; its partition."""
    partition = partition_of(key, settings.partitions) if partition is None else partition
    batch = a_batch(ZSTD, deflated(ZSTD, a_long_record(0, 3 << 20, key)), 1)
    await write_batches(settings, topic, partition, (batch, 1))
    return partition


async def test_a_service_is_not_taken_for_deleted(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    await write_unreadable(settings, at.topics.messaging_services, 0, b"MGclinic")
    async with running(settings) as runtime:
        await at.texts(a_text("M1", "halt"))
        await at.wait_for(at.topics.reply_sends, 1)
        assert set(runtime.services.directory.services) == {"MGclinic"}
    assert set(await stored(settings, at.topics.messaging_services)) == {"MGclinic"}
    said = [one for one in caplog.records if one.getMessage() == "batch.unread"]
    assert {one.levelno for one in said} == {logging.WARNING}
    assert vars(said[0]).items() >= {"topic": at.topics.messaging_services, "why": WHY}.items()


async def test_dead_letters_around_it_are_listed_and_sent_back(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop", received_at="then"))
        await at.wait_for_letters(1)
        await write_unreadable(settings, at.topics.dead_letters)
        await at.texts(a_text("M2", "stop", received_at="then"))
        await at.wait_for_letters(2)
    listed = await optout("dead-letters", "list", "--json")
    assert len(listed.stdout.splitlines()) == 2
    await optout("dead-letters", "redrive", "--all")
    assert len(await at.records(at.topics.inbound_messages)) == 4


async def test_a_list_that_cannot_be_read_whole_is_no_list(settings: Settings) -> None:
    topic = Installation(settings).topics.block_list
    partition = await write_unreadable(settings, topic)
    listed = BlockListTopic(settings, topic)
    place = re.escape(f"{topic}[{partition}]@0-0: {WHY}")
    try:
        with pytest.raises(BrokerUnavailable, match=place):
            await listed.settled_mark(partition)
        with pytest.raises(BrokerUnavailable, match=place):
            [entries async for entries in listed.entries(partition)]
    finally:
        await listed.close()


async def test_who_reads_a_topic_whole_may_be_told(settings: Settings) -> None:
    at = Installation(settings)
    topic = at.topics.inbound_messages
    partition = await write_unreadable(settings, topic)
    await at.texts(a_text("M1", "stop"))
    [message] = await at.records(topic)
    assert message.offset == 1
    told = [one async for one in read_whole(settings, topic, with_unread=True)]
    assert [type(one) for one in told] == [UnreadBatch, type(message)]
    assert (told[0].partition, told[0].offset) == (partition, 0)


async def test_an_audit_counts_it_as_unreadable(settings: Settings) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.opt_out_notifications, 1)
        await at.wait_for_no_lag("match")
    partition = await write_unreadable(settings, at.topics.opt_out_notifications)
    report = await audit(settings)
    [violation] = report.violations
    assert f"opt-out-notifications.v1[{partition}]@" in str(violation)


async def test_a_move_copies_everything_or_says_what_is_in_the_way(
    settings: Settings, optout: Command
) -> None:
    old = Installation(settings)
    async with running(settings):
        await old.texts(a_text("M1", "stop"))
        await old.sends(a_send("S1"))
        await old.wait_for_no_lag("match", "gate")
    partition = await write_unreadable(settings, old.topics.inbound_messages)
    refused = await optout(*the_move(moved_to(settings)), code=2)
    assert f"{old.topics.inbound_messages}[{partition}]@1-1: {WHY}" in refused.output


async def test_counts_and_live_events_behind_it_are_shown(settings: Settings) -> None:
    at, now_ms = Installation(settings), time.time_ns() // 1_000_000
    topic = at.topics.opt_out_counts
    await write_unreadable(settings, topic, key=SERVICE.encode())
    count = {"account_sid": ACCOUNT, "messaging_service_sid": SERVICE, "kind": "STOP"}
    count |= {"language": "es", "second": to_text(now_ms), "to": SERVICE}
    await at.write(topic, {**count, "count": 2})
    async with followed(at) as history:
        [(kind, counts)] = history.hourly.of(ACCOUNT, SERVICE).items()
    assert (kind, sum(counts)) == ((OptOutType.STOP, "es"), 2)
    seen: list[Any] = []
    await tail(
        settings,
        [topic],
        take=seen.extend,
        passed=lambda records: None,
        wanted=lambda: not seen,
    )
    assert [one.offset for one in seen] == [1]
