"""Takes the README's pictures of the console into `deploy/screenshots`: `make screenshots`."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from playwright.async_api import Page

from processor.config import load
from processor.kafka import topic_admin
from tests.api import serving
from tests.builders import RECIPIENT, SERVICE, inbound_record
from tests.console.browser import browsing, open_page, sign_in
from tests.console.services import with_a_service
from tests.installation import Installation, running

_FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
_AT = f"/console/services/{SERVICE}"


async def _take() -> None:
    _FOLDER.mkdir(exist_ok=True)
    settings = load().model_copy(
        update={"topic_prefix": f"shots{uuid.uuid4().hex[:8]}.", "partitions": 1}
    )
    await topic_admin.create(settings)
    settings = await with_a_service(settings)
    async with running(settings), serving(settings) as api, browsing() as browser:
        page = await open_page(browser, api.base, viewport={"width": 1000, "height": 780})
        await sign_in(page)
        for place in ("languages.es", "countries.FR.languages.fr"):
            await page.goto(f"{_AT}/edit/{place}?pack=1")
            await page.get_by_role("button", name="Save").click()
            await page.get_by_role("status").wait_for()
        await _shoot(page, _AT, "opt-out-management")
        await _shoot(page, f"{_AT}/edit/standard", "edit")
        await _shoot(page, f"{_AT}/enable", "enable")
        await _shoot(page, f"{_AT}/try?sender=&country=FR&body=arr%C3%AAt", "try")
        await _shoot(page, f"{_AT}/senders", "senders")
        await _shoot_a_recipient(page, Installation(settings))
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size({"width": 390, "height": 780})
        await _shoot(page, _AT, "phone-dark")


async def _shoot_a_recipient(page: Page, at: Installation) -> None:
    texts = [
        inbound_record(message_sid=f"SM{number}", body=body, from_=RECIPIENT)
        for number, body in enumerate(("STOP", "START", "Stop!"))
    ]
    await at.texts(*texts)
    await at.wait_for(at.topics.block_changes, len(texts))
    await page.goto("/console/recipients")
    await page.get_by_label("Number").fill(RECIPIENT)
    await page.get_by_role("button", name="Look up").click()
    await page.get_by_role("region", name="History").wait_for()
    await page.screenshot(path=_FOLDER / "recipient.png", full_page=True)


async def _shoot(page: Page, path: str, name: str) -> None:
    await page.goto(path)
    await page.screenshot(path=_FOLDER / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(_take())
