"""A header whose name is not UTF-8, between good records of one batch: everything is read, once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.codecs import LZ4
from tests.builders import RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running
from tests.raw_headers import write_at_once

_READ_AS = "caf\ufffd"


@pytest.mark.parametrize("codec", [0, LZ4], ids=["as it is", "compressed"])
async def test_a_stop_with_such_a_header_is_kept_and_so_are_its_neighbours(
    settings: Settings, codec: int
) -> None:
    at = Installation(settings)
    key = RECIPIENT.encode()
    partition = partition_of(key, settings.partitions)
    place: dict[str, Any] = {"partition": partition, "key": key, "codec": codec}
    texts = [("M1", "start"), ("M2", "stop"), ("M3", "help")]
    written = [orjson.dumps(a_text(*text)) for text in texts]
    await write_at_once(settings, at.topics.inbound_messages, written, **place)
    async with running(settings):
        seen = await at.wait_for(at.topics.opt_out_notifications, 3)
        assert [(one["message_sid"], one["kind"]) for one in seen] == [
            ("M1", "START"),
            ("M2", "STOP"),
            ("M3", "HELP"),
        ]
        sends = [orjson.dumps(a_send(sid)) for sid in ("S1", "S2", "S3")]
        await write_at_once(settings, at.topics.outbound_messages, sends, **place)
        refused = await at.wait_for(at.topics.message_statuses, 3)
        assert [one["message_sid"] for one in refused] == ["S1", "S2", "S3"]
        # A record that is unreadable for another reason still becomes a dead letter.
        bad = [orjson.dumps(a_text("M4", "start")), b"bad"]
        await write_at_once(settings, at.topics.inbound_messages, bad, **place)
        await at.wait_for_letters(1)
        await at.wait_for(at.topics.opt_out_notifications, 4)
    assert await at.lag("match") == await at.lag("gate") == 0
    [letter] = await at.records(at.topics.dead_letters)
    assert (letter.key, letter.value) == (key, b"bad")
    headers = dict(letter.headers)
    assert (headers[_READ_AS], headers["traceparent"]) == (b"1", b"2")


async def test_compacted_topics_are_followed_and_the_list_rebuilt_past_such_a_header(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    [stored] = await at.records(at.topics.messaging_services)
    [listed] = await at.records(at.topics.block_list)
    for topic, record in (
        (at.topics.messaging_services, stored),
        (at.topics.block_list, listed),
    ):
        await write_at_once(
            settings,
            topic,
            [record.value] * 3,
            partition=record.partition,
            key=record.key,
        )
    # 1 is the end of match's transaction; a second read would repeat an earlier offset.
    assert [one.offset for one in await at.records(at.topics.block_list)] == [0, 2, 3, 4]
    async with running(settings) as runtime:
        async with Redis.from_url(settings.redis_url) as redis:
            # In one command: entries gone while the mark remains would not look like a lost list.
            lost = [name async for name in redis.scan_iter(f"{settings.topic_prefix}*")]
            await redis.delete(*lost)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
        assert runtime.shared.services.directory.services
