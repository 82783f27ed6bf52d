"""Opt-outs by the hour in a real browser: the chart, its table, filters and the alarm."""

from __future__ import annotations

import time

from playwright.async_api import expect

from processor.config import Settings
from processor.core.hourly import KEPT_HOURS
from tests.api import Api, create_accounts, serving
from tests.builders import SERVICE
from tests.console.browser import browsing, open_page, sign_in, violations
from tests.console.services import a_count, with_a_service
from tests.installation import Installation, until

_NOW_MS = time.time_ns() // 1_000_000  # of every page: no hour may end between two looks


async def _read(api: Api) -> None:
    async def loaded() -> bool:
        return api.backend.counts.loaded

    await until(loaded, "counts that are read")
    api.backend.counts.clock_ms = lambda: _NOW_MS


async def _with_a_week(settings: Settings) -> Settings:
    """A steady week of a service that is as old, then a jump within the hour."""
    week = [a_count(_NOW_MS, hours, 4) for hours in range(1, KEPT_HOURS)]
    spanish = [
        a_count(_NOW_MS, 1, 2, language="es"),
        a_count(_NOW_MS, 1, 3, kind="START", language="es"),
    ]
    settings = await with_a_service(settings, created_hours_ago=KEPT_HOURS)
    at = Installation(settings)
    theirs = a_count(_NOW_MS, 0, 500, account_sid="AC_other", messaging_service_sid=None)
    await at.write(at.topics.opt_out_counts, *week, *spanish, a_count(_NOW_MS, 0, 90), theirs)
    return settings


async def test_a_jump_is_told_in_the_chart_the_table_and_the_list(settings: Settings) -> None:
    settings = await _with_a_week(settings)
    async with serving(settings) as api, browsing() as browser:
        await _read(api)
        page = await open_page(browser, api.base)
        await sign_in(page)
        row = page.get_by_role("row").filter(has_text="Clinic")
        await expect(row).to_contain_text("90 opt-outs at")
        await row.get_by_role("link", name="above the usual").click()
        await expect(page.locator("svg .usual")).to_have_count(1)
        await expect(page.locator("svg .mark")).to_have_count(1)
        now = page.locator("table").first.locator("tbody tr").first
        await expect(now).to_contain_text("above the usual")
        alarms = page.locator("section", has_text="Out of the usual range")
        await expect(alarms).to_contain_text("Clinic: 90 opt-outs at")
        for scheme, width in (("light", 1100), ("dark", 1100), ("light", 360)):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.set_viewport_size({"width": width, "height": 800})
            assert await violations(page) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_without_javascript_service_language_and_days_are_chosen(settings: Settings) -> None:
    settings = await _with_a_week(settings)
    await create_accounts(settings, "AC_other")
    async with serving(settings) as api, browsing() as browser:
        await _read(api)
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        await page.get_by_role("link", name="Rates").click()
        hours = page.locator("table").first.locator("tbody tr")
        await expect(hours).to_have_count(24)
        await expect(page.locator("svg .usual")).to_have_count(0)
        await expect(page.locator("svg desc")).to_contain_text("184 opt-outs, 3 opt-ins")
        await page.get_by_label("Service", exact=True).select_option("Clinic")
        await page.get_by_label("Language", exact=True).select_option("Spanish")
        await page.get_by_label("Days", exact=True).select_option("7")
        await page.get_by_role("button", name="Show").click()
        await expect(hours).to_have_count(KEPT_HOURS)
        await expect(page.locator("svg desc")).to_contain_text("2 opt-outs, 3 opt-ins")
        totals = page.locator("table").nth(1).locator("tbody tr")
        await expect(totals).to_have_text("ClinicSpanish23")
        other = await open_page(browser, api.base)
        await sign_in(other, "AC_other")
        assert (await other.request.get(f"/console/rates?service={SERVICE}")).status == 404
        await other.goto("/console/rates")
        await expect(other.locator("svg desc")).to_contain_text("500 opt-outs, 0 opt-ins")
        assert "Clinic" not in await other.content()
