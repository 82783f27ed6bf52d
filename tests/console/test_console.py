"""The console in a real browser: sign-in, Opt-Out Management, lost updates, accessibility."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import expect

from tests.builders import LONG_CODE, SHORT_CODE, TOKEN
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

_WRONG = "stop-it-now, this keyword is much too long to be one"


async def test_keywords_are_edited_and_enabled_and_nothing_typed_is_lost(console: Console) -> None:
    page = await console.page()
    await page.get_by_role("link", name=console.name).click()
    await page.get_by_role("link", name="Edit Standard keywords").click()
    await page.get_by_label("Opt-out keywords").fill(_WRONG)
    await page.get_by_label("Opt-out reply").fill("Bye 👋. START to come back.")
    await expect(page.locator("#STOP-count")).to_have_text(
        "26 of 320 characters, UCS-2, 1 SMS segment"
    )
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    keywords = page.get_by_label("Opt-out keywords")
    await expect(keywords).to_have_attribute("aria-invalid", "true")
    await expect(keywords).to_have_value(_WRONG)
    await expect(page.locator("#STOP-keywords-problem")).to_contain_text("34")
    assert console.stored().version == 1
    await keywords.fill("cancel, quit")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    assert console.stored().opt_out.standard["STOP"].keywords == ["stop", "cancel", "quit"]
    assert console.stored().active is None
    await page.get_by_role("link", name="Enable Advanced Opt-Out").click()
    text = await page.locator("main").inner_text()
    assert "Bye" in text
    assert LONG_CODE in text
    assert f"registered for short code {SHORT_CODE}" in text
    await page.get_by_role("button", name="Enable for 2 senders").click()
    await expect(page.get_by_role("status")).to_contain_text("is enabled")
    assert console.stored().active == console.stored().opt_out


async def test_without_javascript_a_language_is_added_and_enabled(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto(console.at)
    form = page.get_by_role("form", name="Add a language")
    await form.get_by_label("Language").select_option("Hebrew")
    await form.get_by_role("button", name="Start from the starter pack").click()
    assert console.stored().opt_out.languages == {}
    await expect(page.get_by_label("Opt-out keywords")).to_have_attribute("dir", "rtl")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    assert set(console.stored().opt_out.languages) == {"he"}
    await page.get_by_role("link", name="Enable Advanced Opt-Out").click()
    await page.get_by_role("button", name="Enable for 2 senders").click()
    await expect(page.get_by_role("status")).to_contain_text("is enabled")
    assert console.stored().active is not None


async def test_a_message_is_tried_under_the_draft_and_what_is_in_force(console: Console) -> None:
    page = await console.page()
    await page.goto(f"{console.at}/edit/countries.FR.languages.fr?pack=1")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("link", name="Try it").click()
    await page.get_by_label("Recipient's country").select_option("FR France")
    await page.get_by_label("Body").fill("ARRET")
    await page.get_by_role("button", name="Try").click()
    outcomes = page.locator(".pair dl")
    await expect(outcomes.nth(0)).to_contain_text("FR: French (fr)")
    await expect(outcomes.nth(0)).to_contain_text("Afterwardsblocked")
    await expect(outcomes.nth(1)).to_contain_text("Not a keyword, but suspected")
    assert await barriers(page) == []
    await page.get_by_label("Body").fill("START")
    await page.get_by_label("blocked already").check()
    await page.get_by_role("button", name="Try").click()
    await expect(outcomes.nth(1)).to_contain_text("Default handling")
    await expect(outcomes.nth(1)).to_contain_text("Afterwardsnot blocked")
    await page.get_by_label("Body").fill("STOP")
    await page.get_by_role("button", name="Try").click()
    await expect(outcomes.nth(1)).to_contain_text(
        "the recipient was blocked already, and got the reply then"
    )


async def test_who_saves_second_is_told_and_keeps_what_was_typed(console: Console) -> None:
    first = await console.page()
    second = await first.context.new_page()
    for page, word in ((first, "adios"), (second, "tschuess")):
        await page.goto(f"{console.at}/edit/standard")
        await page.get_by_label("Opt-out keywords").fill(word)
    for page in (first, second):
        await page.get_by_role("button", name="Save").click()
    await expect(first.get_by_role("status")).to_have_text("Saved.")
    await expect(second.get_by_role("alert")).to_contain_text("Someone else saved meanwhile")
    await expect(second.get_by_role("alert")).to_contain_text("adios")
    await expect(second.get_by_label("Opt-out keywords")).to_have_value("tschuess")
    assert "adios" in console.stored().opt_out.standard["STOP"].keywords
    await second.get_by_role("button", name="Save again").click()
    await expect(second.get_by_role("status")).to_have_text("Saved.")
    assert "tschuess" in console.stored().opt_out.standard["STOP"].keywords


async def test_what_is_not_ones_own_is_refused(console: Console) -> None:
    page = await console.page()
    cookies = {one["name"]: one for one in await page.context.cookies()}
    cookie = cookies["optout_session"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    value = {"optout_session": cookie["value"]}
    async with httpx.AsyncClient(base_url=console.api.base, timeout=60, cookies=value) as client:
        forged = {"csrf": "", "version": "1"}
        refused = await client.post(f"{console.at}/enable", data=forged)
        assert refused.status_code == 403
        assert "default-src 'self'" in refused.headers["content-security-policy"]
        elsewhere = await client.post("/console/sign-in", data={"user": console.account})
        assert elsewhere.status_code == 403
        client.cookies.clear()
        style = await client.get("/console/static/console.css")
        assert "default-src 'self'" in style.headers["content-security-policy"]
        assert style.headers["x-content-type-options"] == "nosniff"
        stranger = await client.get(console.at)
        assert stranger.headers["location"].startswith("/console/sign-in")
    assert console.stored().active is None
    csrf = await page.locator("input[name=csrf]").first.input_value()
    answer = await page.request.post(f"{console.at}/disable", form={"csrf": csrf, "version": "1"})
    assert (answer.status, "Only an operator" in await answer.text()) == (403, True)
    other = await console.page(await console.another_account())
    answer = await other.request.get(console.at)
    assert answer.status == 404
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{console.at}/try?country=FR&body=arret")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("Account sid").fill(console.account)
    await page.get_by_label("Token or secret").fill(TOKEN)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_label("Body")).to_have_value("arret")


async def test_an_operator_disables_after_a_confirmation(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto(f"{console.at}/enable")
    await page.get_by_role("button", name="Enable for 2 senders").click()
    await expect(page.get_by_role("link", name="Edit Standard keywords")).to_be_visible()
    await expect(page.get_by_role("link", name="Disable")).to_have_count(0)
    operator = await console.operator()
    await operator.goto(console.at)
    await operator.get_by_role("link", name="Disable…").click()
    await expect(operator.locator("main")).to_contain_text("default handling answers")
    assert await barriers(operator) == []
    assert console.stored().active is not None
    await operator.get_by_role("button", name="Disable").click()
    await expect(operator.get_by_role("status")).to_contain_text("is disabled")
    assert console.stored().active is None


async def test_services_are_found_by_name_and_shown_by_the_page(console: Console) -> None:
    await console.add_services(*(f"Shop {number:02}" for number in range(60)))
    page = await console.page(java_script=False)
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(50)
    await expect(page.locator("main")).to_contain_text("1 to 50 of 61")
    await page.get_by_role("link", name="Next").click()
    await expect(rows).to_have_count(11)
    await expect(rows.last).to_contain_text("Shop 59")
    await page.get_by_role("link", name="Previous").click()
    await expect(rows.first).to_contain_text(console.name)
    await page.get_by_label("Name or sid").fill("shop 4")
    await page.get_by_role("button", name="Search").click()
    await expect(rows).to_have_count(10)
    operator = await console.operator(java_script=False)
    await operator.get_by_label("Name or sid").fill(console.service[5:])
    await operator.get_by_role("button", name="Search").click()
    row = operator.get_by_role("row").filter(has_text=console.name)
    await expect(row).to_contain_text(f"of {console.account}")
    assert await barriers(await console.page()) == []


async def test_every_page_of_a_service_is_accessible(console: Console) -> None:
    page = await open_page(console.browser, console.api.base)
    await page.goto("/console/sign-in")
    found = await barriers(page)
    await sign_in(page, console.account)
    for path in ("", "/edit/standard", "/edit/languages.he?pack=1", "/enable", "/nowhere"):
        await page.goto(console.at + path)
        found += await barriers(page)
    await page.goto(f"{console.at}/edit/countries.FR.languages.fr")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("alert").wait_for()
    found += await barriers(page)
    for path in ("/senders", "/options"):
        await page.goto(console.at + path)
        found += await barriers(page)
    await page.goto(f"{console.at}/senders")
    await page.get_by_role("link", name="Remove…").first.click()
    assert found + await barriers(page) == []


async def test_the_keyboard_alone_saves(console: Console) -> None:
    page = await console.page()
    await page.goto(f"{console.at}/edit/standard")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    for _ in range(3):  # past the two links above the form
        await page.keyboard.press("Tab")
    await expect(page.get_by_label("Opt-out keywords")).to_be_focused()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("cancel")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    assert console.stored().opt_out.standard["STOP"].keywords == ["stop", "cancel"]
