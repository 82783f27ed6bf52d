"""Opt-outs by the hour in a real browser: the chart, its table, filters and the alarm."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.async_api import expect

from processor.statistics.hourly import KEPT_HOURS
from tests.console.browser import barriers
from tests.console.services import Console, a_count
from tests.installation import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


async def _count_a_week(console: Console) -> int:
    """Count opt-outs: a steady week of a week-old service, then a jump within the hour.

    Returns:
        The time of every page from here on: no hour may end between two looks.
    """
    now_ms = time.time_ns() // 1_000_000
    at, history = console.topics, console.api.backend.counts
    history.clock_ms = lambda: now_ms

    def counted(hours_ago: int, count: int, **changes: Any) -> dict[str, Any]:
        of = {"account_sid": console.account, "messaging_service_sid": console.service}
        return a_count(now_ms, hours_ago, count, **of | changes)

    week = [counted(hours_ago, 4) for hours_ago in range(1, KEPT_HOURS)]
    spanish = [counted(1, 2, language="es"), counted(1, 3, kind="START", language="es")]
    await at.write(at.topics.opt_out_counts, *week, *spanish, counted(0, 90))

    async def counted_all() -> bool:
        kinds = history.hourly.of(console.account, console.service)
        return history.loaded and sum(map(sum, kinds.values())) == 4 * (KEPT_HOURS - 1) + 95

    await until(counted_all, "counts that are read")
    return now_ms


async def test_a_jump_is_told_in_the_chart_the_table_and_the_list(console: Console) -> None:
    await _count_a_week(console)
    page = await console.page()
    await expect(page.locator(".warnings")).to_have_text("1 service is out of the usual range")
    row = page.get_by_role("row").filter(has_text=console.name)
    await expect(row).to_contain_text("90 opt-outs at")
    await row.get_by_role("link", name="above the usual").click()
    await expect(page.get_by_label("Service", exact=True)).to_have_value(console.name)
    await expect(page.locator("svg .usual")).to_have_count(1)
    await expect(page.locator("svg .mark")).to_have_count(1)
    now = page.locator("table").first.locator("tbody tr").first
    await expect(now).to_contain_text("above the usual")
    await page.locator("svg .bar").last.focus()
    tip = page.locator("svg .tip:visible")
    await expect(tip).to_contain_text("90 opt-outs, 0 opt-ins, above the usual maximum")
    alarms = page.locator("section", has_text="Out of the usual range")
    await expect(alarms).to_contain_text(f"{console.name}: 90 opt-outs at")
    await page.goto(f"/console/rates?service={console.service}&days=1")  # a shorter table
    assert await barriers(page) == []


async def test_without_javascript_service_language_and_days_are_chosen(console: Console) -> None:
    await _count_a_week(console)
    page = await console.page(java_script=False)
    await page.get_by_role("link", name="Rates").click()
    hours = page.locator("table").first.locator("tbody tr")
    await expect(hours).to_have_count(24)
    await expect(page.locator("svg .usual")).to_have_count(0)
    await expect(page.locator("svg desc")).to_contain_text("184 opt-outs, 3 opt-ins")
    await page.get_by_label("Service", exact=True).fill(console.service[:20])
    await page.get_by_label("Language", exact=True).select_option("Spanish")
    await page.get_by_label("Days", exact=True).select_option("7")
    await page.get_by_role("button", name="Show").click()
    await expect(hours).to_have_count(KEPT_HOURS)
    await expect(page.locator("svg desc")).to_contain_text("2 opt-outs, 3 opt-ins")
    totals = page.locator("table").nth(1).locator("tbody tr")
    await expect(totals).to_have_text(f"{console.name}Spanish23")
    await page.get_by_label("Service", exact=True).fill("nowhere")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("alert")).to_contain_text("No service has “nowhere”")


async def test_another_accounts_figures_are_not_shown(console: Console) -> None:
    now_ms = await _count_a_week(console)
    theirs = await console.another_account()
    nobodys = {"account_sid": theirs, "messaging_service_sid": None}
    at, history = console.topics, console.api.backend.counts
    await at.write(at.topics.opt_out_counts, a_count(now_ms, 0, 500, **nobodys))

    async def counted() -> bool:
        return list(history.hourly.services(theirs)) != []

    await until(counted, "counts that are read")
    other = await console.page(theirs)
    await other.goto(f"/console/rates?service={console.service}")
    await expect(other.get_by_role("alert")).to_contain_text("No service has")
    assert console.name not in await other.content()
    await other.goto("/console/rates?service=none")
    await expect(other.locator("svg desc")).to_contain_text("500 opt-outs, 0 opt-ins")
    await other.goto("/console/rates")
    await expect(other.locator("svg desc")).to_contain_text("500 opt-outs, 0 opt-ins")
    assert console.name not in await other.content()
