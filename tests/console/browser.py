"""Debian's Chromium, driven by Playwright, and axe in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from deploy.local import stack
from tests.api import TOKEN
from tests.builders import ACCOUNT

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
_WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def chromium() -> str:
    """Where the browser is; as root on Debian it is installed where it is missing."""
    stack.need("chromium", lambda: shutil.which("chromium") is not None, "chromium")
    found = shutil.which("chromium")
    assert found
    return found


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=[*_FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(browser: Browser, base: str, **options: Any) -> Page:
    """A page of a browser that nobody used before."""
    context = await browser.new_context(base_url=base, **options)
    context.set_default_timeout(30_000)
    return await context.new_page()


async def sign_in(page: Page, user: str = ACCOUNT, token: str = TOKEN) -> None:
    """Sign in, and be at the services."""
    await page.goto("/console")
    await page.get_by_label("Account sid").fill(user)
    await page.get_by_label("Token or secret").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Messaging services").wait_for()


async def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA on a page as it is now."""
    options = {"runOnly": {"type": "tag", "values": _WCAG}}
    found = await Axe().run(page, options=options)
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html']}"
        for one in found.response["violations"]
    ]
