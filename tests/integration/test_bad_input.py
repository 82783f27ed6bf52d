"""Records that cannot be handled: put aside with a reason, and sent back once repaired."""

from __future__ import annotations

import time
from typing import Any

import orjson

from processor.config import Settings
from processor.kafka.topics import topic_admin
from processor.kafka.topics.dead_letters import redrive
from processor.kafka.topics.topic_plan import BY_PRODUCER
from processor.kafka.writing import Outgoing, writer
from processor.wire import dead_letters
from tests.builders import RECIPIENT
from tests.clinic import a_text
from tests.installation import Installation, running
from tests.integration.conftest import Command

KEY = RECIPIENT.encode()
WRONG: dict[str, tuple[Any, str]] = {
    "not JSON": (b"STOP", "not JSON: expected value at line 1 column 1"),
    "not an object": (b"[1]", "not a JSON object"),
    "a wrong type": (
        a_text("M1", "stop", **{"received_at": 5}),
        "received_at: Input should be a valid datetime",
    ),
    "a missing field": ({"message_sid": "M1"}, "account_sid: missing"),
    "no address": (
        a_text("M1", "stop", **{"from": "anna@home"}),
        "from: is not an address: an E.164",
    ),
    "a long body": (a_text("M1", "x" * 100_000), "body: String should have at most 4096"),
    "another version": (
        a_text("M1", "stop", schema_version=2),
        "schema_version: unknown version; this topic is version 1",
    ),
    "a huge record": (b" " * 600_000, "600000 bytes; at most 524288 can be passed on"),
}


async def test_each_wrong_record_is_set_aside_with_its_reason_and_the_stream_goes_on(
    settings: Settings,
) -> None:
    at = Installation(settings)
    values = [
        value if isinstance(value, bytes) else orjson.dumps(value) for value, _ in WRONG.values()
    ]
    async with running(settings):
        await at.write_raw(*(Outgoing(at.topics.inbound_messages, KEY, value) for value in values))
        await at.texts(a_text("M9", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    letters = await at.records(at.topics.dead_letters)
    assert [letter.value for letter in letters] == values
    for letter, (_, reason) in zip(letters, WRONG.values(), strict=True):
        assert letter.key == KEY
        assert reason in (dead_letters.said(letter.headers, "exception.message") or "")
        assert dead_letters.said(letter.headers, "topic") == at.topics.inbound_messages
        assert dead_letters.said(letter.headers, "stage") == "match_inbound"


async def test_a_mended_letter_comes_back_and_a_second_redrive_sends_nothing(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.write_raw(
            Outgoing(
                at.topics.inbound_messages,
                b"anna@home",
                orjson.dumps(a_text("M1", "stop", **{"from": "anna@home"})),
                [("traceparent", b"00-1-2-01")],
            )
        )
        await at.wait_for_letters(1)
        listed = await optout("dead-letters", "list", "--json")
        line = orjson.loads(listed.stdout)
        assert line["reason"].startswith("from: is not an address")
        assert (line["redrives"], line["key"]) == (0, "anna@home")
        line["value"] = line["value"].replace("anna@home", RECIPIENT)
        sent = await optout("dead-letters", "redrive", "-", given=orjson.dumps(line).decode())
        assert sent.stdout == "1 sent back\n"
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        assert reply["in_reply_to"] == "M1"
        # Sent back unchanged, it is refused again, and counts how often it was sent back.
        sent = await optout("dead-letters", "redrive", "--all")
        assert sent.stdout == "1 sent back\n"
        await at.wait_for_letters(2)
        listed = await optout("dead-letters", "list", "--json")
        again = [orjson.loads(line) for line in listed.stdout.splitlines()]
        # A letter that fails every time stays where it is.
        left = await optout("dead-letters", "redrive", "--all", "--most", "1")
        assert (left.stdout, left.stderr) == (
            "0 sent back\n",
            "1 left: sent back 1 times already; correct them, and redrive the FILE\n",
        )
    assert sorted(one["redrives"] for one in again) == [0, 1]
    assert [name for name, _ in again[-1]["headers"]] == ["traceparent", "optout.first-append"]
    assert again[0]["headers"] == again[-1]["headers"]


async def test_letters_strewn_among_others_go_back_in_parts(settings: Settings) -> None:
    at = Installation(settings)

    def letter(number: int) -> Outgoing:
        headers = dead_letters.headers(
            (),
            topic=at.topics.allowed_sends,
            partition=0,
            offset=number,
            stage="test",
            reason="odd" if number % 2 else "even",
        )
        return Outgoing(at.topics.dead_letters, KEY, b"%d" % number, headers)

    await at.write_raw(*(letter(number) for number in range(3_000)))

    async def sent_back() -> list[int]:
        return [int(one.value) for one in await at.records(at.topics.allowed_sends)]

    first = await redrive(settings, lambda line: line["reason"] == "odd")
    assert first.sent + first.strewn == 1_500
    assert first.sent >= 1_000
    assert await sent_back() == list(range(1, 2 * first.sent, 2))
    assert (await redrive(settings, lambda line: line["reason"] == "odd")).sent == 0
    rest = await redrive(settings, lambda line: True)
    assert (rest.sent, rest.strewn) == (3_000 - first.sent, 0)
    assert sorted(await sent_back()) == list(range(3_000))


async def test_a_letter_older_than_kafka_keeps_offsets_is_not_sent_back_a_second_time(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await topic_admin.set_timestamps(settings, BY_PRODUCER)
    now_ms = time.time_ns() // 1_000_000
    async with writer(settings) as out:
        for sid, days in (("OLD", 8), ("NEW", 1)):
            headers = dead_letters.headers(
                (), topic=at.topics.allowed_sends, partition=0, offset=0, stage="test", reason="odd"
            )
            await out._producer.send_and_wait(
                at.topics.dead_letters,
                sid.encode(),
                key=KEY,
                headers=headers,
                timestamp_ms=now_ms - days * 86_400_000,
            )
    # The first letter may have been sent back a week ago; no trace of that would be left.
    done = await redrive(settings, lambda line: True)
    assert (done.sent, done.older) == (1, 1)
    assert [one.value for one in await at.records(at.topics.allowed_sends)] == [b"NEW"]
    assert (await redrive(settings, lambda line: True)).sent == 0
