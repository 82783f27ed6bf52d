"""The console's pages about people: senders, options, recipients, dead letters."""

from __future__ import annotations

import logging

import pytest
from playwright.async_api import Browser, Page, expect

from processor.config import Settings
from processor.kafka.writing import Outgoing
from tests.api import serving
from tests.builders import LONG_CODE, RECIPIENT, TOLL_FREE
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console, with_a_service
from tests.installation import topics_apart, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


async def _look_up(page: Page, number: str) -> None:
    await page.goto("/console/recipients")
    await page.get_by_label("Number").fill(number)
    await page.get_by_role("button", name="Look up").click()


async def _look_up_until(page: Page, text: str) -> None:
    """Look the recipient up until the page has a text: records take a while."""

    async def shown() -> bool:
        await _look_up(page, RECIPIENT)
        return text in await page.locator("main").inner_text()

    await until(shown, f"{text} on the page")


async def test_a_sender_is_added_beside_its_problems_and_removed(console: Console) -> None:
    await console.add_services("Shop")
    page = await console.page(java_script=False)
    await page.get_by_role("link", name="Shop").click()
    shop = page.url
    address, add = page.get_by_label("Address"), page.get_by_role("button", name="Add")
    await page.goto(f"{console.at}/senders")
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
    await stale.goto(f"{console.at}/senders")
    other = await page.context.new_page()
    await other.goto(f"{shop}/senders")
    await other.get_by_label("Address").fill(TOLL_FREE)
    await other.get_by_role("button", name="Add").click()
    await expect(other.locator("#address-problem")).to_contain_text("another Messaging")
    await page.get_by_role("link", name=f"Remove… {TOLL_FREE}").click()
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("status")).to_have_text("Removed.")
    assert TOLL_FREE not in [one.address for one in console.stored().senders]
    await stale.get_by_label("Address").fill("+15550107777")
    await stale.get_by_role("button", name="Add").click()
    await expect(stale.get_by_role("alert")).to_contain_text("Someone else saved meanwhile")
    await expect(stale.get_by_label("Address")).to_have_value("+15550107777")
    assert "+15550107777" not in [one.address for one in console.stored().senders]


async def test_options_are_part_of_the_draft(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto(console.at)
    await page.get_by_role("link", name="Edit options").click()
    await page.get_by_label("Exact").check()
    await page.get_by_label("YES is a keyword only").check()
    helps = page.get_by_role("group", name="Answer HELP from blocked recipients")
    await helps.get_by_label("short code").check()
    stops = page.get_by_role("group", name="Confirm every STOP")
    await expect(stops.get_by_label("short code")).to_be_checked()
    await stops.get_by_label("RCS").check()
    await page.get_by_label("Most replies of a kind").fill("2")
    await page.get_by_label("is not sent").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    await expect(page.locator(".diff")).to_contain_text("help_when_blocked: none -> short_code")
    await expect(page.locator(".diff")).to_contain_text("reply_limit: 4 -> 2")
    draft = console.stored().opt_out
    assert (draft.match, draft.yes_only_when_blocked) == ("exact", True)
    assert (draft.help_when_blocked, draft.repeat_reply) == (["short_code"], "once")
    assert draft.stop_when_blocked == ["short_code", "rcs"]
    assert (draft.reply_limit, draft.late_reply) == (2, "drop")
    assert console.stored().active is None
    await page.goto(f"{console.at}/edit/standard")
    await page.get_by_label("Opt-out keywords").fill("no more")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#STOP-keywords-problem")).to_contain_text("white space")


async def test_r17_a_brand_is_set_and_counted_in_replies(console: Console) -> None:
    page = await console.page()
    await page.goto(f"{console.at}/options")
    await page.get_by_label("Brand").fill("Acme {x}")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("one line of text without braces")
    await expect(page.get_by_label("Brand")).to_have_value("Acme {x}")
    await page.get_by_label("Brand").fill("Acme")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    assert (console.stored().brand, console.stored().help_contact) == ("Acme", None)
    await page.goto(f"{console.at}/edit/standard")
    await page.get_by_label("Help reply").fill("{brand}: {help_contact}")
    await expect(page.locator("#HELP-count")).to_contain_text("20 of 320 characters")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#HELP-reply-problem")).to_contain_text("has no help_contact")
    await page.get_by_label("Help reply").fill("{brand}: write to us.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    await page.goto(f"{console.at}/options")
    await page.get_by_label("Brand").fill("")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("uses {brand}")


async def test_a_recipient_is_looked_up_blocked_and_unblocked_and_their_history_shown(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="processor")
    [sid] = await console.texts("STOP")
    page = await console.page(java_script=False)
    await _look_up(page, "five")
    await expect(page.locator("#number-problem")).to_contain_text("not a number")
    await _look_up_until(page, "texted “stop”")
    assert RECIPIENT.lstrip("+") not in page.url
    blocks = page.get_by_role("region", name="Blocks in force")
    await expect(blocks).to_contain_text("the whole account")
    await expect(blocks).to_contain_text(sid)
    history = page.get_by_role("region", name="History")
    await expect(history).to_contain_text("texted “stop”")
    await topics_apart()
    await page.get_by_role("link", name="Unblock… the whole account").click()
    await expect(page.locator("main")).to_contain_text("go out again")
    await page.get_by_label("Reason").fill("asked in the shop")
    await page.get_by_role("button", name="Unblock").click()
    await expect(page.get_by_role("status")).to_contain_text("Unblocked")
    await expect(page.locator("main")).to_contain_text("Not blocked")
    await _look_up_until(page, "asked in the shop")  # in force before it is in the history
    await expect(history).to_contain_text(f"asked in the shop, by {console.account}")
    await page.get_by_label("Applies to").select_option("service")
    await page.get_by_role("button", name="Block…").click()
    await expect(page.get_by_role("alert")).to_contain_text("required for scope service")
    await page.get_by_label("Service, for one service").fill(console.name.lower())
    await page.get_by_role("button", name="Block…").click()
    await expect(page.locator("main")).to_contain_text(f"every message of service {console.name}")
    await page.get_by_label("Reason").fill("by phone")
    await page.get_by_role("button", name="Block").click()
    await expect(page.get_by_role("status")).to_contain_text("Blocked")
    await expect(blocks).to_contain_text(f"service {console.name}")
    # Another account sees neither this page nor a block.
    other_account = await console.another_account()
    other = await console.page(other_account)
    assert (await other.request.get(page.url)).status == 404
    foreign = page.url.replace(console.account, other_account)
    assert (await other.request.get(foreign)).status == 404
    names = f"/console/names?account={console.account}"
    assert (await other.request.get(names)).status == 404
    await _look_up(other, RECIPIENT)
    await expect(other.locator("main")).to_contain_text("No changes yet")
    operator = await console.operator()
    await operator.goto("/console/recipients")
    await operator.get_by_label("Account sid").fill(console.account)
    await operator.get_by_label("Number").fill(RECIPIENT)
    await operator.get_by_role("button", name="Look up").click()
    await expect(operator.locator("main")).to_contain_text(f"service {console.name}")
    said = "".join(str(vars(record)) for record in caplog.records if "processor" in record.name)
    assert RECIPIENT not in said


async def test_a_service_among_many_is_named_by_what_one_types(console: Console) -> None:
    await console.add_services(*(f"Shop {number:02}" for number in range(60)), "Twin", "twin")
    page = await console.page()
    await _look_up(page, RECIPIENT)
    offered = page.locator("#services option")
    await expect(offered).to_have_count(50)
    service = page.get_by_label("Service, for one service")
    await service.press_sequentially("shop 5")
    await expect(offered).to_have_count(10)
    await page.get_by_label("Applies to").select_option("service")
    for wrong, why in (
        ("nowhere", "No service has “nowhere”"),
        ("shop 5", "may be Shop 50 (MG"),
        ("twin", "Name one by its sid"),
    ):
        await service.fill(wrong)
        await page.get_by_role("button", name="Block…").click()
        await expect(page.get_by_role("alert")).to_contain_text(why)
        await expect(service).to_have_value(wrong)
    await service.fill("p 51")
    await page.get_by_role("button", name="Block…").click()
    await expect(page.locator("main")).to_contain_text("every message of service Shop 51")


async def test_a_long_history_has_pages(console: Console) -> None:
    sids = await console.texts(*["STOP", "START"] * 15)
    page = await console.page(java_script=False)
    await _look_up_until(page, sids[-1])
    rows = page.get_by_role("region", name="History").locator("tbody tr")
    await expect(rows).to_have_count(25)
    await expect(rows.first).to_contain_text(sids[-1])
    await page.get_by_role("link", name="Older").click()
    await expect(rows).to_have_count(5)
    await expect(rows.last).to_contain_text(sids[0])
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


async def test_a_dead_letter_is_sent_back_once_and_by_an_operator_only(console: Console) -> None:
    at, key = console.topics, RECIPIENT.encode()
    topic = at.topics.inbound_messages
    bad = [Outgoing(topic, key, value) for value in (b"null", b"[", b"null")]
    await at.write_raw(*bad)
    await at.wait_for_letters(3)
    page = await console.page(java_script=False)
    assert await page.get_by_role("link", name="Dead letters").count() == 0
    for path in ("", "/redrive"):
        answer = await page.request.get(f"/console/dead-letters{path}")
        assert (answer.status, "Only an operator" in await answer.text()) == (403, True)
    csrf = await page.locator("input[name=csrf]").first.input_value()
    answer = await page.request.post("/console/dead-letters/redrive", form={"csrf": csrf})
    assert answer.status == 403
    operator = await console.operator(java_script=False)
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
    there = [one for one in await at.records(topic) if one.value in (b"null", b"[")]
    assert len(there) == 5
    await operator.goto("/console/dead-letters")
    await expect(operator.locator("main")).to_contain_text("5 in all, 3 not sent back")
    looking = await console.operator()
    await looking.goto("/console/dead-letters")
    found = await barriers(looking)
    await looking.get_by_role("link", name="Send back…").first.click()
    assert found + await barriers(looking) == []


async def test_an_account_is_deleted_once_its_sid_was_typed(console: Console) -> None:
    operator = await console.operator(java_script=False)
    await operator.get_by_role("link", name="Accounts").click()
    mine = f"/console/accounts?named={console.account}"
    await operator.goto(mine)
    row = operator.get_by_role("region", name="Accounts").get_by_role("row", name=console.account)
    await expect(row).to_contain_text("active")
    await row.get_by_role("link", name="Delete…").click()
    await expect(operator.locator("main")).to_contain_text("services (1) and numbers (2)")
    field = operator.get_by_label("The account's sid, to confirm")
    await field.fill("AC1")
    await operator.get_by_role("button", name="Delete").click()
    await expect(operator.locator("main")).to_contain_text("This is not the account's sid.")
    await field.fill(console.account)
    await operator.get_by_role("button", name="Delete").click()
    await expect(operator.get_by_role("status")).to_contain_text("the account is closed")
    await operator.goto(mine)
    await expect(row).to_contain_text("closed")
    assert await row.get_by_role("link").filter(has_text="…").count() == 0


async def test_the_pages_of_accounts_are_accessible(console: Console) -> None:
    looking, found = await console.operator(), []
    for path in ("", f"/{console.account}/suspend", f"/{console.account}/delete"):
        await looking.goto(f"/console/accounts{path}")
        found += await barriers(looking)
    assert found == []


async def test_the_pages_of_a_recipient_are_accessible(console: Console) -> None:
    await console.texts("STOP")
    page = await console.page()
    await _look_up(page, "five")
    found = await barriers(page)
    await _look_up_until(page, "texted “stop”")
    found += await barriers(page)
    await topics_apart()
    await page.get_by_role("link", name="Unblock…").click()
    found += await barriers(page)
    # With the keyboard alone: past the two links above the form.
    await page.get_by_label("Reason").focus()
    await page.keyboard.type("asked")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Unblocked")
    operator = await console.operator()
    await operator.goto("/console/recipients")
    assert found + await barriers(operator) == []
