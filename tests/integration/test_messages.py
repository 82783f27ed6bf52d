"""The messages that the API keeps in Redis: their statuses, and their expiry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from processor.errors import NewerFormat, StoreUnavailable
from processor.stores.messages import Messages
from processor.stores.redis_client import RedisClient
from tests.api import BASE, carrier_says, create_accounts, serving, with_a_number, with_secrets
from tests.builders import A_MESSAGE, ACCOUNT, LONG_CODE, NOW_MS, OTHER_ACCOUNT, RECIPIENT
from tests.installation import Installation, until


@pytest.fixture
async def messages(settings: Settings) -> AsyncIterator[Messages]:
    client = RedisClient(settings.redis_url, timeout_s=settings.redis_timeout_s)
    yield Messages(client, prefix=settings.topic_prefix, keep_ms=3_600_000)
    await client.close()


Fields = Mapping[str, str | int]


async def test_a_message_only_goes_on_whatever_comes_twice_or_late(messages: Messages) -> None:
    await messages.add(A_MESSAGE)
    assert await messages.get("SM1") == A_MESSAGE
    sent: Fields = {"status": "sent", "sender": LONG_CODE, "sent_at_ms": NOW_MS + 1}
    delivered: Fields = {"status": "delivered", "updated_at_ms": NOW_MS + 2}
    failed: Fields = {"status": "failed", "error_code": 30_003}
    for statuses in ((sent, delivered), (sent,), (failed, sent, delivered)):
        await messages.advance([(ACCOUNT, "SM1", status) for status in statuses])
        assert await messages.get("SM1") == replace(
            A_MESSAGE,
            status="delivered",
            sender=LONG_CODE,
            sent_at_ms=NOW_MS + 1,
            updated_at_ms=NOW_MS + 2,
        )
    await messages.advance([(ACCOUNT, "SMunknown", sent)])
    assert await messages.get("SMunknown") is None


async def test_messages_are_found_by_account_recipient_and_sender(messages: Messages) -> None:
    for number in range(5):
        await messages.add(
            replace(
                A_MESSAGE,
                sid=f"SM{number}",
                to=RECIPIENT if number % 2 else "+15550000000",
                sender=LONG_CODE if number else None,
                created_at_ms=NOW_MS + number,
            )
        )

    async def found(**given: Any) -> tuple[list[str], str | None, str | None]:
        page = await messages.find(
            given.pop("account", ACCOUNT),
            to=given.pop("to", None),
            sender=given.pop("sender", None),
            wanted=given.pop("wanted", lambda message: True),
            **{"size": 10, "most": 10, **given},
        )
        return [message.sid for message in page.messages], page.after, page.before

    assert await found() == (["SM4", "SM3", "SM2", "SM1", "SM0"], None, None)
    assert await found(to=RECIPIENT) == (["SM3", "SM1"], None, None)
    assert await found(to=RECIPIENT, sender="+15550000001") == ([], None, None)
    assert await found(sender=LONG_CODE, size=2) == (["SM4", "SM3"], "SM3", None)
    assert await found(after="SM3", size=2) == (["SM2", "SM1"], "SM1", "SM2")
    assert await found(before="SM2", size=2) == (["SM4", "SM3"], "SM3", None)
    assert await found(wanted=lambda message: message.sid == "SM0") == (["SM0"], None, None)
    assert await found(account=OTHER_ACCOUNT) == ([], None, None)
    assert await found(until_ms=NOW_MS + 1) == (["SM1", "SM0"], None, "SM1")
    gone = await messages.get("SM3")
    assert gone is not None
    await messages.remove(gone)
    assert await found(to=RECIPIENT) == (["SM1"], None, None)


async def test_no_more_messages_are_looked_at_than_may_be(messages: Messages) -> None:
    """Finding 10: a filter that matches nothing read every message."""
    for number in range(25):
        await messages.add(replace(A_MESSAGE, sid=f"SM{number}", created_at_ms=NOW_MS + number))
    looked_at, after = [], None
    while True:
        page = await messages.find(
            ACCOUNT,
            to=None,
            sender=None,
            wanted=lambda message: message.sid == "SM1",
            size=2,
            most=10,
            after=after,
        )
        after = page.after
        looked_at.append((len(page.messages), page.looked_at, after))
        if after is None:
            break
    assert looked_at == [(0, 10, "SM15"), (0, 10, "SM5"), (1, 5, None)]


async def test_no_message_is_kept_where_none_shall_be(settings: Settings) -> None:
    client = RedisClient(settings.redis_url, timeout_s=5)
    try:
        messages = Messages(client, prefix=settings.topic_prefix, keep_ms=0)
        await messages.add(A_MESSAGE)
        assert await messages.get("SM1") is None
    finally:
        await client.close()


# Expiry


@asynccontextmanager
async def keeping(settings: Settings, keep_ms: int) -> AsyncIterator[tuple[Messages, Redis]]:
    """Messages that are kept this long, and the Redis they are in."""
    client = RedisClient(settings.redis_url, timeout_s=5)
    try:
        yield Messages(client, prefix=settings.topic_prefix, keep_ms=keep_ms), client.redis
    finally:
        await client.close()


async def keys_of(settings: Settings, redis: Redis) -> list[str]:
    return [key.decode() async for key in redis.scan_iter(f"{settings.topic_prefix}message*")]


async def test_every_list_is_trimmed_by_time_as_it_is_added_to(settings: Settings) -> None:
    """Finding 9: two of three grew for ever, as each addition gave them a new expiry."""
    keep_ms = 60_000
    async with keeping(settings, keep_ms) as (messages, redis):
        for number in range(300):
            at_ms = NOW_MS + number * 1_500
            await messages.add(
                replace(A_MESSAGE, sid=f"SM{number}", sender=LONG_CODE, created_at_ms=at_ms)
            )
        lists = [key for key in await keys_of(settings, redis) if "messages:" in key]
        assert len(lists) == 3
        for name in lists:
            assert await redis.zcard(name) == keep_ms // 1_500


async def test_a_burst_that_is_too_old_goes_a_bounded_part_at_a_time(settings: Settings) -> None:
    async with keeping(settings, 60_000) as (messages, redis):
        name = f"{settings.topic_prefix}messages:{ACCOUNT}"
        await redis.zadd(name, {f"SMold{number}": NOW_MS for number in range(1_000)})
        counts = []
        for number in range(12):
            at_ms = NOW_MS + 100_000 + number
            await messages.add(replace(A_MESSAGE, sid=f"SM{number}", created_at_ms=at_ms))
            counts.append(await redis.zcard(name))
        assert counts[0] == 901
        assert counts[-1] == 12


async def test_nothing_of_a_message_is_left_once_its_time_is_over(settings: Settings) -> None:
    """Messages may be changed meanwhile in any way and in any order."""
    async with keeping(settings, 1_000) as (messages, redis):
        ends_s = time.monotonic() + 2.5
        number = 0
        while time.monotonic() < ends_s:  # longer than they are kept, to see that nothing adds up
            number += 1
            now_ms = time.time_ns() // 1_000_000
            message = replace(A_MESSAGE, sid=f"SM{number}", sender=LONG_CODE, created_at_ms=now_ms)
            await messages.add(message)
            await asyncio.gather(
                messages.redact(message.sid),
                messages.remove(message) if number % 3 == 0 else messages.get(message.sid),
                messages.advance([(message.account_sid, message.sid, {"status": "sent"})]),
                messages.redact(f"SM{max(1, number - 50)}"),
            )
        assert await keys_of(settings, redis) != []

        async def nothing_is_left() -> bool:
            return await keys_of(settings, redis) == []

        await until(nothing_is_left, "Redis without a message", 10)


async def test_a_message_that_is_gone_is_not_redacted_into_a_ghost(settings: Settings) -> None:
    async with keeping(settings, 3_600_000) as (messages, redis):
        await messages.add(A_MESSAGE)
        await messages.remove(A_MESSAGE)
        await messages.redact(A_MESSAGE.sid)
        assert await keys_of(settings, redis) == []


async def test_a_ghost_is_no_message_and_goes_with_whatever_is_done_to_it(
    settings: Settings,
) -> None:
    async with keeping(settings, 3_600_000) as (messages, redis):
        ghosts = [f"{settings.topic_prefix}message:SM{number}" for number in (1, 2)]
        for ghost in ghosts:
            await redis.hset(ghost, "body", "")
        assert await messages.get("SM1") is None
        await messages.advance([(ACCOUNT, "SM1", {"status": "sent"})])
        await messages.redact("SM2")
        assert await keys_of(settings, redis) == []


# Refusals by Redis


async def test_a_status_that_redis_refuses_holds_up_no_other(settings: Settings) -> None:
    async with keeping(settings, 3_600_000) as (messages, redis):
        await messages.add(A_MESSAGE)
        await messages.add(replace(A_MESSAGE, sid="SM3"))
        await redis.set(f"{settings.topic_prefix}message:SM2", "no hash")
        sids = ("SM1", "SM2", "SM3")
        refused = await messages.advance([(ACCOUNT, sid, {"status": "sent"}) for sid in sids])
        assert [(index, str(why)) for index, why in refused] == [(1, "Redis refuses it")]
        for sid in ("SM1", "SM3"):
            message = await messages.get(sid)
            assert message is not None
            assert message.status == "sent"


@pytest.mark.needs_more
@pytest.mark.parametrize(
    "unable",
    [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
    ids=["no memory", "no replica"],
)
async def test_a_redis_that_cannot_write_is_waited_for_and_quotes_nothing(
    settings: Settings, tmp_path: Path, unable: tuple[str, str, str]
) -> None:
    setting, makes_unable, mends = unable
    with stack.valkey(tmp_path) as server:
        mine = settings.model_copy(update={"redis_url": f"redis://{server.address}/0"})
        async with keeping(mine, 3_600_000) as (messages, redis):
            await messages.add(A_MESSAGE)
            await redis.config_set(setting, makes_unable)
            for work in (
                messages.advance([(ACCOUNT, "SM1", {"status": "sent"})]),
                messages.add(replace(A_MESSAGE, sid="SM2")),
            ):
                with pytest.raises(StoreUnavailable) as failed:
                    await work
                for personal in (RECIPIENT, "appointment"):
                    assert personal not in str(failed.value)
            await redis.config_set(setting, mends)
            assert await messages.advance([(ACCOUNT, "SM1", {"status": "sent"})]) == []


# Through the API


async def test_messages_redacted_and_deleted_at_once_stop_no_status(settings: Settings) -> None:
    """Finding 5: POST Body= and DELETE at the same time left a hash that was not a message."""
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with serving(settings) as api:
        await with_a_number(api)

        async def created() -> dict[str, Any]:
            form = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Your parcel is on its way"}
            made = await api.ask("POST", f"{BASE}/Messages.json", data=form)
            assert made.status_code == 201
            answer: dict[str, Any] = made.json()
            return answer

        async def torn(sid: str) -> set[int]:
            path = f"{BASE}/Messages/{sid}.json"
            answers = await asyncio.gather(
                api.ask("POST", path, data={"Body": ""}),
                api.ask("DELETE", path),
                api.ask("POST", path, data={"Body": ""}),
                api.ask("GET", path),
            )
            return {answer.status_code for answer in answers}

        messages = [await created() for _ in range(24)]
        codes = set().union(*[await torn(one["sid"]) for one in messages])
        assert codes <= {200, 204, 404}
        kept = await created()
        for one in (*messages, kept):
            told = {"message_sid": one["sid"], "account_sid": ACCOUNT, "to": RECIPIENT}
            await carrier_says(at, {**told, "messaging_service_sid": None}, "sent")

        async def is_sent() -> bool:
            answer = await api.ask("GET", f"{BASE}/Messages/{kept['sid']}.json")
            return bool(answer.json()["status"] == "sent")

        await until(is_sent, "status behind those of the others")
        async with Redis.from_url(settings.redis_url) as redis:
            left = [key for key in await keys_of(settings, redis) if "message:" in key]
            assert left == [f"{settings.topic_prefix}message:{kept['sid']}"]


# Accounts and versions


async def test_r22_a_status_of_another_accounts_message_with_the_same_sid_changes_nothing(
    messages: Messages,
) -> None:
    await messages.add(A_MESSAGE)
    await messages.advance([(OTHER_ACCOUNT, A_MESSAGE.sid, {"status": "failed"})])
    assert await messages.get(A_MESSAGE.sid) == A_MESSAGE


async def test_a_message_of_a_newer_version_is_waited_for(settings: Settings) -> None:
    async with keeping(settings, 3_600_000) as (messages, redis):
        await messages.add(A_MESSAGE)
        await redis.hset(f"{settings.topic_prefix}message:{A_MESSAGE.sid}", "format", "2")
        with pytest.raises(NewerFormat, match="another version wrote this message"):
            await messages.get(A_MESSAGE.sid)
        with pytest.raises(StoreUnavailable):
            await messages.advance([(ACCOUNT, A_MESSAGE.sid, {"status": "sent"})])
        with pytest.raises(StoreUnavailable):
            await messages.redact(A_MESSAGE.sid)
