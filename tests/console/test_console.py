"""The console in a real browser: sign-in, Opt-Out Management, lost updates, accessibility."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Browser, expect

from processor.config import Settings
from schemas.messaging_service import MessagingService
from tests.api import OPERATOR_TOKEN, Api, create_accounts, serving
from tests.builders import ACCOUNT, LONG_CODE, SERVICE, SHORT_CODE
from tests.console.browser import open_page, sign_in, violations
from tests.console.services import with_a_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

_AT = f"/console/services/{SERVICE}"
_WRONG = "stop-it-now, this keyword is much too long to be one"


def _stored(api: Api) -> MessagingService:
    found = api.backend.configuration.services.get(SERVICE)
    assert found is not None
    return found.whole()


async def test_keywords_are_edited_and_enabled_and_nothing_typed_is_lost(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base)
        await sign_in(page)
        await page.get_by_role("link", name="Clinic").click()
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
        assert _stored(api).version == 1
        await keywords.fill("cancel, quit")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        assert _stored(api).opt_out.standard["STOP"].keywords == ["stop", "cancel", "quit"]
        assert _stored(api).active is None
        await page.get_by_role("link", name="Enable Advanced Opt-Out").click()
        text = await page.locator("main").inner_text()
        assert "Bye" in text
        assert LONG_CODE in text
        assert f"registered for short code {SHORT_CODE}" in text
        await page.get_by_role("button", name="Enable for 2 senders").click()
        await expect(page.get_by_role("status")).to_contain_text("is enabled")
        assert _stored(api).active == _stored(api).opt_out


async def test_without_javascript_a_language_is_added_and_enabled(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base, java_script_enabled=False)
        await sign_in(page)
        await page.goto(_AT)
        form = page.get_by_role("form", name="Add a language")
        await form.get_by_label("Language").select_option("Hebrew")
        await form.get_by_role("button", name="Start from the starter pack").click()
        assert _stored(api).opt_out.languages == {}
        keywords = page.get_by_label("Opt-out keywords")
        await expect(keywords).to_have_attribute("dir", "rtl")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_have_text("Saved.")
        assert set(_stored(api).opt_out.languages) == {"he"}
        await page.get_by_role("link", name="Enable Advanced Opt-Out").click()
        await page.get_by_role("button", name="Enable for 2 senders").click()
        await expect(page.get_by_role("status")).to_contain_text("is enabled")
        assert _stored(api).active is not None


async def test_a_message_is_tried_under_the_draft_and_what_is_in_force(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base)
        await sign_in(page)
        await page.goto(f"{_AT}/edit/countries.FR.languages.fr?pack=1")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("link", name="Try it").click()
        await page.get_by_label("Recipient's country").select_option("FR")
        await page.get_by_label("Body").fill("ARRET")
        await page.get_by_role("button", name="Try").click()
        outcomes = page.locator(".pair dl")
        await expect(outcomes.nth(0)).to_contain_text("FR: French (fr)")
        await expect(outcomes.nth(0)).to_contain_text("Thenblocked")
        await expect(outcomes.nth(1)).to_contain_text("no keyword")
        assert await violations(page) == []
        await page.get_by_label("Body").fill("START")
        await page.get_by_label("blocked already").check()
        await page.get_by_role("button", name="Try").click()
        await expect(outcomes.nth(1)).to_contain_text("Default handling")
        await expect(outcomes.nth(1)).to_contain_text("Thennot blocked")


async def test_who_saves_second_is_told_and_keeps_what_was_typed(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        first = await open_page(browser, api.base)
        await sign_in(first)
        second = await first.context.new_page()
        for page, word in ((first, "adios"), (second, "tschuess")):
            await page.goto(f"{_AT}/edit/standard")
            await page.get_by_label("Opt-out keywords").fill(word)
        for page in (first, second):
            await page.get_by_role("button", name="Save").click()
        await expect(first.get_by_role("status")).to_have_text("Saved.")
        await expect(second.get_by_role("alert")).to_contain_text("Somebody saved meanwhile")
        await expect(second.get_by_role("alert")).to_contain_text("adios")
        await expect(second.get_by_label("Opt-out keywords")).to_have_value("tschuess")
        assert "adios" in _stored(api).opt_out.standard["STOP"].keywords
        await second.get_by_role("button", name="Save again").click()
        await expect(second.get_by_role("status")).to_have_text("Saved.")
        assert "tschuess" in _stored(api).opt_out.standard["STOP"].keywords


async def test_what_is_not_ones_own_is_refused(settings: Settings, browser: Browser) -> None:
    settings = await with_a_service(settings)
    await create_accounts(settings, "AC_other")
    async with serving(settings) as api:
        page = await open_page(browser, api.base)
        await sign_in(page)
        cookies = {one["name"]: one for one in await page.context.cookies()}
        cookie = cookies["optout_session"]
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        value = {"optout_session": cookie["value"]}
        async with httpx.AsyncClient(base_url=api.base, timeout=60, cookies=value) as client:
            forged = {"csrf": "", "version": "1"}
            refused = await client.post(f"{_AT}/enable", data=forged)
            assert refused.status_code == 403
            assert "default-src 'self'" in refused.headers["content-security-policy"]
            elsewhere = await client.post("/console/sign-in", data={"user": ACCOUNT})
            assert elsewhere.status_code == 403
            client.cookies.clear()
            style = await client.get("/console/static/console.css")
            assert "default-src 'self'" in style.headers["content-security-policy"]
            assert style.headers["x-content-type-options"] == "nosniff"
            stranger = await client.get(_AT)
            assert stranger.headers["location"].startswith("/console/sign-in")
        assert _stored(api).active is None
        csrf = await page.locator("input[name=csrf]").first.input_value()
        answer = await page.request.post(f"{_AT}/disable", form={"csrf": csrf, "version": "1"})
        assert (answer.status, "Only an operator" in await answer.text()) == (403, True)
        other = await open_page(browser, api.base)
        await sign_in(other, "AC_other")
        answer = await other.request.get(_AT)
        assert answer.status == 404
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(_AT)
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        operator = await open_page(browser, api.base)
        await sign_in(operator, "operator", OPERATOR_TOKEN)
        await expect(operator.get_by_role("link", name="Clinic")).to_be_visible()


async def test_every_page_is_accessible_in_light_and_dark_and_on_a_phone(
    settings: Settings, browser: Browser
) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base)
        found: list[str] = []

        async def look() -> None:
            for scheme, width in (("light", 1100), ("dark", 1100), ("light", 360)):
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                await page.set_viewport_size({"width": width, "height": 800})
                found.extend(await violations(page))
                fits = "document.documentElement.scrollWidth <= innerWidth"
                if not await page.evaluate(fits):
                    found.append(f"{page.url}: wider than {width}")

        await page.goto("/console/sign-in")
        await look()
        await sign_in(page)
        await look()
        for path in ("", "/edit/standard", "/edit/languages.he?pack=1", "/enable", "/nowhere"):
            await page.goto(_AT + path)
            if path != "/nowhere":
                await look()
        await page.goto(f"{_AT}/edit/countries.FR.languages.fr")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("alert").wait_for()
        await look()
        assert found == []


async def test_the_keyboard_alone_saves(settings: Settings, browser: Browser) -> None:
    settings = await with_a_service(settings)
    async with serving(settings) as api:
        page = await open_page(browser, api.base)
        await sign_in(page)
        await page.goto(f"{_AT}/edit/standard")
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
        assert _stored(api).opt_out.standard["STOP"].keywords == ["stop", "cancel"]
