"""Charts of opt-outs and sends in a real browser: bars, tables, parts, CSV, without JavaScript."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from typing import Any

import pytest
from playwright.async_api import Page, expect

from processor.statistics.hourly import ALL
from processor.statistics.sums import Bucket
from processor.wire.json_values import to_text
from tests.console.browser import barriers
from tests.console.services import Console, a_count
from tests.installation import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

_DAY_MS = 86_400_000


async def _count(console: Console) -> None:
    """Count a month of opt-outs and sends of the console's service, until now."""
    now_ms = time.time_ns() // 1_000_000
    of = {"account_sid": console.account, "messaging_service_sid": console.service}

    def stops(days_ago: int, count: int, **changes: Any) -> dict[str, Any]:
        return a_count(now_ms, 24 * days_ago, count, **of | {"to": console.service} | changes)

    def sends(days_ago: int, count: int, verdict: str = "allowed") -> dict[str, Any]:
        since = to_text(now_ms - days_ago * _DAY_MS)
        return {**of, "verdict": verdict, "count": count, "since": since, "to": console.service}

    spanish = {"language": "es", "keyword": "baja", "sender_type": "toll_free"}
    outs = [stops(0, 5, keyword="stop", sender_type="long_code"), stops(0, 3, **spanish)]
    outs += [stops(0, 2, kind="START", keyword="start"), stops(40, 7, keyword="stop")]
    at, sums = console.topics, console.api.backend.sums
    await at.write(at.topics.opt_out_counts, *outs)
    await at.write(at.topics.send_counts, sends(0, 4_000), sends(0, 6, "refused"))

    async def counted() -> bool:
        year, before = time.gmtime().tm_year, time.gmtime().tm_year - 1
        years = [Bucket(console.account, ALL, str(year)) for year in (before, year)]
        answer = await sums.read(years)
        totals = [
            sum(one.total(kind) for one in answer.sums) for kind in ("STOP", "START", "allowed")
        ]
        return answer.whole and totals == [15, 2, 4_000]

    await until(counted, "counts that are added up")


async def _rows(page: Page, table: int) -> Sequence[str]:
    rows = page.locator("table").nth(table).locator("tbody tr")
    return [" ".join((await one.inner_text()).split()) for one in await rows.all()]


async def test_months_lead_to_days_and_days_to_hours_without_javascript(console: Console) -> None:
    await _count(console)
    page = await console.page(java_script=False)
    await page.get_by_role("link", name="Charts", exact=True).click()
    await expect(page.get_by_role("heading", name="Opt-outs by month")).to_be_visible()
    assert len(await _rows(page, 0)) == 13
    this_month = time.strftime("%b %Y", time.gmtime())
    newest = (await _rows(page, 0))[0]
    assert newest.startswith(this_month)
    assert newest.endswith(" 2 4,000 6 2.00")
    await page.get_by_role("link", name=f"{this_month}: 8 opt-outs, 2 opt-ins").click()
    await expect(page.get_by_role("heading", name="Opt-outs by day")).to_be_visible()
    today = time.strftime("%a %d", time.gmtime())
    assert (await _rows(page, 0))[0] == f"{today} 8 2 4,000 6 2.00"
    assert (await _rows(page, 1)) == [f"{console.name} 8 2 4,000 2.00"]
    await page.locator("table").first.get_by_role("link", name=today).click()
    await expect(page.get_by_role("heading", name="Opt-outs by hour")).to_be_visible()
    await page.get_by_label("By", exact=True).select_option("Language")
    await page.get_by_role("button", name="Show").click()
    assert await _rows(page, 1) == ["Standard keywords 5 2", "Spanish 3 0"]
    for part, rows in {
        "Keyword": ["stop 5 0", "baja 3 0", "start 0 2"],
        "Sender type": ["long code 5 0", "toll free 3 0", "not known 0 2"],
    }.items():
        await page.get_by_label("By", exact=True).select_option(part)
        await page.get_by_label("Service", exact=True).fill(console.name)
        await page.get_by_role("button", name="Show").click()
        assert await _rows(page, 1) == rows


async def test_values_show_on_hover_and_by_keyboard(console: Console) -> None:
    await _count(console)
    page = await console.page()
    await page.goto("/console/charts")
    outs = page.locator("svg[role=group]").first
    tips = outs.locator(".tip:visible")
    await expect(tips).to_have_count(0)
    bar = outs.locator(".bar").last
    await bar.focus()
    await expect(tips).to_have_text(
        f"{time.strftime('%b %Y', time.gmtime())}: 8 opt-outs, 2 opt-ins"
    )
    await page.keyboard.press("Shift+Tab")
    await expect(tips).to_have_count(1)
    await bar.hover(force=True)
    await expect(tips).to_have_count(1)
    await expect(tips).to_contain_text("8 opt-outs")
    await bar.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Opt-outs by day")).to_be_visible()


async def test_no_barrier_is_found_light_dark_and_narrow(console: Console) -> None:
    await _count(console)
    page = await console.page()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    for query in ("", f"?period={today[:7]}&by=language", f"?period={today}", "?service=nowhere"):
        await page.goto(f"/console/charts{query}")
        assert await barriers(page) == []


async def test_figures_are_downloaded_as_csv(console: Console) -> None:
    await _count(console)
    page = await console.page()
    await page.goto(f"/console/charts?period={time.strftime('%Y-%m', time.gmtime())}&by=keyword")
    files = []
    for name in ("Download CSV by day", "Download CSV by keyword"):
        async with page.expect_download() as download:
            await page.get_by_role("link", name=name).click()
        path = await (await download.value).path()
        files.append(list(csv.DictReader(io.StringIO(path.read_text()))))
    days, words = files
    assert days[-1] == {
        "day": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime()),
        **{"opt_outs": "8", "opt_ins": "2", "help": "0"},
        **{"sends_allowed": "4000", "sends_refused": "6", "sends_suspended": "0"},
        "opt_outs_per_1000_sends": "2.000",
    }
    assert [(one["keyword"], one["opt_outs"]) for one in words] == [
        ("stop", "5"),
        ("baja", "3"),
        ("start", "0"),
    ]


async def test_another_accounts_figures_are_not_shown(console: Console) -> None:
    await _count(console)
    other = await console.page(await console.another_account())
    await other.goto(f"/console/charts?service={console.service}")
    await expect(other.get_by_role("alert")).to_contain_text("No service has")
    await other.goto("/console/charts")
    await expect(other.locator("svg desc").first).to_contain_text("0 opt-outs, 0 opt-ins")
    answer = await other.request.get(f"/console/charts.csv?service={console.service}")
    assert answer.status == 422
    operator = await console.operator()
    await operator.goto(f"/console/charts?service={console.service}")
    await expect(operator.locator("svg desc").first).to_contain_text("15 opt-outs, 2 opt-ins")
