"""An account that reads all it can: its data, and a process that requests it without a pause.

    python -m tests.bench.worst BASE USER TOKEN PATH …

It ignores refusals, and ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import edit_of_account
from processor.core.partitions import partition_of
from processor.kafka.topics.configuration_writer import configuration
from processor.kafka.writing import Outgoing, bulk_writer, writer
from processor.stores.messages import Messages, StoredMessage, fields_of
from processor.stores.redis_client import redis_client
from processor.wire.credentials import new_token
from processor.wire.json_values import to_text
from processor.wire.topics import Topics

_ACCOUNT, _NOBODY = f"AC{1:032x}", f"AC{2:032x}"
_RECIPIENT = "+15550000000"
_MESSAGES, _BLOCKS, _CHANGES, _EDITS = 100_000, 20_000, 300_000, 50_000
_OWN = 100  # of changes and of edits; the rest belong to others
_CONNECTIONS = 8
_HISTORIES = 50
_DAY_MS = 86_400_000
_EXAMPLES = Path("schemas/examples")
_LISTED = f"/2010-04-01/Accounts/{_ACCOUNT}/Messages.json"
_BLOCK_LIST = "/v1/OptOuts/Blocks?PageSize=1000&cause=none"
_HISTORY = f"/v1/OptOuts/Blocks/%2B{_RECIPIENT[1:]}/History"
READINGS: dict[str, Sequence[str]] = {
    "exports": ["/v1/OptOuts/Export"],
    "blocks by cause": [_BLOCK_LIST],
    "histories": [_HISTORY],
    "messages by day": [f"{_LISTED}?DateSent%3E=9999-01-01"],
    "configuration changes": ["/v1/ConfigurationChanges?limit=1000"],
}
READINGS |= {"all of these": [path for paths in READINGS.values() for path in paths]}


@dataclass(slots=True)
class Said:
    """The responses to an account that makes requests without a pause."""

    answered: int = 0
    refused: int = 0


async def prepare(settings: Settings) -> tuple[str, str]:
    """Create an account with much to read, among data of others; return its sid and token."""
    token, topics = new_token(), Topics.under(settings.topic_prefix)
    account = new_account(settings, _ACCOUNT, token, "Worst")
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_account(None, account)], actor="bench")
    await _messages(settings)
    change = _example("block-changes.v1/stop_blocks_for_the_account")
    numbers = _beside(settings)
    changes = [
        change
        | {"account_sid": _ACCOUNT if own else _NOBODY}
        | {"recipient": _RECIPIENT if own else numbers[at % len(numbers)]}
        for at in range(_CHANGES)
        for own in [at % (_CHANGES // _OWN) == 0]
    ]
    await _write(settings, topics.block_changes, changes, "recipient")
    edit = _example("configuration-changes.v1/service_enabled_by_its_account")
    edits = [
        edit | {"account_sid": _ACCOUNT if at % (_EDITS // _OWN) == 0 else _NOBODY}
        for at in range(_EDITS)
    ]
    one = settings.model_copy(update={"partitions": 1})
    await _write(one, topics.configuration_changes, edits, "sid")
    await _blocks(settings, topics)
    return _ACCOUNT, token


async def _messages(settings: Settings) -> None:
    redis = redis_client(settings)
    kept = Messages(redis, prefix=settings.topic_prefix, keep_ms=_DAY_MS)
    now_ms = time.time_ns() // 1_000_000
    for at in range(0, _MESSAGES, 1_000):
        pipeline = redis.redis.pipeline(transaction=False)
        for number in range(at, at + 1_000):
            message = _a_message(f"SM{number:032x}", now_ms)
            pipeline.hset(kept._key(message.sid), mapping=fields_of(message))
            pipeline.zadd(kept._list(_ACCOUNT), {message.sid: now_ms + number})
        await pipeline.execute()
    await redis.close()


def _a_message(sid: str, now_ms: int) -> StoredMessage:
    return StoredMessage(
        sid=sid,
        account_sid=_ACCOUNT,
        service_sid=None,
        sender="+15005550006",
        to=_RECIPIENT,
        body="Your parcel is here.",
        num_media=0,
        num_segments=1,
        status="queued",
        error_code=None,
        error_message=None,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        sent_at_ms=None,
    )


async def _blocks(settings: Settings, topics: Topics) -> None:
    at = to_text(time.time_ns() // 1_000_000)
    command = {"account_sid": _ACCOUNT, "scope": "account", "channel_group": "sms", "blocked": True}
    command |= {"source": "bench", "reason": "a benchmark", "actor": "bench", "at": at}
    async with writer(settings) as out:
        for first in range(0, _BLOCKS, 1_000):
            await out.send_all(
                Outgoing(
                    topics.consent_commands,
                    number.encode(),
                    orjson.dumps({**command, "command_id": f"CC{one}", "recipient": number}),
                )
                for one in range(first, first + 1_000)
                for number in [f"+1556{one:07}"]
            )


def _beside(settings: Settings) -> list[str]:
    """A thousand numbers of the recipient's partition."""
    place, found = partition_of(_RECIPIENT.encode(), settings.partitions), list[str]()
    for one in count(1):
        number = f"+1555{one:07}"
        if partition_of(number.encode(), settings.partitions) == place:
            found.append(number)
        if len(found) == 1_000:
            break
    return found


def _example(name: str) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads((_EXAMPLES / f"{name}.json").read_bytes())
    return record


async def _write(settings: Settings, topic: str, values: list[dict[str, Any]], key: str) -> None:
    async with bulk_writer(settings, topic) as out:
        for at in range(0, len(values), 10_000):
            some = values[at : at + 10_000]
            await out.send([(str(one[key]).encode(), orjson.dumps(one)) for one in some])


async def history(base: str, login: tuple[str, str]) -> list[str]:
    """Measure the time of a recipient's history, and the time to make its index."""
    auth = {"Authorization": aiohttp.encode_basic_auth(*login)}
    async with aiohttp.ClientSession(base, headers=auth) as session:
        began = time.monotonic()
        while (await _status(session, _HISTORY)) != 200:
            await asyncio.sleep(0.5)
        made_s = time.monotonic() - began
        took = []
        for _ in range(_HISTORIES):
            began = time.perf_counter()
            while await _status(session, _HISTORY) != 200:  # it has requested too much
                await asyncio.sleep(1)
                began = time.perf_counter()
            took.append(1000 * (time.perf_counter() - began))
    took.sort()
    return [
        f"\na history of {_OWN} changes in a partition of {_CHANGES:,}: "
        f"median {took[len(took) // 2]:.0f} ms, longest {took[-1]:.0f} ms",
        f"its index, made beside 50,000 other records: {made_s:.0f} s",
    ]


async def _status(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(_as_is(path)) as answer:
        await answer.read()
        return answer.status


def _as_is(path: str) -> URL:
    return URL(path, encoded=True)


@asynccontextmanager
async def asking(base: str, login: tuple[str, str], paths: Sequence[str]) -> AsyncIterator[Said]:
    """Let a separate process request paths without a pause; its responses, at the end."""
    said = Said()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.worst", base, *login, *paths),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()  # the process has begun
    try:
        yield said
    finally:
        out, _ = await process.communicate(b"")  # before Python 3.12, only input closes it
        said.answered, said.refused = orjson.loads(out)


async def _ask_for_ever(base: str, user: str, token: str, *paths: str) -> None:
    auth = {"Authorization": aiohttp.encode_basic_auth(user, token)}
    found = Counter[int]()

    async def ask(session: aiohttp.ClientSession, path: str) -> None:
        while True:
            found[await _status(session, path)] += 1

    async with aiohttp.ClientSession(base, headers=auth) as session:
        ways = [paths[one % len(paths)] for one in range(max(_CONNECTIONS, len(paths)))]
        asking = [asyncio.create_task(ask(session, path)) for path in ways]
        print(flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    print(orjson.dumps([found[200], found.total() - found[200]]).decode())


if __name__ == "__main__":
    asyncio.run(_ask_for_ever(*sys.argv[1:]))
