"""One browser, one worker and one API for all tests of the console; each has its own account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from processor.kafka.topics import ending
from tests.api import Api, all_running, create_accounts, with_secrets
from tests.builders import ACCOUNT
from tests.conftest import an_installation
from tests.console.browser import browsing
from tests.console.services import Console, an_account_with_a_service


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A browser in the session's loop; the tests that use it run there, too."""
    async with browsing() as made:
        yield made


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def served(servers: None) -> AsyncIterator[Api]:
    """A worker and an API."""
    async with an_installation() as made:
        settings = with_secrets(made)
        await create_accounts(settings, ACCOUNT)
        async with all_running(settings) as api:
            yield api


@pytest_asyncio.fixture(loop_scope="session")
async def console(served: Api, browser: Browser) -> AsyncIterator[Console]:
    """The console, and a separate account with a service to look at."""
    made = await an_account_with_a_service(served, browser)
    yield made
    # The next test's account has the same numbers.
    await ending.close(served.backend.configuration, made.account, actor="test")
