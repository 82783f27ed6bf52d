"""`optout doctor` on servers with users, and on a Redis that forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from processor.cli import main
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.asked import asked_of_kafka
from tests.secured import Right, Secured, Servers, as_environment, rights_of, servers_with_users

pytestmark = pytest.mark.needs_more
ROLES = ("match", "gate", "webhooks", "rates", "api", "operator")


@pytest.fixture(scope="module")
def with_users(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers_with_users(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture
async def secured(with_users: Servers) -> Secured:
    made = Secured(with_users)
    await topic_admin.create(made.open)
    return made


async def rights_found(settings: Settings, role: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the result of the check of rights."""
    code, results = await examined(settings, role)
    return code, results["rights"]


async def examined(settings: Settings, role: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the results by their checks."""
    environment = as_environment(settings)
    arguments = ("doctor", "--json", "--role", role)
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment)
    results = map(orjson.loads, result.stdout.splitlines())
    return result.exit_code, {one["check"]: one for one in results}


@pytest.mark.parametrize("role", ROLES)
async def test_with_its_rights_a_role_is_well_and_asks_for_nothing_else(
    secured: Secured, role: str
) -> None:
    mine = await secured.user(rights_of(role), redis=role)
    code, found = await rights_found(mine, role)
    assert found["findings"] == []
    assert code == 0
    assert asked_of_kafka(secured, mine, "Denied") == set()


async def test_each_right_that_is_missing_is_named(secured: Secured) -> None:
    missing = {
        Right("topics", "consent-commands.v1", "Write"),
        Right("groups", "gate", "Read"),
        Right("transactional_ids", "match-*", "Write"),
    }
    rights = [right for right in rights_of("operator") if right not in missing]
    mine = await secured.user(rights, redis="operator")
    code, found = await rights_found(mine, "operator")
    who, prefix = f"Kafka's user {mine.kafka_username} lacks", secured.prefix
    assert code == 1
    assert {one["what"] for one in found["findings"]} == {
        f"{who} Write on topics {prefix}consent-commands.v1",
        f"{who} Read on groups {prefix}gate",
        f"{who} Write on transactional ids {prefix}match-0",
    }
    assert {one["remedy"] for one in found["findings"]} == {
        "give it the rights of kafka.operator in deploy/acls.toml"
    }


async def test_commands_that_redis_refuses_are_named(secured: Secured) -> None:
    mine = await secured.user(rights_of("match"), redis="gate")
    code, found = await rights_found(mine, "match")
    assert code == 1
    assert [one["what"] for one in found["findings"]] == [
        f"Redis does not let this user run {command}"
        for command in ("GET {0}:undo", "HDEL {0}:meta")
    ]


async def test_a_redis_that_forgets_is_wrong_and_names_the_command_that_mends_it(
    secured: Secured,
) -> None:
    async with Redis.from_url(secured.open.redis_url) as redis:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            code, results = await examined(secured.open, "operator")
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")
    assert code == 1
    [finding] = results["Redis"]["findings"]
    assert finding["what"].startswith("Redis evicts (allkeys-lru)")
    assert finding["what"].endswith("CONFIG SET maxmemory-policy noeviction")
    assert results["rights"]["state"] == "skipped"
    assert results["services"]["state"] == "ok"  # it needs Kafka only
