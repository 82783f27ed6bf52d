"""The operator's pages of accounts in a real browser: create, sign in, limit, rotate."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.builders import TOKEN
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


async def test_an_account_is_created_and_signs_in_with_the_token_that_was_shown(
    console: Console,
) -> None:
    operator = await console.operator()
    await operator.get_by_role("link", name="Accounts").click()
    await operator.get_by_role("link", name="Create an account").click()
    await operator.get_by_label("Name").fill("  ")
    await operator.get_by_role("button", name="Create").click()
    await expect(operator.locator(".problem")).to_have_text("A name has 1 to 64 characters.")
    assert await barriers(operator) == []
    await operator.get_by_label("Name").fill("Bakery")
    await operator.get_by_role("button", name="Create").click()
    sid, token = await operator.locator("dd code").all_inner_texts()
    assert await barriers(operator) == []
    stored = console.api.backend.configuration.accounts.get(sid)
    assert stored
    assert (stored.friendly_name, stored.state) == ("Bakery", "active")
    page = await open_page(console.browser, console.api.base)
    await sign_in(page, sid, token)
    # The form once more: no second account, and no second token.
    await operator.goto("/console/accounts/new")
    await operator.locator("input[name=sid]").evaluate("(field, sid) => field.value = sid", sid)
    await operator.get_by_label("Name").fill("Bakery again")
    await operator.get_by_role("button", name="Create").click()
    await expect(operator.locator("main")).to_contain_text("this account exists already")
    assert console.api.backend.configuration.accounts.get(sid) == stored


async def test_a_new_token_ends_what_the_old_one_opened(console: Console) -> None:
    theirs = await console.page(java_script=False)
    operator = await console.operator()
    await operator.goto(f"/console/accounts/{console.account}")
    await operator.get_by_role("link", name="New token…").click()
    await expect(operator.locator("main")).to_contain_text("The old token is refused")
    assert await barriers(operator) == []
    await operator.get_by_role("button", name="Make a new token").click()
    _, token = await operator.locator("dd code").all_inner_texts()
    assert token != TOKEN
    await theirs.goto("/console/overview")
    await expect(theirs.get_by_role("button", name="Sign in")).to_be_visible()
    page = await open_page(console.browser, console.api.base)
    await sign_in(page, console.account, token)
    await operator.get_by_role("link", name="I have kept it").click()
    await expect(operator.get_by_role("heading", name="Usage and limits")).to_be_visible()
    assert token not in await operator.content()


async def test_limits_are_set_and_taken_away_again(console: Console) -> None:
    operator = await console.operator()
    await operator.goto(f"/console/accounts?named={console.account}")
    await operator.get_by_role("link", name="An account", exact=True).click()
    row = operator.locator("tr", has=operator.locator("#services"))
    await expect(row).to_contain_text("OPTOUT_ACCOUNT_SERVICES")
    assert await barriers(operator) == []
    await operator.get_by_label("Messaging services", exact=True).fill("lots")
    await operator.get_by_label("API keys").fill("7")
    await operator.get_by_role("button", name="Save limits").click()
    await expect(operator.get_by_role("alert")).to_contain_text("not a whole number")
    await expect(operator.get_by_label("API keys")).to_have_value("7")
    assert await barriers(operator) == []
    await operator.get_by_label("Messaging services", exact=True).fill("1,200")
    await operator.get_by_role("button", name="Save limits").click()
    await expect(operator.get_by_role("status")).to_contain_text("Saved.")
    stored = console.api.backend.configuration.accounts.get(console.account)
    assert stored
    assert stored.limits
    assert stored.limits.model_dump(exclude_none=True) == {"services": 1_200, "api_keys": 7}
    for name in ("Messaging services", "API keys"):
        await operator.get_by_label(name, exact=True).fill("")
    await operator.get_by_role("button", name="Save limits").click()
    stored = console.api.backend.configuration.accounts.get(console.account)
    assert stored
    assert stored.limits is None


async def test_only_an_operator_sees_an_account(console: Console) -> None:
    page = await console.page()
    for path in ("new", console.account, f"{console.account}/rotate"):
        answer = await page.goto(f"/console/accounts/{path}")
        assert answer
        assert answer.status == 403
        await expect(page.locator("main")).to_contain_text("Only an operator may see accounts.")
