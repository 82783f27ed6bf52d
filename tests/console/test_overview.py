"""The overview and the lanes in a real browser, with real lanes, and after a sign-in."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import Browser, Page, expect

from tests.api import all_running, create_accounts, with_secrets
from tests.builders import (
    ACCOUNT,
    OPERATOR_TOKEN,
    OTHER_ACCOUNT,
    RECIPIENT,
    TOKEN,
    outbound_record,
)
from tests.conftest import an_installation
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console
from tests.installation import Installation, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


async def _until_it_says(page: Page, words: dict[str, str]) -> None:
    """Load the overview again until its figures say these words."""

    async def says() -> bool:
        await page.goto("/console/overview")
        return all(
            [
                word in await page.locator(".figures div", has_text=figure).inner_text()
                for figure, word in words.items()
            ]
        )

    await until(says, f"overview with {words}")


async def test_it_opens_after_sign_in_and_says_what_is_not_known(console: Console) -> None:
    page = await open_page(console.browser, console.api.base)
    await page.goto("/console")
    await page.get_by_label("Account sid").fill(console.account)
    await page.get_by_label("Token or secret").fill(TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="Overview")).to_have_attribute(
        "aria-current", "page"
    )
    assert await barriers(page) == []


async def test_figures_are_those_of_the_account(console: Console) -> None:
    page = await console.page()
    await page.goto("/console/overview")  # the list is counted once a person asks
    await console.texts("stop")
    at = console.topics
    of = {"account_sid": console.account, "messaging_service_sid": console.service}
    blocked = console.api.backend.block_list

    async def in_force() -> bool:
        [found] = await blocked.look([f"{console.account}/{RECIPIENT}"])
        return found.value is not None

    await until(in_force, "block")
    await at.sends(
        *(
            outbound_record(**of, message_sid=f"SM{time.time_ns()}{one}", to=to)
            for one, to in enumerate([RECIPIENT, "+15550009911", "+15550009912"])
        )
    )
    counts = console.api.backend.blocked
    counts._least_s = 0.5  # the tests do not wait for a minute
    words = {
        "Opt-outs today": "1",
        "Sends refused today": "1\nof 3 sends",
        "Opt-outs for 1,000 sends": "500.00",
    }
    await _until_it_says(page, words)
    assert await barriers(page) == []
    other = await console.page(await console.another_account())
    await _until_it_says(other, {"Opt-outs today": "0\n", "Sends refused today": "0\nof 0 sends"})


async def test_lanes_are_well_and_the_operator_sees_each(console: Console) -> None:
    page = await console.page()
    lanes = page.locator("section", has_text="Match, gate, webhooks and carriers")

    async def known() -> bool:
        await page.goto("/console/overview")
        return await lanes.locator(".state.on").count() == 2

    await until(known, "two roles that are well")
    for role in ("Webhooks", "Carriers"):
        await expect(lanes).to_contain_text(f"Not in use {role}")
    await expect(lanes).not_to_contain_text("waiting")
    await page.goto("/console/lanes")
    await expect(page.get_by_text("Only an operator may see the lanes.")).to_be_visible()
    operator = await console.operator()
    await operator.goto("/console/overview")
    await operator.get_by_role("link", name="See every lane").click()
    partitions = console.api.backend.settings.partitions
    await expect(operator.locator("tbody tr")).to_have_count(4 * partitions)
    assert await barriers(operator) == []


async def test_what_needs_a_person_leads_to_it(servers: None, browser: Browser) -> None:
    async with an_installation() as made:  # the other tests count their own dead letters
        settings = with_secrets(made)
        await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
        async with all_running(settings) as api:
            at = Installation(settings)
            bad = {"account_sid": ACCOUNT, "message_sid": "SM1", "to": RECIPIENT}
            await at.write(at.topics.inbound_messages, bad)  # it names no sender
            page = await open_page(browser, api.base)
            await sign_in(page)
            attention = page.locator("section", has_text="Needs a person")

            async def said() -> bool:
                await page.goto("/console/overview")
                return "1 record could not be processed" in await attention.inner_text()

            await until(said, "dead letter on the overview")
            await expect(attention).to_contain_text("There is no service yet.")
            assert await barriers(page) == []
            other = await open_page(browser, api.base)
            await sign_in(other, OTHER_ACCOUNT)
            await other.goto("/console/overview")
            await expect(other.get_by_text("Nothing needs a person now.")).to_be_visible()
            operator = await open_page(browser, api.base)
            await sign_in(operator, "operator", OPERATOR_TOKEN)
            await operator.goto("/console/overview")
            await operator.get_by_role("link", name="See why, and send them back").click()
            await expect(operator.get_by_role("heading", name="Dead letters")).to_be_visible()
