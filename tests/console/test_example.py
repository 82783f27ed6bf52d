"""The console as a new user meets it after `optout up`, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from processor.cli.example_traffic import ACCOUNT
from tests.conftest import an_installation
from tests.console.browser import barriers, open_page, sign_in
from tests.installation import Installation, until
from tests.upped import DEADLINE_S, login, upped, url_of, variables

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


async def test_pages_have_something_to_show(
    servers: None, browser: Browser, tmp_path: Path
) -> None:
    async with an_installation() as settings, upped(variables(settings, tmp_path)) as up:
        at = Installation(settings)

        async def is_played() -> bool:
            return len(await at.records(at.topics.dead_letters)) == 1 and (
                len(await at.records(at.topics.opt_out_counts)) >= 10
            )

        await until(is_played, "traffic", DEADLINE_S)
        page = await open_page(browser, url_of(up.said))
        await sign_in(page, ACCOUNT, login(up.said, ACCOUNT))
        for name in ("Clinic reminders", "Parcel notices", "Garden club"):
            await expect(page.get_by_role("link", name=name).first).to_be_visible()
        assert await barriers(page) == []
        await page.goto("/console/rates")
        for language in ("Spanish", "French", "Chinese"):
            row = page.get_by_role("row").filter(has_text="Clinic reminders")
            await expect(row.filter(has_text=language).first).to_be_visible()
        assert await barriers(page) == []
        person = await open_page(browser, url_of(up.said))
        await sign_in(person, "operator", login(up.said, "operator"))
        await person.goto("/console/dead-letters")
        await expect(person.locator("main")).to_contain_text("to: missing")
        assert await barriers(person) == []


async def test_an_empty_installation_can_be_entered_by_its_operator(
    servers: None, browser: Browser, tmp_path: Path
) -> None:
    async with (
        an_installation() as settings,
        upped(variables(settings, tmp_path), "--empty") as up,
    ):
        page = await open_page(browser, url_of(up.said))
        await sign_in(page, "operator", login(up.said, "operator"))
        for name in ("Recipients", "Rates", "Dead letters", "Accounts"):
            await page.get_by_role("navigation").get_by_role("link", name=name).first.click()
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert await barriers(page) == []
