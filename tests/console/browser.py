"""Debian's Chromium, driven by Playwright, and axe in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from deploy.local import stack
from tests.builders import ACCOUNT, TOKEN

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
_LOOKS: Sequence[tuple[Literal["light", "dark"], int]] = (("light", 1100), ("dark", 360))
_PATIENCE_MS = 60_000  # a busy machine is slow, not wrong
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
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=[*_FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(browser: Browser, base: str, **options: Any) -> Page:
    """A page of a fresh browser session, without cookies."""
    context = await browser.new_context(base_url=base, **options)
    context.set_default_timeout(_PATIENCE_MS)
    return await context.new_page()


async def sign_in(page: Page, user: str = ACCOUNT, token: str = TOKEN) -> None:
    """Sign in, which opens the overview, and go on to the services page."""
    await page.goto("/console")
    await page.get_by_label("Account sid").fill(user)
    await page.get_by_label("Token or secret").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Overview", exact=True).wait_for()
    await page.goto("/console")
    await page.get_by_role("heading", name="Messaging services").wait_for()


async def barriers(page: Page) -> list[str]:
    """The WCAG 2.2 AA violations that axe finds on a page, light and dark, and pages too wide."""
    found = []
    for scheme, width in _LOOKS:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 800})
        options = {"runOnly": {"type": "tag", "values": _WCAG}}
        result = await Axe().run(page, options=options)
        found += [
            f"{page.url}: {scheme}, {width}: {one['id']}: {one['nodes'][0]['html']}"
            for one in result.response["violations"]
        ]
        if not await page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            found.append(f"{page.url}: wider than {width}")
    return found
