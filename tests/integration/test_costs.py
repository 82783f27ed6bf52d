"""The cost of API requests: it is charged and bounded, and a short page has a next page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from processor.config import Settings
from processor.core.messages import bare_number
from processor.http import blocks, messages
from processor.http.console import dead_letters
from processor.kafka.client import Outgoing
from tests.api import OPERATOR_TOKEN, Api, all_running, create_accounts, serving, with_secrets
from tests.api import blocking as in_a_thread
from tests.builders import ACCOUNT, NOW_MS, OTHER_ACCOUNT, RECIPIENT
from tests.installation import Installation
from tests.integration.test_api_blocks import post
from tests.integration.test_live_stream import signed_in
from tests.integration.test_messages import A_MESSAGE

HISTORY = f"/v1/OptOuts/Blocks/{RECIPIENT}/History"
LISTED = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
_FLOOD = 1_000


@asynccontextmanager
async def served(settings: Settings, **changes: Any) -> AsyncIterator[Api]:
    """An API of two accounts, without a worker."""
    settings = with_secrets(settings, **changes)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        yield api


async def asked_until_refused(api: Api, path: str, **headers: str) -> int:
    """The number of answers that an account gets before it must wait."""
    for served in range(_FLOOD):
        answer = await api.ask("GET", path, headers=headers)
        if answer.status_code == 429:
            assert answer.json()["code"] == 20429
            assert int(answer.headers["Retry-After"]) >= 1
            return served
        assert answer.status_code == 200, answer.text
    raise AssertionError(f"{path} was answered {_FLOOD} times")


async def test_an_account_that_asks_for_histories_is_refused_sooner_and_nobody_else_is(
    settings: Settings,
) -> None:
    """Finding 10: a request counted as one, whatever it read."""
    async with served(settings, api_rate=2) as api:  # 4 at once
        assert await asked_until_refused(api, HISTORY) == 1
        refused = await api.ask("GET", "/v1/Services")  # cheap, and the account's all the same
        assert refused.status_code == 429
        other = api.as_(OTHER_ACCOUNT)
        for _ in range(3):
            assert (await other.ask("GET", "/v1/Services")).status_code == 200
        operator, acting = api.as_("operator", OPERATOR_TOKEN), {"X-Optout-Account": OTHER_ACCOUNT}
        assert await asked_until_refused(operator, HISTORY, **acting) == 1
        assert (await other.ask("GET", "/v1/Services")).status_code == 200  # the operator paid


async def keep_messages(api: Api, count: int, **every: Callable[[int], Any]) -> None:
    for number in range(count):
        await api.backend.messages.add(
            replace(
                A_MESSAGE,
                sid=f"SM{number:032x}",
                created_at_ms=NOW_MS + number,
                **{name: of(number) for name, of in every.items()},
            )
        )


async def test_a_filter_that_lets_little_through_has_short_pages_and_all_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_MOST_LOOKED_AT", 100)
    sent = ["+15550000001" if number in (3, 399) else None for number in range(400)]
    async with served(settings) as api:
        await keep_messages(api, 400, sender=lambda number: sent[number])
        pages, path = [], f"{LISTED}?To={RECIPIENT[1:]}&From=15550000001".replace("=1", "=%2B1")
        while path:
            page = (await api.ask("GET", path)).json()
            pages.append([one["sid"][-3:] for one in page["messages"]])
            path = page["next_page_uri"]
        assert pages == [["18f"], [], [], ["003"]]
        client = api.twilio()
        found = await in_a_thread(client.messages.list, to=RECIPIENT, from_="+15550000001")
        assert [one.sid[-3:] for one in found] == ["18f", "003"]


async def test_what_was_created_after_the_day_asked_for_is_not_looked_at(
    settings: Settings,
) -> None:
    """Finding 10: of 100,000 messages each was read, though none could be of that day."""
    async with served(settings) as api:
        await keep_messages(api, 120)
        looked_at = counted(api)
        page = (await api.ask("GET", f"{LISTED}?DateSent=1999-01-01")).json()
        assert (page["messages"], page["next_page_uri"], looked_at) == ([], None, [0])
        page = (await api.ask("GET", f"{LISTED}?DateSent<=9999-12-31&PageSize=70")).json()
        assert (len(page["messages"]), sum(looked_at)) == (70, 70)


def counted(api: Api) -> list[int]:
    """How many messages are looked at, from now on."""
    found, find = list[int](), api.backend.messages.find

    async def counting(*given: Any, **named: Any) -> Any:
        page = await find(*given, **named)
        found.append(page.looked_at)
        return page

    api.backend.messages.find = counting  # type: ignore[method-assign]
    return found


async def test_a_page_of_blocks_looks_at_so_many_entries_only_and_all_are_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_MOST_LOOKED_AT", 1)
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        numbers = {f"+1555000{number}" for number in range(3000, 3008)}
        for number in numbers:
            assert (await post(api, "Block", recipient=number, reason="a")).status_code == 200
        found, pages, path = [], 0, "/v1/OptOuts/Blocks?PageSize=1000"
        while path:
            page = (await api.ask("GET", path)).json()
            pages += 1
            found += [one["recipient"] for one in page["blocks"]]
            path = (page["meta"]["next_page_url"] or "").removeprefix(api.base)
        assert (set(found), pages) == (numbers, settings.partitions)


async def test_an_account_exports_one_file_at_a_time(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with all_running(settings) as api:
        assert (await post(api, "Block", recipient=RECIPIENT, reason="a")).status_code == 200
        async with api.backend.exports.of(ACCOUNT):  # one that is under way
            refused = await api.ask("GET", "/v1/OptOuts/Export")
            assert (refused.status_code, refused.json()["code"]) == (429, 20429)
            other = await api.as_(OTHER_ACCOUNT).ask("GET", "/v1/OptOuts/Export")
            assert (other.status_code, other.text) == (200, "")
        for _ in range(2):  # the first has let go
            exported = await api.ask("GET", "/v1/OptOuts/Export?Format=csv")
            assert exported.status_code == 200
            assert exported.text.splitlines()[1].startswith(bare_number(RECIPIENT))


async def test_older_changes_of_a_configuration_are_on_the_next_page(settings: Settings) -> None:
    async with served(settings) as api:
        for name in ("A", "B", "C"):
            await api.as_(OTHER_ACCOUNT).ask("POST", "/v1/Services", data={"FriendlyName": name})
            await api.ask("POST", "/v1/Services", data={"FriendlyName": name})
        pages, path = [], "/v1/ConfigurationChanges?limit=2"
        while path:
            page = (await api.ask("GET", path)).json()
            assert {one["account_sid"] for one in page["changes"]} == {ACCOUNT}
            pages.append([one["kind"] for one in page["changes"]])
            path = (page["meta"]["next_page_url"] or "").removeprefix(api.base)
        assert pages == [["service", "service"], ["service", "account"]]


async def test_dead_letters_are_read_and_shown_page_by_page(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_MOST_READ", 10)
    at = Installation(settings)
    for number in range(30):
        letter = Outgoing(at.topics.dead_letters, f"+1555{number:07}".encode(), b"null", [])
        await at.write_raw(letter)
    async with served(settings) as api, signed_in(api.base, "operator", OPERATOR_TOKEN) as console:
        shown, path = [], "/console/dead-letters"
        while path:
            page = (await console.get(path)).text
            shown.append(page.count(">Send back…"))
            _, _, older = page.rpartition('<a class="button" href="')
            path = older.partition('"')[0] if ">Older<" in older else ""
        assert sum(shown) == 30
        assert len(shown) >= 3
        assert max(shown) <= 10
