"""The block list through the API: block, check, look up, list, unblock, and the actors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from processor.config import Settings
from processor.core.identity import cause_of
from processor.core.messages import Scope
from processor.errors import StoreUnavailable
from processor.http import recipients, waits
from processor.stages.match_inbound import MatchBatch
from tests.api import Api, all_running, create_accounts, post, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, OPERATOR_TOKEN, OTHER_ACCOUNT, RECIPIENT
from tests.installation import DEADLINE_S, Installation, running, until

ELSE = "+15550001111"


async def verdicts(api: Api, *recipients: str, **given: Any) -> list[bool]:
    answer = await post(api, "Check", recipients=list(recipients), **given)
    assert answer.status_code == 200, answer.text
    return [one["allowed"] for one in answer.json()["results"]]


async def test_a_block_is_in_force_when_it_is_answered_and_is_lifted_again(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        assert await verdicts(api, RECIPIENT, ELSE) == [True, True]
        blocked = await post(api, "Block", recipient=RECIPIENT, reason="asked by phone")
        assert (blocked.status_code, blocked.json()["in_force"]) == (200, True)
        assert await verdicts(api, RECIPIENT, ELSE) == [False, True]
        refused = (await post(api, "Check", recipients=[RECIPIENT])).json()["results"][0]
        assert (refused["error_code"], refused["block"]["scope"]) == (21610, "account")
        (one,) = (await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}")).json()["blocks"]
        assert cause_of(one["change_id"]) == blocked.json()["command_id"]
        lifted = await post(api, "Unblock", recipient=RECIPIENT, reason="asked in the shop")
        assert (lifted.status_code, lifted.json()["blocked"]) == (200, False)
        assert await verdicts(api, RECIPIENT) == [True]
        past = (await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}/History")).json()["changes"]
        assert [(one["blocked"], one["cause"]["source"]) for one in past] == [
            (False, "api"),
            (True, "api"),
        ]
        assert past[0]["cause"]["reason"] == "asked in the shop"
        assert past[0]["cause"]["actor"] == ACCOUNT


async def test_r25_a_block_that_a_failing_lane_undoes_is_not_answered_as_in_force(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list shows a block before its batch is committed; a lane that fails then redoes it."""
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    still_holds, answered_early = MatchBatch.still_holds, list[bool]()
    async with all_running(settings) as api:

        async def fails_once(batch: MatchBatch) -> bool:
            if batch.is_written and not answered_early:
                _, waiting = await asyncio.wait((block,), timeout=1)
                answered_early.append(not waiting)
                raise StoreUnavailable("a failure between write and commit")
            return await still_holds(batch)

        monkeypatch.setattr(MatchBatch, "still_holds", fails_once)
        block = asyncio.create_task(post(api, "Block", recipient=RECIPIENT, reason="asked"))
        answer = await block
        assert answered_early == [False]
        assert (answer.status_code, answer.json()["in_force"]) == (200, True)
        assert await verdicts(api, RECIPIENT) == [False]


async def test_while_no_worker_works_few_requests_of_an_account_wait_for_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "_MOST_EACH", 3)
    monkeypatch.setattr(recipients, "_IN_FORCE_S", DEADLINE_S)
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings):
        pass  # there is a list, and no worker runs any more
    async with serving(settings) as api:
        numbers = [f"+1555000{number:04}" for number in range(8)]
        asked = [
            asyncio.create_task(post(api, "Block", recipient=one, reason="asked"))
            for one in numbers
        ]

        async def answered() -> bool:
            return sum(one.done() for one in asked) == 5

        await until(answered, "answer to all but those that wait")
        async with running(settings):
            answers = await asyncio.gather(*asked)
        assert sorted(one.status_code for one in answers) == [200] * 3 + [202] * 5


async def test_a_block_of_a_sender_stops_that_sender_only(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        given = {"scope": "sender", "sender": LONG_CODE, "reason": "asked"}
        assert (await post(api, "Block", recipient=RECIPIENT, **given)).status_code == 200
        assert await verdicts(api, RECIPIENT, **{"from": LONG_CODE}) == [False]
        assert await verdicts(api, RECIPIENT, **{"from": ELSE}) == [True]
        wrong = await post(api, "Block", recipient=RECIPIENT, scope="service", reason="asked")
        assert (wrong.status_code, wrong.json()["code"]) == (400, 20001)


async def test_every_block_is_listed_page_by_page_and_by_filter(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    numbers = {f"+1555000{number}" for number in range(2000, 2012)}
    async with all_running(settings) as api:
        for number in numbers:
            assert (await post(api, "Block", recipient=number, reason="a")).status_code == 200
        given = {"scope": Scope.SENDER, "sender": LONG_CODE, "reason": "a"}
        assert (await post(api, "Block", recipient=ELSE, **given)).status_code == 200
        found, path = [], "/v1/OptOuts/Blocks?PageSize=1"
        while path:
            page = (await api.ask("GET", path)).json()
            found += [one["recipient"] for one in page["blocks"]]
            path = (page["meta"]["next_page_url"] or "").removeprefix(api.base)
        assert set(found) == numbers | {ELSE}
        only = await api.ask("GET", "/v1/OptOuts/Blocks?PageSize=1000&scope=sender")
        assert [one["recipient"] for one in only.json()["blocks"]] == [ELSE]
        (cause,) = [one["change_id"].partition(".")[0] for one in only.json()["blocks"]]
        for query, expected in (
            (f"cause={cause}", {ELSE}),
            ("carrier=true", set()),
            ("carrier=false&channel_group=sms", numbers | {ELSE}),
            ("channel_group=whatsapp", set()),
            ("until=2026-01-01T00:00:00Z", set()),
            ("since=2026-01-01T00:00:00Z&until=2999-01-01T00:00:00Z", numbers | {ELSE}),
        ):
            some = await api.ask("GET", f"/v1/OptOuts/Blocks?PageSize=1000&{query}")
            assert {one["recipient"] for one in some.json()["blocks"]} == expected, query
        other = await api.as_(OTHER_ACCOUNT).ask("GET", "/v1/OptOuts/Blocks?PageSize=1000")
        assert other.json()["blocks"] == []


async def test_no_account_sees_anothers_blocks_or_history(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with all_running(settings) as api:
        assert (await post(api, "Block", recipient=RECIPIENT, reason="a")).status_code == 200
        made = await api.ask("POST", "/v1/Services", data={"FriendlyName": "Clinic"})
        other = api.as_(OTHER_ACCOUNT)
        assert await verdicts(other, RECIPIENT) == [True]
        one = (await other.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}")).json()
        assert (one["blocked"], one["blocks"]) == (False, [])
        past = await other.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}/History")
        assert past.json()["changes"] == []
        lifted = await post(other, "Unblock", recipient=RECIPIENT, reason="a")
        assert (lifted.status_code, await verdicts(api, RECIPIENT)) == (200, [False])
        theirs = {"scope": "service", "service_sid": made.json()["sid"], "reason": "a"}
        assert (await post(other, "Block", recipient=ELSE, **theirs)).status_code == 400
        changes = (await other.ask("GET", "/v1/ConfigurationChanges")).json()["changes"]
        assert {change["account_sid"] for change in changes} == {OTHER_ACCOUNT}
        mine = (await api.ask("GET", "/v1/ConfigurationChanges")).json()["changes"]
        assert [(change["what"], change["kind"]) for change in mine] == [
            ("created", "service"),
            ("created", "account"),
        ]
        operator = api.as_("operator", OPERATOR_TOKEN)
        acting = {"X-Optout-Account": ACCOUNT}
        seen = await operator.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}", headers=acting)
        assert seen.json()["blocked"] is True
        assert (await operator.ask("GET", "/v1/OptOuts/Blocks")).status_code == 400


async def test_a_list_that_cannot_be_trusted_answers_nothing(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:  # no worker has built the list
        for answer in (
            await post(api, "Check", recipients=[RECIPIENT]),
            await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}"),
            await api.ask("GET", "/v1/OptOuts/Blocks"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, 20503)
            assert "not whole" in answer.json()["detail"]
        stored = await post(api, "Block", recipient=RECIPIENT, reason="asked")
        assert (stored.status_code, stored.json()["in_force"]) == (202, False)


async def test_a_check_of_too_many_or_of_no_number_is_refused(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        for recipients in ([], [RECIPIENT] * 1001, ["nobody"]):
            refused = await post(api, "Check", recipients=recipients)
            assert (refused.status_code, refused.json()["code"]) == (400, 20001)
            assert "nobody" not in refused.text


async def test_an_import_keeps_its_good_rows_names_the_bad_and_is_exported_again(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    rows = f"recipient,account_sid\n{RECIPIENT},\nanna,\n{ELSE},{OTHER_ACCOUNT}\n"
    async with all_running(settings) as api:
        for _ in range(2):
            took = await imported(api, rows, "IM1")
            assert (took.json()["import_id"], took.json()["accepted"]) == ("IM1", 1)
            assert [one["row"] for one in took.json()["errors"]] == [3, 4]
            assert "anna" not in took.text

        async def blocked() -> bool:
            return await verdicts(api, RECIPIENT) == [False]

        await until(blocked, "block")
        assert await verdicts(api, ELSE) == [True]
        out = (await api.ask("GET", "/v1/OptOuts/Export?Format=csv")).text.splitlines()
        assert [line.split(",")[0] for line in out] == ["recipient", RECIPIENT]
        other = await api.as_(OTHER_ACCOUNT).ask("GET", "/v1/OptOuts/Export")
        assert (other.status_code, other.text) == (200, "")
        past = (await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}/History")).json()["changes"]
        assert len(past) == 1


async def imported(api: Api, rows: str, import_id: str = "") -> httpx.Response:
    """Import CSV."""
    path = f"/v1/OptOuts/Import?ImportId={import_id}" if import_id else "/v1/OptOuts/Import"
    took = await api.ask("POST", path, content=rows, headers={"Content-Type": "text/csv"})
    assert took.status_code == 202, took.text
    return took


async def test_the_same_rows_take_effect_again_in_another_import_and_not_in_the_same_one(
    settings: Settings,
) -> None:
    """B13: importing a list again after an unblock silently did nothing."""
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at, rows = Installation(settings), f"recipient\n{RECIPIENT}\n"

    async def blocked(*, now: bool) -> None:
        async def is_so() -> bool:
            return await verdicts(api, RECIPIENT) == [not now]

        await until(is_so, "block" if now else "unblock")

    async with all_running(settings) as api:
        for id_before, id_again in (("", ""), ("IM1", "IM2")):
            first = await imported(api, rows, id_before)
            await blocked(now=True)
            await post(api, "Unblock", recipient=RECIPIENT, reason="asked")
            await blocked(now=False)
            # A retry of the broken import does not undo later changes.
            again = await imported(api, rows, first.json()["import_id"])
            assert again.json() == first.json()
            await at.wait_for_no_lag("match")
            assert await verdicts(api, RECIPIENT) == [True]
            other = await imported(api, rows, id_again)
            assert other.json()["import_id"] != first.json()["import_id"]
            await blocked(now=True)
            await post(api, "Unblock", recipient=RECIPIENT, reason="asked")
        refused = await api.ask("POST", "/v1/OptOuts/Import?ImportId=a%20b", content=rows)
        assert (refused.status_code, refused.json()["code"]) == (400, 20001)


async def test_a_long_import_is_read_as_it_comes_and_may_be_larger_than_other_requests(
    settings: Settings,
) -> None:
    settings = with_secrets(settings, api_max_bytes=8_192, api_import_max_bytes=400_000)
    await create_accounts(settings, ACCOUNT)
    numbers = [f"+1555{number:07}" for number in range(3_000)]

    async def body() -> AsyncIterator[bytes]:
        for number in numbers:
            yield f'{{"recipient":"{number[:6]}'.encode()
            yield f'{number[6:]}"}}\n'.encode()
        yield b'{"recipient":"' + b"5" * 100_000
        yield b"5" * 100_000 + b'"}\nnot JSON\n\n{"recipient":"' + ELSE.encode() + b'"}'

    kind = {"Content-Type": "application/x-ndjson"}
    async with all_running(settings) as api:
        took = await api.ask("POST", "/v1/OptOuts/Import", content=body(), headers=kind)
        assert took.json() | {"import_id": ""} == {
            "import_id": "",
            "accepted": 3_001,
            "refused": 2,
            "errors": [
                {"row": 3_001, "error": "longer than 65,536 bytes"},
                {"row": 3_002, "error": "not JSON"},
            ],
        }

        async def all_blocked() -> bool:
            asked = (numbers[:100], numbers[-100:], [ELSE])
            return not any([any(await verdicts(api, *some)) for some in asked])

        await until(all_blocked, "blocks")
        for larger in (b"\n" * 400_001, aiter_of(b"\n" * 300_000, b"\n" * 300_000)):
            refused = await api.ask("POST", "/v1/OptOuts/Import", content=larger, headers=kind)
            assert (refused.status_code, "400000" in refused.text) == (413, True)


async def aiter_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
