"""The console's pages about people: senders, options, recipients, dead letters."""

from __future__ import annotations

import logging

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Page as Tab

from processor.config import Settings
from processor.kafka.client import Outgoing
from schemas.messaging_service import MessagingService
from tests.api import OPERATOR_TOKEN, Api, create_accounts, serving
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    RECIPIENT,
    SERVICE,
    TOLL_FREE,
    inbound_record,
)
from tests.console.browser import open_page, sign_in, violations
from tests.console.services import with_a_service
from tests.installation import Installation, running

pytestmark = pytest.mark.asyncio(loop_scope="session")

_AT = f"/console/services/{SERVICE}"


def _stored(api: Api) -> MessagingService:
    found = api.backend.configuration.services.get(SERVICE)
    assert found is not None
    return found.whole()


async def _look(page: Tab, found: list[str]) -> None:
    for scheme, width in (("light", 1100), ("dark", 360)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 800})
        found += await violations(page)
        if not await page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            found.append(f"{page.url}: wider than {width}")


async def _look_up(page: Tab, number: str) -> None:
    await page.goto("/console/recipients")
    await page.get_by_label("Number").fill(number)
    await page.get_by_role("button", name="Look up").click()


async def test_a_sender_is_added_beside_its_problems_and_removed(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        made = await api.ask("POST", "/v1/Services", data={"FriendlyName": "Shop"})
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        address, add = page.get_by_label("Address"), page.get_by_role("button", name="Add")
        await page.goto(f"{_AT}/senders")
        for wrong, why in (("five!", "is not a sender"), (LONG_CODE, "already in")):
            await address.fill(wrong)
            await add.click()
            await expect(page.locator("#address-problem")).to_contain_text(why)
            await expect(address).to_have_value(wrong)
            await expect(address).to_have_attribute("aria-invalid", "true")
        await address.fill(TOLL_FREE)
        await add.click()
        await expect(page.get_by_role("status")).to_have_text("Added.")
        await expect(page.get_by_role("row", name=TOLL_FREE)).to_contain_text("toll freeUS")
        stale = await page.context.new_page()
        await stale.goto(f"{_AT}/senders")
        other = await page.context.new_page()
        await other.goto(f"/console/services/{made.json()['sid']}/senders")
        await other.get_by_label("Address").fill(TOLL_FREE)
        await other.get_by_role("button", name="Add").click()
        await expect(other.locator("#address-problem")).to_contain_text("another Messaging")
        await page.get_by_role("link", name=f"Remove… {TOLL_FREE}").click()
        await page.get_by_role("button", name="Remove").click()
        await expect(page.get_by_role("status")).to_have_text("Removed.")
        assert TOLL_FREE not in [one.address for one in _stored(api).senders]
        await stale.get_by_label("Address").fill("+15550107777")
        await stale.get_by_role("button", name="Add").click()
        await expect(stale.get_by_role("alert")).to_contain_text("Somebody saved meanwhile")
        await expect(stale.get_by_label("Address")).to_have_value("+15550107777")
        assert "+15550107777" not in [one.address for one in _stored(api).senders]


async def test_options_are_part_of_the_draft(settings: Settings, browser: Browser) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        await page.goto(_AT)
        await page.get_by_role("link", name="Edit options").click()
        await page.get_by_label("Exact").check()
        await page.get_by_label("YES is a keyword only").check()
        await page.get_by_label("short code").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        await expect(page.locator(".diff")).to_contain_text("help_when_blocked: none -> short_code")
        draft = _stored(api).opt_out
        assert (draft.match, draft.yes_only_when_blocked) == ("exact", True)
        assert (draft.help_when_blocked, draft.repeat_reply) == (["short_code"], "once")
        assert _stored(api).active is None
        await page.goto(f"{_AT}/edit/standard")
        await page.get_by_label("Opt-out keywords").fill("no more")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#STOP-keywords-problem")).to_contain_text("white space")


async def test_a_recipient_is_looked_up_blocked_and_unblocked_and_their_history_shown(
    settings: Settings, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    settings = await with_a_service(settings)
    await create_accounts(settings, OTHER_ACCOUNT)
    at = Installation(settings)
    caplog.set_level(logging.DEBUG, logger="processor")
    async with running(settings), serving(settings) as api:
        await at.texts(inbound_record(message_sid="SM.1", body="STOP", from_=RECIPIENT))
        await at.wait_for(at.topics.block_changes, 1)
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        await _look_up(page, "five")
        await expect(page.locator("#number-problem")).to_contain_text("E.164")
        await _look_up(page, RECIPIENT)
        assert RECIPIENT.lstrip("+") not in page.url
        blocks = page.get_by_role("region", name="Blocks in force")
        await expect(blocks).to_contain_text("the whole account")
        await expect(blocks).to_contain_text("SM.1")
        history = page.get_by_role("region", name="History")
        await expect(history).to_contain_text("texted “stop”")
        await page.get_by_role("link", name="Unblock… the whole account").click()
        await expect(page.locator("main")).to_contain_text("go out again")
        await page.get_by_label("Reason").fill("asked in the shop")
        await page.get_by_role("button", name="Unblock").click()
        await expect(page.get_by_role("status")).to_contain_text("Unblocked")
        await expect(page.locator("main")).to_contain_text("Not blocked")
        await expect(history).to_contain_text(f"asked in the shop (by {ACCOUNT})")
        await page.get_by_label("Who may not write").select_option("service")
        await page.get_by_role("button", name="Block…").click()
        await expect(page.get_by_role("alert")).to_contain_text("scope service needs it")
        await page.get_by_label("Service, for one service").select_option("Clinic")
        await page.get_by_role("button", name="Block…").click()
        await expect(page.locator("main")).to_contain_text("every message of service Clinic")
        await page.get_by_label("Reason").fill("by phone")
        await page.get_by_role("button", name="Block").click()
        await expect(page.get_by_role("status")).to_contain_text("Blocked")
        await expect(blocks).to_contain_text("service Clinic")
        # What another account sees: neither this page nor a block.
        other = await open_page(browser, api.base)
        await sign_in(other, OTHER_ACCOUNT)
        assert (await other.request.get(page.url)).status == 404
        foreign = page.url.replace(ACCOUNT, OTHER_ACCOUNT)
        assert (await other.request.get(foreign)).status == 404
        await _look_up(other, RECIPIENT)
        await expect(other.locator("main")).to_contain_text("Nothing changed so far")
        operator = await open_page(browser, api.base)
        await sign_in(operator, "operator", OPERATOR_TOKEN)
        await operator.goto("/console/recipients")
        await operator.get_by_label("Account sid").fill(ACCOUNT)
        await operator.get_by_label("Number").fill(RECIPIENT)
        await operator.get_by_role("button", name="Look up").click()
        await expect(operator.locator("main")).to_contain_text("service Clinic")
    said = "".join(str(vars(record)) for record in caplog.records if "processor" in record.name)
    assert RECIPIENT not in said


async def test_a_long_history_has_pages(settings: Settings, browser: Browser) -> None:
    settings = await with_a_service(settings)
    at = Installation(settings)
    async with running(settings), serving(settings) as api:
        words = ["STOP", "START"] * 15
        texts = [
            inbound_record(message_sid=f"SM{number}.", body=word, from_=RECIPIENT)
            for number, word in enumerate(words)
        ]
        await at.texts(*texts)
        await at.wait_for(at.topics.block_changes, 30)
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        await _look_up(page, RECIPIENT)
        rows = page.get_by_role("region", name="History").locator("tbody tr")
        await expect(rows).to_have_count(25)
        await expect(rows.first).to_contain_text("SM29.")
        await page.get_by_role("link", name="Older").click()
        await expect(rows).to_have_count(5)
        await expect(rows.last).to_contain_text("SM0.")
        await page.get_by_role("link", name="Newer").click()
        await expect(rows).to_have_count(25)


async def test_a_list_that_cannot_be_trusted_is_not_shown(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:  # no worker has built the list
        page = await open_page(browser, api.base)
        await sign_in(page)
        await _look_up(page, RECIPIENT)
        await expect(page.locator("main")).to_contain_text("cannot be trusted now")


async def test_a_dead_letter_is_sent_back_once_and_by_an_operator_only(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    at = Installation(settings)
    key = RECIPIENT.encode()
    topic = at.topics.inbound_messages
    async with running(settings), serving(settings) as api:
        bad = [Outgoing(topic, key, value) for value in (b"null", b"[", b"null")]
        await at.write_raw(*bad)
        await at.wait_for_letters(3)
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        assert await page.get_by_role("link", name="Dead letters").count() == 0
        for path in ("", "/redrive"):
            answer = await page.request.get(f"/console/dead-letters{path}")
            assert (answer.status, "Only an operator" in await answer.text()) == (403, True)
        csrf = await page.locator("input[name=csrf]").first.input_value()
        answer = await page.request.post("/console/dead-letters/redrive", form={"csrf": csrf})
        assert answer.status == 403
        operator = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(operator, "operator", OPERATOR_TOKEN)
        await operator.get_by_role("link", name="Dead letters").click()
        reasons = operator.get_by_role("region", name="Dead letters by reason")
        await expect(reasons.get_by_role("row", name="not a JSON object")).to_contain_text("2")
        assert RECIPIENT not in await operator.content()
        await operator.get_by_role("link", name="Send back 2… not a JSON object").click()
        await expect(operator.locator("main")).to_contain_text(f"2 to {topic}")
        twice = await operator.context.new_page()
        await twice.goto(operator.url)
        for one in (operator, twice):
            await one.get_by_role("button", name="Send back").click()
            await expect(one.get_by_role("status")).to_have_text("Sent back.")
        await at.wait_for_letters(5)
        assert len(await at.records(topic)) == 5
        await operator.goto("/console/dead-letters")
        await expect(operator.locator("main")).to_contain_text("5 in all, 3 not sent back")


async def test_these_pages_are_accessible_in_light_and_dark_and_on_a_phone(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    at = Installation(settings)
    found: list[str] = []
    async with running(settings), serving(settings) as api:
        await at.texts(inbound_record(message_sid="SM1", body="STOP", from_=RECIPIENT))
        await at.write_raw(Outgoing(at.topics.inbound_messages, RECIPIENT.encode(), b"null"))
        await at.wait_for(at.topics.block_changes, 1)
        await at.wait_for_letters(1)
        page = await open_page(browser, api.base)
        await sign_in(page)
        for path in ("/senders", "/options"):
            await page.goto(_AT + path)
            await _look(page, found)
        await page.goto(f"{_AT}/senders")
        await page.get_by_role("link", name="Remove…").first.click()
        await _look(page, found)
        await _look_up(page, "five")
        await _look(page, found)
        await _look_up(page, RECIPIENT)
        await _look(page, found)
        await page.get_by_role("link", name="Unblock…").click()
        await _look(page, found)
        # By keyboard alone: past the two links above the form.
        await page.get_by_label("Reason").focus()
        await page.keyboard.type("asked")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Unblocked")
        operator = await open_page(browser, api.base)
        await sign_in(operator, "operator", OPERATOR_TOKEN)
        for path in ("dead-letters", "recipients"):
            await operator.goto(f"/console/{path}")
            await _look(operator, found)
        await operator.goto("/console/dead-letters")
        await operator.get_by_role("link", name="Send back…").click()
        await _look(operator, found)
    assert found == []
