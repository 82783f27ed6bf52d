"""The console's numbers, and its import and export of the block list, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from processor.configuration.edits import edit_of_number
from processor.kafka.topics.owned_senders import a_number
from tests.builders import LONG_CODE, RECIPIENT, SHORT_CODE
from tests.console.browser import barriers
from tests.console.services import Console
from tests.installation import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

_FILE = "recipient,blocked,reason\n+15557650001,true,\n+15557650002,false,\nfive,true,\n"


async def _choose(page: Page, name: str, text: str, reason: str = "") -> None:
    await page.goto("/console/recipients")
    await page.get_by_role("link", name="Import and export").click()
    file = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    await page.get_by_label("File", exact=True).set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_label("Reason, for rows").fill(reason)
    await page.get_by_role("button", name="Preview").click()


async def _causes_of(page: Page, number: str) -> str:
    await page.goto("/console/recipients")
    await page.get_by_label("Number").fill(number)
    await page.get_by_role("button", name="Look up").click()
    return await page.locator("main").inner_text()


async def test_a_number_and_a_short_code_are_added_offered_and_removed(console: Console) -> None:
    account = await console.another_account()
    page = await console.page(account, java_script=False)
    await page.get_by_role("link", name="Numbers").click()
    await expect(page.locator("main")).to_contain_text("has no numbers yet")
    address = page.get_by_label("Number or short code")
    for typed, problem in (
        ("five!", "is not a sender"),
        ("Clinic", "A name such as Clinic has no owner"),
        (LONG_CODE, "not available"),
    ):
        await address.fill(typed)
        await page.get_by_role("button", name="Add").click()
        await expect(page.locator("#address-problem")).to_contain_text(problem)
        await expect(address).to_have_value(typed)
    for typed, name in (
        ("+15550108001", "Front desk"),
        ("71005", ""),
        ("whatsapp:+15550108001", ""),
    ):
        await address.fill(typed)
        await page.get_by_label("Country of a short code").select_option("CA")
        await page.get_by_label("Name, if any").fill(name)
        await page.get_by_role("button", name="Add").click()
        await expect(page.get_by_role("status")).to_have_text("Added.")
    await expect(page.get_by_role("row", name="71005")).to_contain_text("short codeCA")
    await expect(page.get_by_role("row", name="Front desk")).to_contain_text("US none")
    await address.fill("71005")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#address-problem")).to_contain_text("recorded already")
    await page.goto("/console/services/new")
    await page.get_by_label("Name").fill("Desk")
    await page.get_by_role("button", name="Create").click()
    assert await page.locator("#free option").count() == 3
    await page.get_by_label("Address").fill("71005")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#free option")).to_have_count(2)
    await page.goto("/console/numbers")
    await page.get_by_role("link", name="Remove… 71005").click()
    await expect(page.locator("main")).to_contain_text("It also leaves service Desk")
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("status")).to_have_text("Removed.")
    stored = console.api.backend.configuration
    [service] = stored.services.of_account(account)
    assert service.head.senders == []
    left = {one.address for one in stored.numbers.of_account(account)}
    assert left == {"+15550108001", "whatsapp:+15550108001"}


async def test_an_operator_adds_a_number_to_an_account(console: Console) -> None:
    account = await console.another_account()
    page = await console.operator(java_script=False)
    await page.goto("/console/numbers")
    await page.get_by_label("Account sid").fill("AC0")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("#account-problem")).to_contain_text("no account with this sid")
    await page.get_by_label("Account sid").fill(account)
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_label("Number or short code").fill("+15550108002")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("status")).to_have_text("Added.")
    [number] = console.api.backend.configuration.numbers.of_account(account)
    assert (number.address, number.granted) == ("+15550108002", True)


async def test_a_number_beyond_the_accounts_limit_is_refused_with_a_sentence(
    console: Console,
) -> None:
    await console.limit(numbers=2)  # the service's pool has two
    page = await console.page(java_script=False)
    await page.goto("/console/numbers")
    await expect(page.get_by_role("row", name=SHORT_CODE).last).to_contain_text(console.name)
    await page.get_by_label("Number or short code").fill("+15550108003")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#address-problem")).to_contain_text("Too many numbers")


async def test_many_numbers_are_searched_and_shown_by_the_page(console: Console) -> None:
    numbers = [a_number(console.account, f"+1555020{index:04}") for index in range(60)]
    await console.api.backend.configuration.update(
        lambda: [edit_of_number(None, one) for one in numbers], actor="test"
    )
    page = await console.page()
    await page.goto("/console/numbers")
    await expect(page.locator("main")).to_contain_text("1 to 50 of 62")
    await page.get_by_role("link", name="Next").click()
    await expect(page.locator("tbody tr")).to_have_count(12)
    await page.get_by_label("Number or name").fill("0200005")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    found = await barriers(page)
    await page.get_by_role("link", name="Remove… +15550200005").click()
    assert found + await barriers(page) == []


async def test_an_import_is_previewed_then_carried_out_once(console: Console) -> None:
    page = await console.page(java_script=False)
    await _choose(page, "blocked.csv", _FILE)
    main = page.locator("main")
    await expect(main).to_contain_text("Nothing is written yet")
    await expect(main).to_contain_text("Import 2 rows?")
    await expect(main).to_contain_text("Line 4: recipient: is not an E.164 number")
    await expect(main).to_contain_text("1 row to unblock without a reason")
    await expect(page.get_by_role("row", name="+15557650001")).to_contain_text("Block")
    form = {
        name: await page.locator(f"main input[name={name}]").input_value()
        for name in ("csrf", "account", "file")
    }
    await page.get_by_role("button", name="Import 2 rows").click()
    await expect(main).to_contain_text("2 rows are on the way")
    answer = await page.request.post("/console/recipients/import/start", form={**form})
    assert answer.status == 200

    async def is_blocked() -> bool:
        return "the whole account" in await _causes_of(page, "+15557650001")

    await until(is_blocked, "an imported block")
    assert "import" in await _causes_of(page, "+15557650001")
    sent = await console.topics.values(console.topics.topics.consent_commands)
    ids = [one["command_id"] for one in sent if one["recipient"].startswith("+1555765000")]
    assert (len(ids), len(set(ids))) == (4, 2)


async def test_json_lines_are_imported_with_a_reason_for_all_rows(console: Console) -> None:
    page = await console.page(java_script=False)
    line = '{"recipient": "+15557650003", "blocked": false}\n'
    await _choose(page, "blocked.jsonl", line, "asked by letter")
    await expect(page.get_by_role("row", name="+15557650003")).to_contain_text("asked by letter")
    assert "without a reason" not in await page.locator("main").inner_text()


async def test_a_file_that_cannot_be_read_is_refused_beside_the_field(console: Console) -> None:
    page = await console.page(java_script=False)
    for text, problem in (
        ("number\n+15557650001\n", "must name a column `recipient`"),
        ("recipient\n" + "+15557650001\n" * 100_000, "larger than 1 MiB"),
        ("", "Choose a file."),
    ):
        await _choose(page, "blocked.csv", text, "kept")
        await expect(page.locator("#file-problem")).to_contain_text(problem)
        await expect(page.get_by_label("Reason, for rows")).to_have_value("kept")
    await _choose(page, "blocked.csv", "recipient\nfive\n")
    await expect(page.locator("main")).to_contain_text("Nothing to import")
    csrf = await page.locator("input[name=csrf]").first.input_value()
    form = {"csrf": csrf, "file": "forged"}
    answer = await page.request.post("/console/recipients/import/start", form={**form})
    assert (answer.status, "Choose the file again" in await answer.text()) == (400, True)


async def test_the_block_list_is_exported_by_its_account_only(
    console: Console, tmp_path: Path
) -> None:
    await console.texts("STOP")
    page = await console.page(java_script=False)

    async def is_blocked() -> bool:
        return "the whole account" in await _causes_of(page, RECIPIENT)

    await until(is_blocked, "a block")
    other = await console.page(await console.another_account(), java_script=False)
    for one, has in ((page, True), (other, False)):
        await one.goto("/console/recipients/import")
        async with one.expect_download() as download:
            await one.get_by_role("button", name="Export CSV").click()
        file = await download.value
        assert file.suggested_filename.startswith("blocked-")
        path = tmp_path / file.suggested_filename
        await file.save_as(path)
        text = path.read_text()
        assert text.startswith("recipient,")
        assert (RECIPIENT in text) is has
    stranger = await other.request.get(f"/console/recipients/export?account={console.account}")
    assert RECIPIENT not in await stranger.text()


async def test_another_accounts_number_and_preview_are_refused(console: Console) -> None:
    page = await console.page(java_script=False)
    await page.goto("/console/numbers")
    remove = page.get_by_role("link", name=f"Remove… {LONG_CODE}")
    path = await remove.get_attribute("href")
    await _choose(page, "blocked.csv", _FILE)
    sealed = await page.locator("main input[name=file]").input_value()
    other = await console.page(await console.another_account(), java_script=False)
    csrf = await other.locator("input[name=csrf]").first.input_value()
    answer = await other.request.get(f"{path}account={console.account}")
    assert answer.status == 404
    form = {"csrf": csrf, "account": console.account}
    answer = await other.request.post(str(path), form={**form})
    assert answer.status == 404
    start = "/console/recipients/import/start"
    answer = await other.request.post(start, form={**form, "file": sealed})
    assert answer.status == 400
    answer = await page.request.post(start, form={**form, "file": sealed})
    assert answer.status == 403  # the token of another session
    assert LONG_CODE in [one.address for one in console.stored().senders]


async def test_the_pages_of_files_and_numbers_are_accessible(console: Console) -> None:
    page, found = await console.page(), []
    for path in ("recipients/import", "numbers"):
        await page.goto(f"/console/{path}")
        found += await barriers(page)
    await page.get_by_label("Number or short code").fill("five!")
    await page.get_by_role("button", name="Add").click()
    found += await barriers(page)
    await _choose(page, "blocked.csv", _FILE)
    await page.get_by_role("heading", name="What happens").wait_for()
    found += await barriers(page)
    await page.get_by_role("button", name="Import 2 rows").click()
    await page.get_by_role("heading", name="Imported").wait_for()
    found += await barriers(page)
    operator = await console.operator()
    for path in ("recipients/import", "numbers", "services/new"):
        await operator.goto(f"/console/{path}")
        found += await barriers(operator)
    assert found == []
