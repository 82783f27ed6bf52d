"""Changes of the configuration by several writers at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from processor.config import Settings
from processor.configuration.edits import Edit, edit_of_account, edit_of_service
from processor.errors import BrokerUnavailable, ConfigError
from processor.kafka.topics import compacted
from processor.kafka.topics.configuration_writer import configuration
from schemas.account import Account, ApiKey
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT
from tests.installation import Installation, until
from tests.stored import a_stored_service, one_more_sender


async def test_writers_that_take_turns_and_those_at_once_lose_nothing(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(configuration(settings)) for _ in range(3)]
        await writers[0].update(
            lambda: [edit_of_service(None, a_stored_service("MGone"))], actor="test"
        )
        addresses = [f"+1555000{number:04}" for number in range(12)]

        async def add(number: int, address: str) -> None:
            stored = writers[number % 3]
            await stored.update(
                lambda: one_more_sender(stored, "MGone", address), actor=f"writer-{number % 3}"
            )

        for number, address in enumerate(addresses[:6]):
            await add(number, address)
        await asyncio.gather(*(add(*one) for one in enumerate(addresses[6:])))
    at = Installation(settings)
    stored = await at.values(at.topics.messaging_services)
    assert [one["version"] for one in stored] == list(range(1, 14))
    assert sorted(one["address"] for one in stored[-1]["senders"]) == addresses
    changes = await at.values(at.topics.configuration_changes)
    assert [(one["version_before"], one["version_after"]) for one in changes[1:]] == [
        (version, version + 1) for version in range(1, 13)
    ]


async def test_a_writer_that_is_fenced_in_the_middle_of_a_change_does_it_again(
    settings: Settings,
) -> None:
    async with configuration(settings) as one, configuration(settings) as other:
        await one.update(lambda: [edit_of_service(None, a_stored_service("MGone"))], actor="test")
        producer, sent = one._producer, one._producer.send

        async def failed() -> bool:
            return bool(producer._txn_manager.is_fatal_error())

        async def fenced(*args: Any, **given: Any) -> Any:
            await other.update(
                lambda: [edit_of_service(None, a_stored_service("MGtwo"))], actor="test"
            )
            fate = await sent(*args, **given)
            await until(failed, "notice that another took over")
            return fate

        producer.send = fenced
        await one.update(lambda: one_more_sender(one, "MGone", LONG_CODE), actor="test")
        assert {service.head.sid for service in one.services.of_account(ACCOUNT)} == {
            *("MGone", "MGtwo"),
        }


async def test_what_a_decision_refuses_changes_nothing_and_the_next_one_counts(
    settings: Settings,
) -> None:
    async with configuration(settings) as stored:

        def refuse() -> list[Edit]:
            raise ConfigError(["no"])

        with pytest.raises(ConfigError):
            await stored.update(refuse, actor="test")
        await stored.update(
            lambda: [edit_of_service(None, a_stored_service("MGone"))], actor="test"
        )
        assert stored.services.get("MGone") is not None
        huge = a_stored_service("MGhuge", friendly_name="x" * 64).model_copy(
            update={"inbound_request_url": "https://example.com/" + "x" * (3 << 20)}
        )
        with pytest.raises(ConfigError, match="too large"):
            await stored.update(lambda: [edit_of_service(None, huge)], actor="test")
        await stored.update(
            lambda: [edit_of_service(None, a_stored_service("MGtwo"))], actor="test"
        )
    at = Installation(settings)
    assert [one["sid"] for one in await at.values(at.topics.messaging_services)] == [
        *("MGone", "MGtwo"),
    ]


async def test_a_commit_whose_outcome_is_unknown_is_not_done_twice(settings: Settings) -> None:
    async with configuration(settings) as stored:
        await stored.update(
            lambda: [edit_of_service(None, a_stored_service("MGone"))], actor="test"
        )
        commit, lost = stored._producer.commit_transaction, 0

        async def commits_and_does_not_hear() -> None:
            nonlocal lost
            await commit()
            lost += 1
            raise KafkaConnectionError

        stored._producer.commit_transaction = commits_and_does_not_hear
        await stored.update(lambda: one_more_sender(stored, "MGone", LONG_CODE), actor="test")
        assert lost == 1
        found = stored.services.get("MGone")
        assert found is not None
        assert [one.address for one in found.head.senders] == [LONG_CODE]
        assert stored.services.holder_of(ACCOUNT, LONG_CODE) is found
        assert stored.services.holder_of(OTHER_ACCOUNT, LONG_CODE) is None


async def test_without_a_broker_it_is_said_at_once(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        async with configuration(nowhere):
            pass


async def test_an_account_that_saves_again_and_again_goes_between_the_others(
    settings: Settings,
) -> None:
    async with configuration(settings) as stored:
        now, secret = datetime.now(UTC), "scrypt$1$1$1$none$none"
        key = ApiKey(sid="SKone", friendly_name="One", secret_hash=secret, created_at=now)
        account = Account(
            sid=ACCOUNT,
            friendly_name="One",
            token_hash=secret,
            sealed_token="none",
            api_keys=[key],
            created_at=now,
            updated_at=now,
        )
        await stored.update(lambda: [edit_of_account(None, account)], actor="test")

        async def save(actor: str, number: int) -> None:
            service = a_stored_service(f"MG{number}")
            await stored.update(lambda: [edit_of_service(None, service)], actor=actor)

        actors = [*[ACCOUNT, "SKone"] * 10, OTHER_ACCOUNT]
        await asyncio.gather(*(save(actor, number) for number, actor in enumerate(actors)))
    at = Installation(settings)
    changes = await at.values(at.topics.configuration_changes)
    of_others = [one["actor"] for one in changes[1:]].index(OTHER_ACCOUNT)
    assert of_others == 1  # behind the update that was under way


@pytest.mark.parametrize("edits", [0, 1], ids=["nothing to store", "a refusal"])
async def test_what_stores_nothing_is_decided_by_what_is_stored_now(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, edits: int
) -> None:
    async with configuration(settings) as one, configuration(settings) as other:
        await one.update(lambda: [edit_of_service(None, a_stored_service("MGone"))], actor="test")
        monkeypatch.setattr(compacted, "_GATHER_S", 3_600.0)  # other writers' changes arrive late
        await other.update(lambda: [edit_of_service(None, a_stored_service("MGtwo"))], actor="test")
        assert one.services.get("MGtwo") is None

        def decide() -> list[Edit]:
            if edits and one.services.get("MGtwo") is None:
                raise LookupError
            return []

        assert await one.update(decide, actor="test") == []
        assert one.services.get("MGtwo") is not None
