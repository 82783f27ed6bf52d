"""One browser for all tests of the console; each opens a page that nobody used before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from tests.console.browser import browsing


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser, which lives in the session's loop: so do the tests that use it."""
    async with browsing() as made:
        yield made
