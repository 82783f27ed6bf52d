"""R30 from a text to its review: through real lanes, the API, the command line and time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from processor import clocks
from processor.config import Settings
from processor.core.due import due_ms
from processor.kafka.writing import Outgoing
from processor.worker import roles
from tests.api import Api, all_running, create_accounts, post, with_secrets
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT, a_review, inbound_record
from tests.ears import ENOUGH, PLEASE, an_ear
from tests.installation import Installation, running, until
from tests.integration.conftest import Command

PATH = "/v1/OptOuts/Suspected"


@pytest.fixture(autouse=True)
def ear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "Ear", an_ear)


async def listed(api: Api, count: int, **query: str) -> list[dict[str, Any]]:
    """The texts of the account, once there are so many."""
    found: list[dict[str, Any]] = []

    async def enough() -> bool:
        nonlocal found
        answer = await api.ask("GET", PATH, params=query)
        assert answer.status_code == 200, answer.text
        found = answer.json()["suspected"]
        return len(found) == count

    await until(enough, f"{count} texts to review")
    return found


async def decided(api: Api, text_id: str, act: str) -> Any:
    answer = await api.ask("POST", f"{PATH}/{text_id}/{act}")
    return answer.json() if answer.status_code == 200 else answer.status_code


async def blocked_by(api: Api, count: int) -> list[str]:
    """The causes of the recipient's blocks, once there are so many."""
    kinds: list[str] = []

    async def enough() -> bool:
        nonlocal kinds
        blocks = (await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}")).json()["blocks"]
        kinds = [source["kind"] for block in blocks for source in block["sources"]]
        return len(kinds) == count

    await until(enough, f"{count} causes of blocks")
    return kinds


async def test_a_person_confirms_a_text_and_takes_it_back(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    installation = Installation(settings)
    async with all_running(settings) as api:
        await installation.texts(inbound_record(ENOUGH))
        [text] = await listed(api, 1)
        assert (text["state"], text["body"], text["recipient"]) == ("open", ENOUGH, RECIPIENT)
        assert text["suspected"]["policy"] == "report"
        assert await listed(api.as_(OTHER_ACCOUNT), 0) == []
        assert await decided(api.as_(OTHER_ACCOUNT), text["text_id"], "Confirm") == 404

        confirmed = await decided(api, text["text_id"], "Confirm")
        assert (confirmed["state"], confirmed["command_id"]) == (
            "confirmed",
            f"{text['text_id']}.1",
        )
        assert await blocked_by(api, 1) == ["review"]
        [change] = await installation.wait_for(installation.topics.block_changes, 1)
        cause = change["cause"]
        assert (cause["source"], cause["message_sid"], cause["actor"]) == (
            *("review", text["message_sid"]),
            ACCOUNT,
        )
        assert await listed(api, 0) == []
        assert await decided(api, text["text_id"], "Dismiss") == 409

        await post(api, "Block", recipient=RECIPIENT, reason="asked by phone")
        assert await blocked_by(api, 2) == ["review", "command"]
        undone = await decided(api, text["text_id"], "Undo")
        assert (undone["state"], undone["command_id"]) == ("undone", f"{text['text_id']}.2")
        assert await blocked_by(api, 1) == ["command"]
        [again] = await listed(api, 1, state="decided")
        assert (again["state"], again["decision"]["number"]) == ("undone", 2)
        assert again["decision"]["actor"] == ACCOUNT


async def test_a_block_by_a_phrase_is_undone_by_a_review_alone(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    installation = Installation(settings)
    async with all_running(settings) as api:
        await installation.texts(inbound_record(PLEASE))
        assert await blocked_by(api, 1) == ["own-words"]
        [text] = await listed(api, 1, state="decided")
        assert (text["state"], text["due_at"]) == ("blocked", None)
        await asyncio.sleep(1.1)  # within a second of the text the block would stay (R23)
        assert (await decided(api, text["text_id"], "Undo"))["state"] == "undone"
        assert await blocked_by(api, 0) == []


async def test_texts_are_dismissed_in_bulk_and_brought_back(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    installation = Installation(settings)
    async with all_running(settings) as api:
        await installation.texts(*(inbound_record(ENOUGH, message_sid=f"SM{n}") for n in range(3)))
        ids = [one["text_id"] for one in await listed(api, 3)]
        answer = await api.ask("POST", f"{PATH}/Dismiss", json={"text_ids": [*ids, "TXnone"]})
        results = answer.json()["results"]
        assert [one.get("state") for one in results] == ["dismissed"] * 3 + [None]
        assert "there is no such text" in results[-1]["refused"]
        assert await listed(api, 0) == []
        assert (await decided(api, ids[0], "Undo"))["state"] == "open"
        assert [one["text_id"] for one in await listed(api, 1)] == [ids[0]]
        assert await installation.values(installation.topics.block_changes) == []


async def test_a_text_that_was_not_reviewed_in_time_blocks_in_the_us_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    installation = Installation(settings)
    german = {"from": "+4915112345678", "from_country": "DE", "message_sid": "SM2"}
    async with all_running(settings) as api:
        await installation.texts(inbound_record(ENOUGH), inbound_record(ENOUGH, **german))
        texts = await listed(api, 2)
        assert {one["country"]: one["overdue"] for one in texts} == {"US": "block", "DE": "keep"}
        late_ms = due_ms(clocks.now_ms()) + 1_000
        monkeypatch.setattr(clocks, "now_ms", lambda: late_ms)
        await api.backend.overdue.look()
        await api.backend.overdue.look()
        monkeypatch.undo()
        assert await blocked_by(api, 1) == ["review"]
        reviews = await installation.values(installation.topics.suspected_reviews)
        assert [(one["state"], one["actor"], one["label"]) for one in reviews] == [
            ("overdue", "overdue", None)
        ]
        commands = await installation.values(installation.topics.consent_commands)
        assert [one["recipient"] for one in commands] == [RECIPIENT]


async def test_the_view_is_made_again_from_the_topics(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    installation = Installation(settings)
    async with all_running(settings) as api:
        await installation.texts(*(inbound_record(ENOUGH, message_sid=f"SM{n}") for n in range(2)))
        ids = [one["text_id"] for one in await listed(api, 2)]
        await decided(api, ids[0], "Dismiss")
        redis = api.backend.redis.redis
        keys = [key async for key in redis.scan_iter(f"{settings.topic_prefix}{{suspected}}:*")]
        await redis.delete(*keys)
        assert [one["text_id"] for one in await listed(api, 1)] == ids[1:]
        assert [one["text_id"] for one in await listed(api, 1, state="decided")] == ids[:1]


async def test_r22_a_reported_text_is_handled_once_though_redis_forgot_it(
    settings: Settings,
) -> None:
    installation = Installation(settings)
    async with running(settings):
        await installation.texts(inbound_record(ENOUGH))
        await installation.wait_for(installation.topics.suspected_opt_outs, 1)
        await installation.wait_for_no_lag("match")
    async with running(settings) as worker:
        for partition in range(settings.partitions):
            await worker.shared.store.declare_lost(partition)
        await installation.texts(inbound_record(ENOUGH), inbound_record(PLEASE, message_sid="SM2"))
        await installation.wait_for(installation.topics.opt_out_notifications, 1)
        await installation.wait_for_no_lag("match")
        texts = await installation.values(installation.topics.suspected_opt_outs)
        assert [one["body"] for one in texts] == [ENOUGH, PLEASE]


async def test_the_command_line_lists_decides_and_exports(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    installation = Installation(settings)
    file = tmp_path / "labelled.jsonl"

    async def run(*arguments: str) -> str:
        return (await optout("suspected", *arguments)).output

    async with all_running(settings) as api:
        await installation.texts(*(inbound_record(ENOUGH, message_sid=f"SM{n}") for n in range(2)))
        ids = [one["text_id"] for one in await listed(api, 2)]
        lines = [json.loads(line) for line in (await run("list", "--json")).splitlines()]
        assert [one["text_id"] for one in lines] == ids
        assert ENOUGH in await run("list", "--account-sid", ACCOUNT)
        assert await run("list", "--overdue") == ""
        assert f"command {ids[0]}.1 blocks" in await run("confirm", ids[0])
        assert "dismissed" in await run("dismiss", ids[1])
        assert "0 texts were overdue" in await run("overdue")
        assert await run("export", str(file)) == f"2 labels written to {file}\n"
        labels = [json.loads(line) for line in file.read_text().splitlines()]
        assert labels == [
            {"body": ENOUGH, "label": "stop", "lang": "und"},
            {"body": ENOUGH, "label": "not", "lang": "und"},
        ]
        gone = a_review(text_id="TXgone").model_dump_json().encode()
        reviews = installation.topics.suspected_reviews
        await installation.write_raw(Outgoing(reviews, b"TXgone", gone, partition=0))
        assert await run("export", str(file)) == f"2 labels written to {file}\n"
        assert await run("export", "--labels", str(file)) == f"3 labels written to {file}\n"
        assert json.loads(file.read_text().splitlines()[-1])["body"] is None
        assert "unblocks" in await run("undo", ids[0])
        assert "undone by cli/" in await run("list", "--decided")
