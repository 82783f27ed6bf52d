"""The page Review in a real browser: by due time, ticked, undone, by keys, and without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from processor import clocks
from processor.core.messages import Arrival
from processor.core.suspected import Overdue, TierPolicy, WordsTier
from processor.kafka.writing import Outgoing
from processor.wire.events import write_suspected
from tests.builders import RECIPIENT, a_finding, a_report, an_inbound
from tests.console.browser import barriers
from tests.console.services import Console
from tests.installation import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

DAY_MS = 86_400_000


async def reported(console: Console, *bodies: str, days_ago: int = 0, **finding: Any) -> None:
    """Texts of the recipient that wait for a review, the later the body, the later its time."""
    now_ms = clocks.now_ms()
    reports = [
        a_report(
            message=an_inbound(
                body,
                message_sid=f"SM{body.encode().hex()}"[:34],
                account_sid=console.account,
                arrival=Arrival(now_ms - days_ago * DAY_MS + at),
            ),
            service_sid=console.service,
            finding=a_finding(
                **{"tier": WordsTier.SUSPECTED, "score": 0.8, "policy": TierPolicy.REPORT} | finding
            ),
        )
        for at, body in enumerate(bodies)
    ]
    topic = console.topics.topics.suspected_opt_outs
    await console.topics.write_raw(
        *(Outgoing(topic, RECIPIENT.encode(), write_suspected(one)) for one in reports)
    )


async def showing(page: Page, count: int, path: str = "/console/review") -> list[str]:
    """The texts of the page, once there are so many."""
    rows: list[str] = []

    async def enough() -> bool:
        nonlocal rows
        await page.goto(path)
        rows = await page.locator("#texts tbody th").all_inner_texts()
        return len(rows) == count

    await until(enough, f"{count} texts on {path}")
    return rows


async def test_texts_come_by_due_time_and_the_overview_counts_them(console: Console) -> None:
    await reported(console, "enough of you", "who are you")
    await reported(console, "make it end", days_ago=20, overdue=Overdue.KEEP)
    page = await console.page()
    assert await showing(page, 3) == ["make it end", "enough of you", "who are you"]
    row = page.locator("tr", has_text="make it end")
    await expect(row.get_by_text("overdue", exact=True)).to_be_visible()
    await expect(page.locator("tr", has_text="who are you")).to_contain_text(console.name)
    assert await barriers(page) == []
    await page.goto("/console/overview")
    await expect(page.locator("#attention + ul")).to_contain_text(
        "3 texts may be opt-outs; 1 overdue"
    )
    assert await barriers(page) == []


async def test_ticked_texts_are_dismissed_and_brought_back(console: Console) -> None:
    await reported(console, "one", "two", "three")
    page = await console.page()
    await showing(page, 3)
    for body in ("one", "two"):
        await page.get_by_role("checkbox", name=body).check()
    await page.get_by_role("button", name="Dismiss the ticked").click()
    await expect(page.get_by_text("Dismissed.", exact=True)).to_be_visible()
    assert await page.locator("#texts tbody th").all_inner_texts() == ["three"]
    await page.get_by_role("button", name="Undo the dismissal of 2 texts").click()
    await expect(page.get_by_text("Undone.")).to_be_visible()
    assert len(await page.locator("#texts tbody th").all_inner_texts()) == 3


async def test_a_text_is_confirmed_and_taken_back_without_scripts(console: Console) -> None:
    await reported(console, "enough of you", "who are you")
    page = await console.page(java_script=False)
    await showing(page, 2)
    await page.get_by_role("button", name="Confirm enough of you").click()
    await expect(page.get_by_text("Confirmed: the recipients are blocked")).to_be_visible()
    await page.get_by_label("Show").select_option("decided")
    await page.get_by_role("button", name="Show").click()
    row = page.locator("#texts tbody tr")
    await expect(row).to_contain_text(f"by {console.account}")
    await row.get_by_role("button", name="Undo").click()
    await expect(page.locator("#texts tbody tr")).to_contain_text("Undone")


async def test_keys_move_tick_and_dismiss(console: Console) -> None:
    await reported(console, "one", "two", "three")
    page = await console.page()
    await showing(page, 3)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.get_by_role("checkbox", name="two")).to_be_checked()
    await page.keyboard.press("k")
    await page.keyboard.press("d")
    await expect(page.get_by_text("Dismissed.", exact=True)).to_be_visible()
    assert await page.locator("#texts tbody th").all_inner_texts() == ["two", "three"]


async def test_texts_are_filtered_and_nobody_sees_anothers(console: Console) -> None:
    await reported(console, "please no more", tier=WordsTier.PHRASE, score=1.0)
    await reported(console, "<b>enough</b>")
    page = await console.page()
    assert await showing(page, 2) == ["please no more", "<b>enough</b>"]
    assert await showing(page, 1, "/console/review?tier=phrase") == ["please no more"]
    assert await showing(page, 2, f"/console/review?service={console.service}") != []
    assert await showing(page, 0, "/console/review?service=another") == []
    other = await console.page(await console.another_account())
    assert await showing(other, 0) == []
    await page.goto("/console/review")
    await page.get_by_role("button", name="Dismiss the ticked").click()
    await expect(page.get_by_text("No text is ticked.")).to_be_visible()
