"""The console in a real browser: sign-in, Opt-Out Management, lost updates, accessibility."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
from playwright.async_api import expect

from processor.config import Settings
from processor.kafka.configuration import configuration
from processor.wire.configuration import edit_of_service
from schemas.messaging_service import MessagingService
from tests.api import OPERATOR_TOKEN, Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, SERVICE, SHORT_CODE
from tests.console.browser import browsing, open_page, sign_in, violations

_AT = f"/console/services/{SERVICE}"
_REGISTERED = {"HELP": {"keywords": ["help"], "reply": "Clinic alerts. Reply STOP to end."}}
_WRONG = "stop-it-now, this keyword is much too long to be one"


async def _with_a_service(settings: Settings) -> Settings:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    service = MessagingService.model_validate(
        {
            "sid": SERVICE,
            "account_sid": ACCOUNT,
            "friendly_name": "Clinic",
            "senders": [
                {"address": LONG_CODE},
                {"address": SHORT_CODE, "registered": _REGISTERED},
            ],
            "version": 1,
            "updated_at": datetime.now(UTC),
        }
    )
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_service(None, service)], actor="test")
    return settings


def _stored(api: Api) -> MessagingService:
    found = api.backend.configuration.services.get(SERVICE)
    assert found is not None
    return found.whole()


async def test_keywords_are_edited_and_enabled_and_nothing_typed_is_lost(
    settings: Settings,
) -> None:
    settings = await _with_a_service(settings)
    async with serving(settings) as api, browsing() as browser:
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


async def test_without_javascript_a_language_is_added_and_enabled(settings: Settings) -> None:
    settings = await _with_a_service(settings)
    async with serving(settings) as api, browsing() as browser:
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


async def test_who_saves_second_is_told_and_keeps_what_was_typed(settings: Settings) -> None:
    settings = await _with_a_service(settings)
    async with serving(settings) as api, browsing() as browser:
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


async def test_what_is_not_ones_own_is_refused(settings: Settings) -> None:
    settings = await _with_a_service(settings)
    await create_accounts(settings, "AC_other")
    async with serving(settings) as api, browsing() as browser:
        page = await open_page(browser, api.base)
        await sign_in(page)
        cookies = {one["name"]: one for one in await page.context.cookies()}
        cookie = cookies["optout_session"]
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        value = {"optout_session": cookie["value"]}
        async with httpx.AsyncClient(base_url=api.base, timeout=60) as client:
            forged = {"csrf": "", "version": "1"}
            refused = await client.post(f"{_AT}/enable", data=forged, cookies=value)
            assert refused.status_code == 403
            assert "default-src 'self'" in refused.headers["content-security-policy"]
            stranger = await client.get(_AT)
            assert stranger.headers["location"].startswith("/console/sign-in")
            elsewhere = await client.post("/console/sign-in", data={"user": ACCOUNT})
            assert elsewhere.status_code == 403
        assert _stored(api).active is None
        csrf = await page.locator("input[name=csrf]").first.input_value()
        mine = {"csrf": csrf, "version": "1"}
        answer = await page.request.post(f"{_AT}/disable", form=mine)
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
    settings: Settings,
) -> None:
    settings = await _with_a_service(settings)
    async with serving(settings) as api, browsing() as browser:
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


async def test_the_keyboard_alone_saves(settings: Settings) -> None:
    settings = await _with_a_service(settings)
    async with serving(settings) as api, browsing() as browser:
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
