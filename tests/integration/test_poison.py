"""No value stops a lane: after each attack, another account's STOP in the partition counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from processor.config import Settings
from processor.core.decide import FULL
from processor.core.policy import Match, Policy
from processor.kafka.topics.dead_letters import letters, redrive
from processor.kafka.writing import Outgoing, writer
from processor.wire import dead_letters, events
from processor.wire.events import write_notification
from tests.builders import ACCOUNT, command_record
from tests.clinic import a_send, a_text
from tests.installation import Installation, by_sid, measured, running, topics_apart, until
from tests.victim import numbers_in, victim

PARTITION = 2
RECIPIENT = next(numbers_in(PARTITION, 4))
KEY = RECIPIENT.encode()
TEXT = orjson.dumps(a_text("M1", "hello", **{"from": RECIPIENT}))
STOP = orjson.dumps(a_text("M1", "stop", **{"from": RECIPIENT}))
SEND = orjson.dumps(a_send("S1", to=RECIPIENT))
COMMAND = orjson.dumps(command_record(recipient=RECIPIENT, account_sid=ACCOUNT))
Headers = Sequence[tuple[str, bytes | None]]

VALUES: dict[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00",
    "deep": b"[" * 400_000 + b"]" * 400_000,
    "deep in a field": STOP[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "5 MB": b" " * 5_000_000 + STOP,
    "a number nobody can hold": STOP[:-1] + b',"schema_version":1' + b"0" * 100_000 + b"}",
    "half a surrogate": STOP.replace(b'"stop"', b'"stop\\ud800"'),
    "a key twice": STOP[:-1] + b',"body":"stop"}',
    "the end of time": STOP.replace(b'"received_at":"20', b'"received_at":"99'),
}
HEADERS: dict[str, Headers] = {
    "one of a megabyte": [("x", b"x" * 1_000_000)],
    "five thousand": [(f"h{one}", b"") for one in range(5_000)],
    "nothing in them": [("", None), ("mark", None), ("optout.first-append", None)],
    "forged": [
        ("optout.first-append", b"9" * 400),
        ("optout.sent-on", b"\xff"),
        ("optout.redrives", b"-1"),
        ("__connect.errors.topic", b"accounts.v1"),
        ("mark", b"no mark"),
        ("traceparent", b"\xff" * 55),
    ],
}


async def write(settings: Settings, *records: Outgoing) -> None:
    """Write records compressed, as large values only get in that way."""
    options = {"max_request_size": 1 << 26, "compression_type": "gzip"}
    async with writer(settings, **options) as out:
        await out.send_all(records)


@pytest.mark.parametrize("topic", ["inbound_messages", "consent_commands", "outbound_messages"])
async def test_no_value_key_or_header_stops_match_or_gate(settings: Settings, topic: str) -> None:
    at = Installation(settings)
    name = getattr(at.topics, topic)
    good = {"inbound_messages": STOP, "consent_commands": COMMAND, "outbound_messages": SEND}[topic]
    records = [
        *(Outgoing(name, KEY, value) for value in VALUES.values()),
        *(Outgoing(name, KEY, good, headers) for headers in HEADERS.values()),
        *(Outgoing(name, KEY, value, HEADERS["five thousand"]) for value in (None, b"{}")),
    ]
    async with running(settings), victim(at, PARTITION) as somebody:
        for record in records:
            await write(settings, record)
        async with writer(settings, max_request_size=1 << 22, compression_type="gzip") as out:
            for key in (None, b"", b"\xff", b"x" * 900_000):  # here, whatever the key
                fate = await out._producer.send(name, good, key=key, partition=PARTITION)
                await fate
        await somebody.is_heard()
        await at.wait_for_no_lag("match", "gate")
    for letter in await at.records(at.topics.dead_letters):
        reason = dead_letters.said(letter.headers, "exception.message") or ""
        assert reason
        assert RECIPIENT.removeprefix("+") not in reason
        assert "while it was decided on" not in reason


async def test_a_stop_that_cannot_be_read_whole_blocks_unanswered_and_pages_somebody(
    settings: Settings,
) -> None:
    """R18: the producer made the mistake, not the recipient who texted STOP."""
    at = Installation(settings)
    broken = a_text("M1", " Stop! ", **{"from": RECIPIENT}, received_at="none")
    async with running(settings) as runtime:
        await at.texts(broken)
        [change] = await at.wait_for(at.topics.block_changes, 1)
        assert (change["blocked"], change["scope"], change["cause"]["source"]) == (
            True,
            "account",
            "unread-stop",
        )
        await at.sends(a_send("S1", to=RECIPIENT))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert (failed["message_sid"], failed["error_code"]) == ("S1", 21610)
        assert await at.records(at.topics.reply_sends) == []
        assert len(await at.records(at.topics.dead_letters)) == 1
        await measured(runtime, "optout_unread_stops_total", 1, role="match")
        # Once it is repaired, or texted again, it is answered as the first STOP.
        await at.texts(a_text("M1", " Stop! ", **{"from": RECIPIENT}))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        assert reply["in_reply_to"] == "M1"
        changes = await at.values(at.topics.block_changes)
    assert [one["previous"] for one in changes] == [False, True]


async def test_a_hundred_blocks_of_an_account_are_the_most_and_nobody_else_notices(
    settings: Settings,
) -> None:
    """R18: 10,000 commands for one recipient; the rest are dead letters with this reason."""
    at = Installation(settings)
    commands = [
        command_record(
            command_id=f"C{one}",
            recipient=RECIPIENT,
            account_sid=ACCOUNT,
            scope="sender",
            sender=f"N{one}",
        )
        for one in range(10_000)
    ]
    async with running(settings), victim(at, PARTITION) as somebody:
        await at.write(at.topics.consent_commands, *commands)
        await somebody.is_heard()
        await at.wait_for_no_lag("match")
        assert len(await at.records(at.topics.block_changes)) == 1 + 1 + 100
        aside = await at.records(at.topics.dead_letters)
        assert len(aside) == 9_900
        assert {dead_letters.said(one.headers, "exception.message") for one in aside} == {FULL}
        # A STOP is never refused at the limit: one block for the account replaces all others.
        await at.texts(a_text("M1", "stop", **{"from": RECIPIENT}))
        await until(lambda: replied(at, "M1"), "confirmation")
        changes = [
            one for one in await at.values(at.topics.block_changes) if one["cause"]["id"] == "M1"
        ]
        assert len({one["change_id"] for one in changes}) == 101
        assert [one["scope"] for one in changes if one["blocked"]] == ["account"]
        await at.texts(a_text("M2", "start", **{"from": RECIPIENT}))
        await until(lambda: replied(at, "M2"), "answer")
        await at.sends(a_send("S1", to=RECIPIENT, **{"from": "N7"}))
        await at.wait_for(at.topics.allowed_sends, 1)


async def replied(at: Installation, sid: str) -> bool:
    return any(one["in_reply_to"] == sid for one in await at.values(at.topics.reply_sends))


async def test_a_flood_of_bad_records_stops_nothing(settings: Settings) -> None:
    at = Installation(settings)
    bad = [Outgoing(at.topics.inbound_messages, KEY, b"no message")] * 3_000
    async with running(settings) as runtime, victim(at, PARTITION) as somebody:
        for _ in range(3):
            await at.write_raw(*bad)
            await somebody.is_heard()
        await at.wait_for_letters(9_000)
        assert runtime.unready() == []


async def test_a_misplaced_record_is_sent_on_once_and_keeps_the_time_it_first_came(
    settings: Settings,
) -> None:
    """A producer uses another partitioner: its recipients' messages still count."""
    at = Installation(settings)
    elsewhere = (PARTITION + 1) % 4
    text = a_text("M1", "stop", **{"from": RECIPIENT})
    ordinary = a_text("M0", "good morning", **{"from": RECIPIENT})
    command = command_record(
        command_id="C1", recipient=next(numbers_in(PARTITION, 4, start=100)), account_sid=ACCOUNT
    )
    async with running(settings) as runtime:
        async with writer(settings) as out:
            for topic, key, value in (
                (at.topics.inbound_messages, KEY, ordinary),
                (at.topics.inbound_messages, KEY, text),
                (at.topics.inbound_messages, b"another key", {**text, "message_sid": "M2"}),
                (at.topics.consent_commands, None, command),
            ):
                fate = await out._producer.send(
                    topic, orjson.dumps(value), key=key, partition=elsewhere, headers=[("x", b"1")]
                )
                await fate
        await at.wait_for(at.topics.block_changes, 2)
        await at.wait_for_no_lag("match")
        async with writer(settings) as out:
            send = orjson.dumps(a_send("S1", to=RECIPIENT))
            fate = await out._producer.send(
                at.topics.outbound_messages, send, key=b"x", partition=elsewhere
            )
            await fate
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        assert (failed["message_sid"], failed["error_code"]) == ("S1", 21610)
        await measured(runtime, "optout_misplaced_total", 3, role="match")
        await measured(runtime, "optout_misplaced_total", 1, role="gate")
    assert await at.records(at.topics.dead_letters) == []
    records = await at.records(at.topics.inbound_messages)
    assert len(records) == 5  # the ordinary message has no effect, and stays where it is
    originals = {one.value: one for one in records if one.partition == elsewhere}
    for record in (one for one in records if one.partition == PARTITION):
        headers = dict(record.headers)
        original = originals[record.value]
        assert record.key == KEY
        assert headers["x"] == b"1"
        assert int(headers["optout.first-append"]) == original.timestamp
        where = f"{at.topics.inbound_messages}[{elsewhere}]@{original.offset}"
        assert headers["optout.sent-on"] == where.encode()
    [first, second] = await at.values(at.topics.opt_out_notifications)
    assert [first["message_sid"], second["message_sid"]] == ["M1", "M2"]


async def test_a_record_that_was_sent_on_already_goes_to_the_dead_letters(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings):
        async with writer(settings) as out:
            fate = await out._producer.send(
                at.topics.inbound_messages,
                TEXT.replace(b"hello", b"start"),
                key=KEY,
                partition=(PARTITION + 1) % 4,
                headers=[("optout.sent-on", b"inbound[0]@0")],
            )
            await fate
        await at.wait_for_letters(1)
    assert await at.records(at.topics.opt_out_notifications) == []


async def test_a_letter_too_large_to_keep_refers_to_its_record_and_a_redrive_follows_it(
    settings: Settings,
) -> None:
    at = Installation(settings)
    value, longer = b" " * 1_500_000 + STOP, b" " * 3_000_000 + STOP
    async with running(settings):
        for one in (value, longer):
            await write(settings, Outgoing(at.topics.inbound_messages, KEY, one, [("x", b"1")]))
        await at.wait_for_letters(2)
        lines = [line async for line, _ in letters(settings)]
        assert [line["value_begins"] for line in lines] == 2 * [" " * 65_536]
        assert lines[0]["reference"]["size"] == len(value)
        assert [line["reference"]["offset"] for line in lines] == [0, 1]
        assert all(line["reference"]["until"] > line["at"] for line in lines)
        # The longer letter is more than a worker reads: it stays until a person gives it a value.
        done = await redrive(settings, lambda line: True)
        assert (done.sent, done.gone) == (1, 1)
        await at.wait_for_letters(3)
    first, *_, last = await at.records(at.topics.inbound_messages)
    assert (first.value, last.value) == (value, value)
    assert dict(last.headers)["optout.first-append"] == str(first.timestamp).encode()


async def test_r19_a_start_that_comes_late_lifts_nothing_that_came_after_it(
    settings: Settings,
) -> None:
    """From the dead letters, forwarded, or as the carrier held it back."""
    at = Installation(settings)

    def text(sid: str, body: str, **changes: Any) -> dict[str, Any]:
        return a_text(sid, body, **{"from": RECIPIENT}, **changes)

    async with running(settings):
        await at.texts(text("M1", "start", received_at="x"))
        await at.wait_for_letters(1)
        await at.texts(text("M2", "stop"))
        await until(lambda: replied(at, "M2"), "confirmation")
        [letter] = await at.records(at.topics.dead_letters)
        late = dict(letter.headers)["optout.first-append"]
        mended = orjson.dumps(text("M1", "start"))
        name = at.topics.inbound_messages
        await at.write_raw(Outgoing(name, KEY, mended, [("optout.first-append", late)]))
        await at.texts(text("M3", "start", received_at="2026-01-01T00:00:00Z"))
        # A header from the future lifts nothing more: the record's own time is earlier.
        forged = orjson.dumps(text("M4", "start"))
        await at.write_raw(Outgoing(name, KEY, forged, [("optout.first-append", b"9" * 15)]))
        await until(lambda: replied(at, "M4"), "answer")
        told = by_sid(await at.values(at.topics.opt_out_notifications))
    assert [(told[sid]["effective"], told[sid]["reply_sent"]) for sid in ("M1", "M3", "M4")] == [
        (False, "none"),
        (False, "none"),
        (True, "default"),
    ]
    changes = await at.values(at.topics.block_changes)
    assert [(one["cause"]["id"], one["blocked"]) for one in changes] == [
        ("M2", True),
        ("M4", False),
    ]


async def test_r23_within_a_second_between_topics_the_block_stands(settings: Settings) -> None:
    at = Installation(settings)
    block = command_record(command_id="C1", recipient=RECIPIENT, account_sid=ACCOUNT)
    start = a_text("M1", "start", **{"from": RECIPIENT})
    async with running(settings):
        await at.write(at.topics.consent_commands, block)
        await at.wait_for(at.topics.block_changes, 1)
        [command] = await at.records(at.topics.consent_commands)
        # However long the test took, it was sent at most a second later.
        close = [("optout.first-append", str(command.timestamp + 1_000).encode())]
        await at.write_raw(Outgoing(at.topics.inbound_messages, KEY, orjson.dumps(start), close))
        [told] = await at.wait_for(at.topics.opt_out_notifications, 1)
        assert (told["effective"], told["reply_sent"]) == (False, "none")
        await topics_apart()
        await at.texts({**start, "message_sid": "M2"})
        await until(lambda: replied(at, "M2"), "answer")


async def test_r41_the_brokers_clock_counts_and_no_producers(settings: Settings) -> None:
    at = Installation(settings)
    before_ms = time.time_ns() // 1_000_000
    async with writer(settings) as out:
        for timestamp_ms in (0, before_ms + 7 * 86_400_000):
            fate = await out._producer.send(
                at.topics.inbound_messages, TEXT, key=KEY, timestamp_ms=timestamp_ms, partition=0
            )
            await fate
    records = await at.records(at.topics.inbound_messages)
    assert all(abs(one.timestamp - before_ms) < 60_000 for one in records)


async def test_a_record_that_makes_the_code_raise_is_found_and_the_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail like a defect of ours: the message at fault is put aside, and no lane stops."""
    at = Installation(settings)
    defect = "a defect that nobody has found yet"
    match = Policy.match

    def raising(policy: Policy, body: str, country: str | None) -> Match | None:
        if body.endswith("!!"):
            raise ZeroDivisionError(body)
        return match(policy, body, country)

    def writing(message: Any) -> bytes:
        if message.message.body == "HELP":
            raise KeyError(defect)
        return write_notification(message)

    monkeypatch.setattr(Policy, "match", raising)
    monkeypatch.setattr(events, "write_notification", writing)
    bodies = ["hello", "STOP!!", "stop", "HELP", "hi"]
    texts = [
        a_text(f"M{number}", body, **{"from": RECIPIENT}) for number, body in enumerate(bodies)
    ]
    async with running(settings) as runtime:
        await at.texts(*texts)
        await until(lambda: replied(at, "M2"), "confirmation")
        await at.wait_for_letters(2)
        await at.wait_for_no_lag("match")
        await measured(runtime, "optout_record_faults_total", 2, role="match")
    letters_ = await at.records(at.topics.dead_letters)
    assert [orjson.loads(one.value)["message_sid"] for one in letters_] == ["M1", "M3"]
    for one, kind in zip(letters_, ("ZeroDivisionError", "KeyError"), strict=True):
        reason = dead_letters.said(one.headers, "exception.message")
        assert reason == f"unexpected {kind} while it was decided on: please report it"
    assert [one["message_sid"] for one in await at.values(at.topics.opt_out_notifications)] == [
        "M2"
    ]
