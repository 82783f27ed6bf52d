"""The page of the API's document, in a browser: it is complete, and requests only the API."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, ConsoleMessage

from tests.console.browser import open_page
from tests.edge import serving_alone

pytestmark = [pytest.mark.needs_more, pytest.mark.asyncio(loop_scope="session")]


async def test_the_document_is_shown_and_tried_without_asking_anybody_else(
    browser: Browser,
) -> None:
    async with serving_alone() as edge:
        base = f"http://127.0.0.1:{edge.port}"
        page = await open_page(browser, base)
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        def hear(message: ConsoleMessage) -> None:  # of what the policy stops, too
            if message.type in ("error", "warning"):  # else Chromium's advice on forms
                said.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto("/docs")
        await page.get_by_role("heading", name="optout").wait_for()
        assert await page.locator(".opblock").count() > 40
        await page.locator("#operations-health-livez_livez_get").click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        await page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
        await page.get_by_role("button", name="Authorize").first.click()
        await page.locator("#auth-basic-username").fill("operator")
        await page.context.close()
    assert said == []
    others = [url for url in asked if not url.startswith((f"{base}/", "data:"))]
    assert others == []
    assert f"{base}/livez" in asked
