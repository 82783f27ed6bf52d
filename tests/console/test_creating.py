"""The console from an empty account on: a service is created, renamed, copied and deleted."""

from __future__ import annotations

import uuid

import pytest
from playwright.async_api import Locator, Page, expect

from schemas.messaging_service import MessagingService
from tests.builders import SHORT_CODE
from tests.console.browser import barriers
from tests.console.services import Console

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]


def _services(console: Console, account: str) -> list[MessagingService]:
    stored = console.api.backend.configuration.services.of_account(account)
    return sorted((one.whole() for one in stored), key=lambda one: one.friendly_name)


def _main(page: Page) -> Locator:
    return page.locator("main")


def _addresses() -> tuple[str, str, str]:
    """A toll-free number, a short code and a WhatsApp number that no account has."""
    digits = f"{uuid.uuid4().int % 10**7:07}"
    return f"+1800{digits}", f"7{digits}", f"whatsapp:+1555{digits}"


_FORGED = {"csrf": "forged", "version": "1", "name": "x", "confirm": "x"}


async def _add(page: Page, address: str) -> None:
    await page.get_by_label("Address").fill(address)
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("status")).to_have_text("Added.")


@pytest.mark.parametrize("java_script", [False, True])
async def test_a_service_is_created_in_steps_from_an_empty_account(
    console: Console, *, java_script: bool
) -> None:
    account = await console.another_account()
    page = await console.page(account, java_script=java_script)
    await expect(_main(page)).to_contain_text("There is no service yet")
    await _main(page).get_by_role("link", name="Create a service").last.click()
    await page.get_by_label("Name").fill("   ")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("#name-problem")).to_be_visible()
    await page.get_by_label("Name").fill("Appointments")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("status")).to_have_text("Created.")
    toll_free, short_code, whatsapp = _addresses()
    for address in (toll_free, short_code, whatsapp):
        await _add(page, address)
    steps = page.get_by_role("navigation", name="Steps")
    await expect(steps.locator("[aria-current]")).to_have_text("Senders")
    await page.get_by_role("link", name="Next: Keywords").click()
    for language in ("German", "Swedish"):  # both have stopp
        await page.get_by_label(f"{language} ").check()
    await page.get_by_role("button", name="Next: Try it").click()
    await expect(page.get_by_role("alert")).to_contain_text("Swedish (sv), Opt-out keywords")
    beside = await page.context.new_page()
    to_pack = page.get_by_role("link", name="Swedish (sv), Opt-out keywords")
    await beside.goto(str(await to_pack.get_attribute("href")))
    await expect(beside.get_by_role("heading", name="Swedish")).to_be_visible()
    await expect(beside.get_by_label("Opt-out keywords")).not_to_have_value("")
    await expect(page.get_by_label("German ")).to_be_checked()
    await page.get_by_label("Swedish ").uncheck()
    await page.get_by_label("Spanish ").check()
    await page.get_by_role("button", name="Next: Try it").click()
    await page.get_by_label("Texted to").select_option(short_code)
    await page.get_by_label("Body").fill("Baja!")
    await page.get_by_role("button", name="Try").click()
    await expect(page.locator(".pair dl").first).to_contain_text("Spanish (es)")
    await page.get_by_role("link", name="Next: Enable").click()
    await page.get_by_role("button", name="Enable for 3 senders").click()
    await expect(page.get_by_role("status")).to_contain_text("is enabled")
    [made] = _services(console, account)
    assert (made.friendly_name, made.account_sid) == ("Appointments", account)
    assert [one.address for one in made.senders] == [toll_free, short_code, whatsapp]
    assert made.active is not None
    assert set(made.active.languages) == {"de", "es"}
    assert made.active.standard == {}
    await expect(_main(page).get_by_role("link", name="Go through the steps")).to_have_count(0)


async def test_steps_are_left_and_gone_on_with_from_the_services_page(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto(console.at)
    await page.get_by_role("link", name="Go through the steps").click()
    await expect(page.get_by_role("row", name=f"{SHORT_CODE} short")).to_be_visible()
    await page.get_by_role("link", name="Next: Keywords").click()
    await page.get_by_role("button", name="Next: Try it").click()  # without a language
    await page.get_by_role("link", name="Next: Enable").click()
    await page.get_by_role("link", name="Later").click()
    await expect(page.get_by_role("heading", name=console.name)).to_be_visible()
    assert console.stored().version == 1


async def test_removing_a_sender_and_editing_keywords_stay_within_the_steps(
    console: Console,
) -> None:
    page = await console.page(java_script=False)
    steps = page.get_by_role("navigation", name="Steps")
    await page.goto(f"{console.at}/steps/senders")
    for button in ("Cancel", "Remove"):
        await page.get_by_role("link", name=f"Remove… {SHORT_CODE}").click()
        await expect(steps.locator("[aria-current]")).to_have_text("Senders")
        await _main(page).get_by_text(button, exact=True).click()
        await expect(page.get_by_role("heading", name="Senders", exact=True)).to_be_visible()
        await expect(steps).to_be_visible()
    await expect(page.get_by_role("row", name=f"{SHORT_CODE} short")).to_have_count(0)
    await page.get_by_role("link", name="Next: Keywords").click()
    for button in ("Cancel", "Save"):
        await page.get_by_role("link", name="Edit standard keywords").click()
        await expect(steps.locator("[aria-current]")).to_have_text("Keywords")
        await page.get_by_label("Opt-out keywords").fill("stop, adios")
        await _main(page).get_by_text(button, exact=True).click()
        await expect(page.get_by_role("heading", name="Keywords", exact=True)).to_be_visible()
        await expect(steps).to_be_visible()
    await expect(page.get_by_text("adios")).to_be_visible()


async def test_who_chooses_languages_second_is_warned_and_keeps_the_choice(
    console: Console,
) -> None:
    first = await console.page(java_script=False)
    second = await first.context.new_page()
    for page, language in ((first, "French "), (second, "Greek ")):
        await page.goto(f"{console.at}/steps/keywords")
        await page.get_by_label(language).check()
    for page in (first, second):
        await page.get_by_role("button", name="Next: Try it").click()
    await expect(second.get_by_role("alert")).to_contain_text("Someone else saved meanwhile")
    await expect(second.get_by_label("French ")).to_be_disabled()
    await expect(second.get_by_label("Greek ")).to_be_checked()
    await second.get_by_role("button", name="Next: Try it").click()
    await expect(second.get_by_role("heading", name="Try it")).to_be_visible()
    assert set(console.stored().opt_out.languages) == {"fr", "el"}


async def test_an_operator_creates_a_service_for_an_account(console: Console) -> None:
    account = await console.another_account()
    page = await console.operator(java_script=False)
    await page.get_by_role("link", name="Create a service").first.click()
    for typed, problem in (("AC0", "no account with this sid"), (account, "")):
        await page.get_by_label("Account sid").fill(typed)
        await page.get_by_label("Name").fill("Made for you")
        await page.get_by_role("button", name="Create").click()
        if problem:
            await expect(page.locator("#account-problem")).to_contain_text(problem)
    await expect(page.get_by_role("status")).to_have_text("Created.")
    assert [one.friendly_name for one in _services(console, account)] == ["Made for you"]


async def test_a_service_beyond_the_accounts_limit_is_refused_with_a_sentence(
    console: Console,
) -> None:
    await console.limit(services=1)
    page = await console.page(java_script=False)
    for path, button in (("/console/services/new", "Create"), (f"{console.at}/copy", "Copy")):
        await page.goto(path)
        await page.get_by_label("Name").fill("One too many")
        await page.get_by_role("button", name=button).click()
        await expect(page.locator("#name-problem")).to_contain_text("Too many messaging services")
        await expect(page.get_by_label("Name")).to_have_value("One too many")
    assert [one.sid for one in _services(console, console.account)] == [console.service]


async def test_a_service_is_renamed_and_copied_without_its_senders(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto(f"{console.at}/edit/languages.es?pack=1")
    await page.get_by_role("button", name="Save").click()
    await page.goto(f"{console.at}/enable")
    await page.get_by_role("button", name="Enable for 2 senders").click()
    await page.get_by_role("link", name="Rename").click()
    await page.get_by_label("Name").fill("Aardvark")
    await page.get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    await expect(page.get_by_role("heading", name="Aardvark")).to_be_visible()
    await page.get_by_role("link", name="Copy").click()
    await expect(page.get_by_label("Name")).to_have_value("Copy of Aardvark")
    await expect(_main(page)).to_contain_text("has no senders")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("status")).to_have_text("Created.")
    original, copy = _services(console, console.account)
    assert (original.friendly_name, copy.friendly_name) == ("Aardvark", "Copy of Aardvark")
    assert original.active is not None
    assert (copy.active, copy.senders, copy.opt_out.enabled) == (None, [], False)
    assert copy.opt_out.languages == original.opt_out.languages
    stale = await page.context.new_page()
    await stale.goto(f"{console.at}/rename")
    await page.goto(f"{console.at}/rename")
    for one, name in ((page, "First"), (stale, "Second")):
        await one.get_by_label("Name").fill(name)
        await one.get_by_role("button", name="Rename").click()
    await expect(stale.get_by_role("alert")).to_contain_text("Someone else saved meanwhile")
    await expect(stale.get_by_label("Name")).to_have_value("Second")
    assert console.stored().friendly_name == "First"


async def test_a_service_is_deleted_once_its_name_was_typed(console: Console) -> None:
    await console.add_services("Other shop")
    page = await console.page(java_script=False)
    await page.goto(console.at)
    await page.get_by_role("link", name="Delete…").click()
    await expect(_main(page)).to_contain_text("Its senders (2) become free")
    confirm = page.get_by_label("The service's name, to confirm")
    await confirm.fill("clinic")
    await page.get_by_role("button", name="Delete").click()
    await expect(_main(page)).to_contain_text("This is not the service's name.")
    await confirm.fill(console.name)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("status")).to_have_text("Deleted.")
    names = [one.friendly_name for one in _services(console, console.account)]
    assert names == ["Other shop"]
    answer = await page.request.get(console.at)
    assert answer.status == 404


async def test_another_accounts_service_and_a_forged_form_are_refused(console: Console) -> None:
    other = await console.page(await console.another_account())
    for path in ("rename", "copy", "delete", "steps/senders", "steps/keywords"):
        answer = await other.request.get(f"{console.at}/{path}")
        assert (path, answer.status) == (path, 404)
        answer = await other.request.post(f"{console.at}/{path}", form={**_FORGED})
        assert (path, answer.status) == (path, 403)
    answer = await other.request.post("/console/services/new", form={"csrf": "", "name": "x"})
    assert answer.status == 403
    assert console.stored().version == 1


async def test_the_pages_of_a_new_service_are_accessible(console: Console) -> None:
    empty = await console.page(await console.another_account())
    found = await barriers(empty)
    for path in ("/services/new",):
        await empty.goto(f"/console{path}")
        found += await barriers(empty)
    page = await console.page()
    for path in (
        *(f"steps/{step}" for step in ("senders", "keywords", "try", "enable")),
        *("rename", "copy", "delete"),
    ):
        await page.goto(f"{console.at}/{path}")
        found += await barriers(page)
    await page.get_by_label("to confirm").fill("wrong")
    await page.get_by_role("button", name="Delete").click()
    found += await barriers(page)
    await page.goto(f"{console.at}/steps/keywords")
    for language in ("German ", "Swedish "):
        await page.get_by_label(language).check()
    await page.get_by_role("button", name="Next: Try it").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    assert found + await barriers(page) == []


async def test_the_keyboard_alone_creates_a_service(console: Console) -> None:
    page = await console.page()
    await page.goto("/console/services/new")
    await page.get_by_role("link", name="Skip to content").focus()
    await page.keyboard.press("Enter")
    for _ in range(2):  # past the link above the form
        await page.keyboard.press("Tab")
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("Keys")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Created.")
    assert "Keys" in [one.friendly_name for one in _services(console, console.account)]
