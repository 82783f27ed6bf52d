"""Input is bounded, and never quoted in a log, an error or a dead letter's reason.

Each limit has a test here or beside its model:

- a value: 512 KiB; a body: 4,096 characters;
- ids: 64 characters; addresses: 68; media addresses: 10, each of 2,048;
- a command's source: 64 characters; its reason: 500;
- nesting: as deep as the JSON reader goes; numbers: 64 bits;
- a keyword: 34 characters, 20 in a list; a reply: 320 (R10).
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from processor.kafka.writing import Outgoing
from processor.wire import dead_letters
from tests.builders import OTHER_RECIPIENT, RECIPIENT, command_record
from tests.clinic import a_send, a_text
from tests.installation import Installation, running, until
from tests.integration.conftest import Command

pytestmark = pytest.mark.needs_more

SECRET = "Tuesday-at-four"  # in every body
KEY = RECIPIENT.encode()


def spliced(record: dict[str, Any], name: str, raw: bytes) -> bytes:
    """A record with raw bytes as the value of a field."""
    rest = {key: value for key, value in record.items() if key != name}
    return b'{"%b":%b,%b' % (name.encode(), raw, json.dumps(rest).encode()[1:])


TEXT, SEND = a_text("M1", f"stop {SECRET}"), a_send("S1", body=SECRET)
COMMAND = command_record(command_id="C1", recipient=RECIPIENT, reason=SECRET)
DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
WRONG: dict[str, tuple[str, bytes]] = {
    "text, not JSON": ("inbound", f"STOP {SECRET} {RECIPIENT}".encode()),
    "deep nesting": ("inbound", spliced(TEXT, "body", DEEP)),
    "deep nesting where nobody looks": ("inbound", spliced(TEXT, "surplus", DEEP)),
    "a huge number": ("inbound", spliced(TEXT, "schema_version", b"9" * 5_000)),
    "a huge number of a float": ("inbound", spliced(TEXT, "schema_version", b"1e400")),
    "a body of 100 kB": ("inbound", spliced(TEXT, "body", b'"%b"' % (SECRET.encode() * 7_000))),
    "a lone surrogate": ("inbound", spliced(TEXT, "body", b'"\\ud800 %b"' % SECRET.encode())),
    "no UTF-8": ("inbound", spliced(TEXT, "body", b'"\xff %b"' % SECRET.encode())),
    "an address with words": ("inbound", orjson.dumps({**TEXT, "from": f"{RECIPIENT} {SECRET}"})),
    "an id too long": ("inbound", orjson.dumps({**TEXT, "message_sid": SECRET * 10})),
    "600 kB": ("inbound", SECRET.encode() * 40_000),
    "eleven media": (
        "outbound",
        orjson.dumps({**SEND, "media_urls": [f"https://x/{SECRET}"] * 11}),
    ),
    "a send of nothing": ("outbound", orjson.dumps([SECRET])),
    "a send to nobody": ("outbound", orjson.dumps({**SEND, "to": SECRET})),
    "a reason too long": ("commands", orjson.dumps({**COMMAND, "reason": SECRET * 40})),
    "a source that is a list": ("commands", orjson.dumps({**COMMAND, "source": [SECRET]})),
}
RIGHT: dict[str, bytes] = {
    "a field twice: the last counts": b'{"body":"hello",%b'
    % orjson.dumps({**TEXT, "body": "help"})[1:],
    "NUL is a character": orjson.dumps({**TEXT, "message_sid": "M2", "body": f"\0stop {SECRET}"}),
}


def assert_nothing_personal(text: str) -> None:
    found = re.findall(rf"{SECRET}|\+?1?5557654\d{{3}}|appointment", text)
    assert found == []


async def test_nothing_that_comes_in_is_logged_or_quoted(
    settings: Settings, tmp_path: Path, written: list[str], optout: Command
) -> None:
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        at = Installation(mine)
        topics = {
            "inbound": at.topics.inbound_messages,
            "outbound": at.topics.outbound_messages,
            "commands": at.topics.consent_commands,
        }
        async with running(mine) as worker:
            await at.write_raw(*(Outgoing(topics[to], KEY, value) for to, value in WRONG.values()))
            await at.write_raw(
                Outgoing(topics["inbound"], b"anna", orjson.dumps({**TEXT, "body": "stop"}))
            )
            await at.write_raw(*(Outgoing(topics["inbound"], KEY, one) for one in RIGHT.values()))
            await at.wait_for_letters(len(WRONG))
            await at.texts(a_text("M3", "stop"))
            await at.wait_for(at.topics.reply_sends, 2)  # also to the doubled HELP
            # Faults, while messages are being handled.
            for number in range(3):
                await at.sends(
                    a_send(f"S{number}", body=SECRET), a_send(f"T{number}", to=OTHER_RECIPIENT)
                )
                await at.texts(a_text(f"N{number}", "stop"), a_text(f"O{number}", SECRET))
                if number == 0:
                    async with Redis.from_url(mine.redis_url) as redis:
                        await redis.flushall()
                elif number == 1:
                    server.kill()
                    await until(lambda: unready(worker), "worker that waits")
                    await asyncio.to_thread(server.start)
            await at.wait_for(at.topics.message_statuses, 3)
            said = "\n".join(worker.unready())
    assert any("records.refused" in line for line in written)
    assert any("StoreUnavailable" in line or "Redis" in line for line in written)
    assert_nothing_personal("\n".join(written) + said)
    for letter in await at.records(at.topics.dead_letters):
        why = [value for name, value in letter.headers if name.startswith(dead_letters.PREFIX)]
        assert why
        assert_nothing_personal(b"\n".join(why).decode())
    listed = await optout("dead-letters", "list")
    assert_nothing_personal(listed.output)


async def unready(worker: Any) -> bool:
    return bool(worker.unready())
