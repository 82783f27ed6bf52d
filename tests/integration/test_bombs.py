"""Batches that inflate to hundreds of times their size end no process and stop no partition."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.codecs import GZIP, LZ4, SNAPPY, ZSTD
from tests.batches import (
    CODECS,
    a_batch,
    a_long_record,
    a_record,
    batch_of,
    deflated,
    write_batches,
)
from tests.installation import Installation
from tests.integration.test_api_clients import run
from tests.integration.test_flow import a_text
from tests.integration.test_worker_process import OPTOUT, environment, started
from tests.reading_process import peak_kib

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
VALUES = (ROOT / "deploy" / "helm" / "optout" / "values.yaml").read_text()
[*_, LIMIT_MIB] = map(int, re.findall(r"limits: {memory: (\d+)Mi}", VALUES))

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads how much memory a process had from /proc"
)


def a_bomb(codec: int, mib: int) -> tuple[bytes, int]:
    """A batch of one record that inflates to so much, and how many records it has."""
    return a_batch(codec, deflated(codec, a_long_record(0, mib * MIB)), 1), 1


def a_full_batch(codec: int, mib: int, size: int = 100_000) -> tuple[bytes, int]:
    """A batch of records, none of them too long, that inflates to so much."""
    records = [a_record(at, b"key", bytes(size)) for at in range(mib * MIB // size)]
    return batch_of(codec, records), len(records)


# snappy makes 21 bytes of one at most, lz4 255; a topic takes 1 MiB.
SIZES_MIB = {GZIP: (60, 1_000), SNAPPY: (20, 20), LZ4: (60, 220), ZSTD: (60, 1_024)}
TOO_LONG = "a record that inflates to more than 2 MiB"
TOO_FAR = "a batch that inflates to more than 64 MiB"


async def test_a_reader_holds_a_bounded_piece_of_whatever_others_wrote(settings: Settings) -> None:
    at = Installation(settings)
    topics = [at.topics.inbound_messages, at.topics.consent_commands, at.topics.outbound_messages]
    small = [a_full_batch(codec, 8, size=8_000) for codec in (ZSTD, GZIP) for _ in range(3)]
    lone = [a_bomb(ZSTD, 8)] * 10
    end = (batch_of(ZSTD, [a_record(0, b"key", b"the end")]), 1)
    expected: dict[str, tuple[list[str], int]] = {}  # partition to what is not read, and all
    for number, topic in enumerate(topics):
        for partition in range(settings.partitions):
            codec = CODECS[(number + partition) % len(CODECS)]
            some, most = SIZES_MIB[codec]
            full = a_full_batch(codec, some if number == 1 else 20)
            batches = [a_bomb(codec, some), full, *lone, *small]
            unread = [TOO_LONG] * 11
            if topic == at.topics.inbound_messages:  # once each: the broker inflates it, too
                batches.append(a_bomb(codec, most))
                unread.append(TOO_FAR if most > 64 else TOO_LONG)
            batches.append(end)
            await write_batches(settings, topic, partition, *batches)
            expected[f"{topic}[{partition}]"] = (unread, sum(count for _, count in batches))
    command = (sys.executable, "-m", "tests.reading_process", *topics)
    said = json.loads(await run(*command, cwd=ROOT, given=settings.model_dump_json().encode()))
    print(f"peak: {said['peak_kib'] >> 10} MiB")
    assert said["peak_kib"] < LIMIT_MIB << 10
    for place, (unread, count) in expected.items():
        found = said["found"][place]
        assert [why for _, _, why in found["unread"]] == unread
        passed = [offset for _, offset, _ in found["unread"]]
        handed_out = [offset for offset, _ in found["records"]]
        assert sorted(passed + handed_out) == list(range(count))
        assert found["records"][-1] == [count - 1, len("the end")]
        assert found["most_at_once"] <= 2 * MIB


async def test_a_worker_goes_past_them_and_keeps_within_its_memory(settings: Settings) -> None:
    at = Installation(settings)
    topics = at.topics
    read = (
        topics.inbound_messages,
        topics.consent_commands,
        topics.outbound_messages,
        topics.message_statuses,
    )
    bombs = 0
    for number, topic in enumerate(read):
        for partition in range(settings.partitions):
            codec = CODECS[(number + partition) % len(CODECS)]
            some, most = SIZES_MIB[codec]
            batches = [a_bomb(codec, some), *[a_bomb(ZSTD, 8)] * 10]
            if topic == topics.inbound_messages:
                batches.append(a_bomb(codec, most))
            await write_batches(settings, topic, partition, *batches)
            bombs += len(batches)
    victims: dict[int, str] = {}  # one behind each partition's bombs
    for number in range(100):
        recipient = f"+1555123{number:04}"
        victims.setdefault(partition_of(recipient.encode(), settings.partitions), recipient)
    assert len(victims) == settings.partitions
    await at.texts(*(a_text(f"M{at}", "STOP", **{"from": one}) for at, one in victims.items()))
    roles = {"OPTOUT_ROLES": "match,gate,webhooks"}
    async with started(OPTOUT, **environment(settings), **roles) as worker:
        replies = await at.wait_for(topics.reply_sends, settings.partitions)
        assert {one["to"] for one in replies} == set(victims.values())
        await at.wait_for_no_lag("match", "gate", "webhooks")
        peak = peak_kib(worker.process.pid)
        assert "Traceback" not in worker.said
    print(f"peak: {peak >> 10} MiB")
    assert peak < LIMIT_MIB << 10
    letters = await at.records(topics.dead_letters)
    assert len(letters) == bombs
    for letter in letters:
        assert json.loads(dict(letter.headers)["optout.reference"])["sha256"]
