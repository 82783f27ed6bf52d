"""Live in a real browser: events of a real flow without a reload, each account only its own."""

from __future__ import annotations

import gc
import logging
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from playwright.async_api import Browser, Page, expect

from deploy.local import stack
from processor.config import Settings
from processor.http.live import Live, TooManyViewers
from processor.kafka.client import Outgoing
from processor.kafka.topics import topic_admin
from processor.metrics import Metrics
from processor.wire.topics import Topics
from tests.api import OPERATOR_TOKEN, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console
from tests.installation import until
from tests.integration.test_flow import a_send, a_text

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

_OTHER = "AC_other"


async def _watch(page: Page) -> None:
    await page.get_by_role("link", name="Live").click()
    await expect(page.locator("#live-state")).to_have_text("Live.")


async def test_events_appear_without_a_reload_to_their_account_and_the_operator(
    console: Console,
) -> None:
    at, theirs = console.topics, await console.another_account()
    await at.write_raw(
        *(
            Outgoing(topic, b"+15550000000", value)
            for topic in (at.topics.opt_out_notifications, at.topics.message_statuses)
            for value in (b"no JSON", b'["21610"]', b'{"error_code": 21610}', None)
        )
    )
    mine, other = await console.page(), await console.page(theirs)
    operator = await console.operator()
    for page in (mine, other, operator):
        await _watch(page)
    await mine.evaluate("window.loadedOnce = true")
    await console.texts("stop")
    named = operator.locator("#live-rows tr").filter(has_text=console.name)
    for rows in (mine.locator("#live-rows tr"), named):
        await expect(rows.filter(has_text="STOP by “stop”")).to_contain_text(console.name)
    await expect(mine.get_by_text("Blocked for the account")).to_have_count(1)
    await at.sends(a_send(f"S{console.account}", account_sid=console.account))
    refused = mine.locator("#live-rows tr").first
    await expect(refused).to_contain_text("Failed with 21610: blocked for the account")
    await expect(refused).to_contain_text(f"…{RECIPIENT[-2:]}")
    figures = mine.locator("#live-figures")
    await expect(figures).to_contain_text("Matches in the last minute1")
    assert await mine.evaluate("window.loadedOnce")
    for number in (RECIPIENT, LONG_CODE):
        assert number not in await mine.content()
    # Only operators see the installation's figures.
    await expect(operator.locator("#live-figures")).to_contain_text("Lag of match0")
    await expect(operator.locator("#live-figures")).to_contain_text("Lag of gate0")
    assert "Lag" not in await figures.inner_text()
    # What came since is known to have reached the others: it is not on its way to this one.
    await at.texts(a_text(f"M{theirs}", "help", account_sid=theirs, to="+15550000000"))
    others = other.locator("#live-rows tr")
    await expect(others).to_have_count(1)
    await expect(others).to_contain_text("HELP by “help”")
    await expect(other.locator("#live-figures")).to_contain_text("Matches in the last minute1")
    assert "HELP" not in await mine.locator("#live-rows").inner_text()
    assert await barriers(mine) == []


async def test_a_stream_can_be_paused_and_ends_with_its_session(console: Console) -> None:
    page = await console.page()
    await _watch(page)
    state, rows = page.locator("#live-state"), page.locator("#live-rows tr")
    await expect(state).to_have_attribute("role", "status")
    await page.get_by_role("button", name="Pause").press("Enter")
    await expect(state).to_have_text("Paused.")
    beside = await page.context.new_page()
    await beside.goto("/console")
    await _watch(beside)
    await console.texts("stop")
    await expect(beside.locator("#live-rows tr")).to_have_count(2)
    await expect(rows).to_have_count(0)
    await page.get_by_role("button", name="Resume").press("Enter")
    await expect(state).to_have_text("Live.")
    await expect(rows).to_have_count(2)
    await beside.get_by_role("button", name="Sign out").click()
    await expect(state).to_have_text("You are signed out. Sign in")
    await page.get_by_role("link", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_server_that_ends_is_missed_and_found_again(console: Console) -> None:
    settings = console.api.backend.settings
    async with serving(settings) as api:
        page = await open_page(console.browser, api.base)
        await sign_in(page, console.account)
        await _watch(page)
    # Its streams ended, or it would not have.
    await expect(page.locator("#live-state")).to_have_text("Connection lost. Trying again.")
    async with serving(settings, port=int(api.base.rpartition(":")[2])):
        await expect(page.locator("#live-state")).to_have_text("Live.", timeout=60_000)


async def test_a_broker_that_does_not_answer_is_told_and_followed_again_by_itself(
    servers: None, browser: Browser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stack.kafka(tmp_path) as broker:
        settings = Settings(kafka_bootstrap=broker.address, topic_prefix="cut.", partitions=1)
        await topic_admin.create(settings)
        async with serving(with_secrets(settings)) as api:
            page = await open_page(browser, api.base)
            await sign_in(page, "operator", OPERATOR_TOKEN)
            await _watch(page)
            clients = _open_clients()
            caplog.set_level(logging.INFO)
            state = page.locator("#live-state")
            broker.process.send_signal(signal.SIGSTOP)
            await expect(state).to_contain_text("Kafka or Redis does not answer", timeout=60_000)
            assert await barriers(page) == []
            broker.process.send_signal(signal.SIGCONT)
            await expect(state).to_have_text("Live.", timeout=60_000)

            async def as_many_clients() -> bool:
                return _open_clients() == clients

            await until(as_many_clients, "as many clients as before")
            assert api.backend.unready() == []
    assert [record for record in caplog.records if record.exc_info] == []


def _open_clients() -> int:
    consumers = (one for one in gc.get_objects() if isinstance(one, AIOKafkaConsumer))
    return sum(not one._closed for one in consumers)


async def test_without_javascript_there_is_what_was_known_and_a_link_to_load_it_anew(
    console: Console,
) -> None:
    page = await console.page(java_script=False)
    await page.get_by_role("link", name="Live").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    await console.texts("stop")
    rows = page.locator("#live-rows tr")

    async def shown() -> bool:
        await page.get_by_role("link", name="Refresh").click()
        return await rows.filter(has_text="STOP by “stop”").count() == 1

    await until(shown, "row after a reload")
    await expect(rows.filter(has_text="STOP")).to_contain_text(console.name)


async def test_only_so_many_may_look_on(settings: Settings) -> None:
    live = Live(settings, Topics.under(settings.topic_prefix), Metrics())
    with ExitStack() as stack:
        for number in range(200):
            stack.enter_context(live.watching(f"AC{number // 20}", "session"))
        with pytest.raises(TooManyViewers):
            stack.enter_context(live.watching("AC_next", "session"))
    with ExitStack() as stack:
        viewers = [stack.enter_context(live.watching(ACCOUNT, "session")) for _ in range(20)]
        with pytest.raises(TooManyViewers):
            stack.enter_context(live.watching(ACCOUNT, "session"))
        stack.enter_context(live.watching(_OTHER, "theirs"))
        live.end_session("session")
        assert all(viewer.ended for viewer in viewers)
