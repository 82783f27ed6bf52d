"""`optout doctor` on a healthy installation, and on one with each thing broken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from processor.config import Settings
from processor.wire.services import read_stored, write_stored
from tests.api import all_running, create_accounts, with_secrets
from tests.application import application, status
from tests.builders import ACCOUNT, KEY, OPERATOR_TOKEN, OTHER_ACCOUNT
from tests.clinic import CLINIC, configure
from tests.installation import Installation
from tests.integration.conftest import Command
from tests.processes import a_port
from tests.topics import set_configs

SHOP = CLINIC | {"sid": "MGshop", "friendly_name": "Shop", "senders": []}
Doctor = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def doctor(optout: Command, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs the command; returns the results by their checks."""
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    monkeypatch.setenv("OPTOUT_OPERATOR_TOKENS", OPERATOR_TOKEN)

    async def examine(*arguments: str, code: int = 0) -> dict[str, Any]:
        result = await optout("doctor", "--json", *arguments, code=code)
        results = map(orjson.loads, result.stdout.splitlines())
        return {one["check"]: one for one in results}

    return examine


def wrong(results: dict[str, Any]) -> dict[str, list[str]]:
    """The findings that are wrong, by check, each with its remedy."""
    found = {
        name: [f"{one['what']}; {one['remedy']}" for one in each["findings"] if one["is_wrong"]]
        for name, each in results.items()
    }
    return {name: lines for name, lines in found.items() if lines}


async def write(settings: Settings, topic: str, key: str, value: bytes, **how: int) -> None:
    producer = AIOKafkaProducer(**settings.kafka())
    await producer.start()
    await producer.send_and_wait(topic, value, key=key.encode(), partition=0, **how)
    await producer.stop()


async def test_a_healthy_installation_is_well(
    settings: Settings, optout: Command, doctor: Doctor
) -> None:
    mine = with_secrets(settings)
    await create_accounts(mine, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC, SHOP)
    async with all_running(mine):
        results = await doctor()
        assert wrong(results) == {}
        assert {each["state"] for each in results.values()} == {"ok"}
        assert "whole" not in str(results["versions"]["findings"])
        assert results["services"]["fact"] == "2 services, 2 enabled"
        assert results["secret keys"]["fact"] == "2 accounts, 1 key"
        for role in ("match", "gate", "webhooks", "carriers", "rates", "api", "topics"):
            assert wrong(await doctor("--role", role)) == {}
        said = (await optout("doctor")).stdout
    assert said.endswith("\nall is well\n")
    assert "Kafka        OK      1 broker" in said


async def test_topics_that_are_missing_or_forget_are_named(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Installation(settings)
    await set_configs(settings, {at.topics.block_list: {"cleanup.policy": "delete"}})
    [line] = wrong(await doctor(code=1))["topics"]
    assert line.startswith(f"{at.topics.block_list}: cleanup.policy is delete where compact")
    assert line.endswith("`optout topics create` mends it")
    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", f"{settings.topic_prefix}other.")
    [line] = wrong(await doctor(code=1))["topics"]
    assert line.endswith("29 more: missing; create it with `optout topics create`")


async def test_a_record_from_the_future_shows_that_clocks_differ(
    settings: Settings, doctor: Doctor
) -> None:
    at = Installation(settings)
    assert wrong(await doctor()) == {}
    topic = at.topics.outbound_messages
    await set_configs(settings, {topic: {"message.timestamp.type": "CreateTime"}})
    later_ms = time.time_ns() // 1_000_000 + 3_600_000
    await write(settings, topic, "+15551234567", b"{}", timestamp_ms=later_ms)
    await set_configs(settings, {topic: {"message.timestamp.type": "LogAppendTime"}})
    [line] = wrong(await doctor(code=1))["clocks"]
    assert line.startswith(f"brokers wrote records in this machine's future: {topic}; let NTP")


async def test_a_clock_that_is_not_redis_s_is_found(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processor.clocks.now_ms", lambda: time.time_ns() // 1_000_000 + 60_000)
    [line] = wrong(await doctor(code=1))["clocks"]
    assert line.startswith("the clocks of this machine and of Redis are 60.0 s apart")


async def test_a_key_that_is_missing_is_named_with_its_accounts(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_accounts(with_secrets(settings), ACCOUNT)
    assert wrong(await doctor()) == {}
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", "fedcba9876543210" * 4)
    [line] = wrong(await doctor(code=1))["secret keys"]
    assert f"is not in OPTOUT_SECRET_KEYS; it sealed tokens of {ACCOUNT}; add the key" in line
    monkeypatch.delenv("OPTOUT_SECRET_KEYS")
    assert "secret keys" in wrong(await doctor(code=1))


async def test_services_that_no_save_would_take_are_found(
    settings: Settings, doctor: Doctor
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC, SHOP)
    topic = at.topics.messaging_services
    shop = next(one for one in await at.records(topic) if one.key == b"MGshop")
    stored = read_stored(shop.value)
    words = stored.opt_out.standard | {
        "HELP": stored.opt_out.standard["STOP"].model_copy(update={"keywords": ["stop", "help"]})
    }
    clinic = read_stored((await at.records(topic))[0].value)
    broken = stored.model_copy(
        update={
            "opt_out": stored.opt_out.model_copy(update={"standard": words}),
            "senders": clinic.senders,
        }
    )
    await write(settings, topic, "MGshop", write_stored(broken))
    await write(settings, topic, "MGtorn", b'{"sid": "MGtorn"')
    await write(settings, topic, "MGother", write_stored(stored))
    results = await doctor(code=1)
    lines = wrong(results)["services"]
    assert any("service MGtorn: its record cannot be read: not JSON" in one for one in lines)
    assert any("service MGshop: opt_out.standard.HELP.keywords" in one for one in lines)
    assert any("service MGother: sid: is MGshop, not the record's key" in one for one in lines)
    assert any("is in service MGclinic already" in one for one in lines)
    assert wrong(results).keys() == {"services"}


async def test_the_example_whose_replies_have_a_brand_and_a_contact_is_well(
    optout: Command, doctor: Doctor
) -> None:
    await optout("services", "apply", "schemas/examples/services.yaml")
    assert wrong(await doctor()) == {}


async def test_applications_that_cannot_be_reached_are_named_and_get_no_webhook(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_WEBHOOK_ALLOW_NETWORKS", "127.0.0.1/32")
    port = a_port()
    async with application() as app:
        app.answers["/"] = status(404)  # an answer all the same
        login = app.url("/in").replace("//", "//user:secret@")
        await configure(settings, CLINIC | {"inbound_request_url": login})
        results = await doctor()
        assert results["webhooks"]["fact"] == "1 server asked"
        assert [(one.method, one.path) for one in app.told] == [("HEAD", "/")]
        assert "Authorization" not in app.told[0].headers
        nobody = {"inbound_request_url": f"http://127.0.0.1:{port}/in?token=secret"}
        await configure(settings, SHOP | nobody)
        results = await doctor(code=1)
        [line] = wrong(results)["webhooks"]
        assert line.startswith(f"http://127.0.0.1:{port} (MGshop): no connection; ask the")
        monkeypatch.setenv("OPTOUT_WEBHOOK_ALLOW_NETWORKS", "")
        lines = wrong(await doctor(code=1))["webhooks"]
        assert len(lines) == 2
        assert all("OPTOUT_WEBHOOK_ALLOW_NETWORKS" in one for one in lines)
    assert "secret" not in str(results["webhooks"])


@asynccontextmanager
async def list_changed(settings: Settings, **fields: str) -> AsyncIterator[None]:
    """The metadata of partition 0's list with other fields."""
    async with Redis.from_url(settings.redis_url) as redis:
        key = f"{settings.topic_prefix}{{0}}:meta"
        for field, value in fields.items():
            await redis.hset(key, field, value)
        yield
        await redis.delete(key)


async def test_a_list_of_a_newer_version_or_another_count_is_found(
    settings: Settings, doctor: Doctor
) -> None:
    async with list_changed(settings, format="9 9", partitions="7", epoch="1"):
        newer, other = wrong(await doctor(code=1))["versions"]
    assert newer.startswith("a newer version wrote the block list of partition 0; run that version")
    assert other.startswith("the block list was built for another number of partitions")
    notes = [one["what"] for one in (await doctor())["versions"]["findings"]]
    assert notes == ["Redis does not have the whole block list of 4 partitions, so the gate waits"]
