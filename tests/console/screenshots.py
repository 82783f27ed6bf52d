"""Takes the manuals' pictures of the console into `deploy/screenshots`: `make screenshots`."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from math import pi, sin
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from processor.config import load
from processor.configuration.edits import edit_of_account
from processor.http.backend import Backend
from processor.kafka.topics import topic_admin
from processor.kafka.writing import Outgoing
from processor.statistics.hourly import KEPT_HOURS
from processor.wire.json_values import to_text
from processor.wire.topics import Topics
from tests.api import serving
from tests.builders import (
    ACCOUNT,
    OPERATOR_TOKEN,
    OTHER_RECIPIENT,
    RECIPIENT,
    SERVICE,
)
from tests.clinic import a_send, a_text
from tests.console.browser import browsing, open_page, sign_in
from tests.console.pictured import carriers_at_work, texts_to_review
from tests.console.services import a_count, with_a_service
from tests.installation import Installation, running, until

_FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
_AT = f"/console/services/{SERVICE}"


async def _take() -> None:
    _FOLDER.mkdir(exist_ok=True)
    settings = load().model_copy(
        update={
            "topic_prefix": f"shots{uuid.uuid4().hex[:8]}.",
            "partitions": 1,
            "roles": ("match", "gate", "carriers"),
        }
    )
    await topic_admin.create(settings)
    settings = await with_a_service(settings, created_hours_ago=KEPT_HOURS)
    topics = Topics.under(settings.topic_prefix)
    await Installation(settings).write(topics.opt_out_counts, *_year(), *_week())
    await Installation(settings).write(topics.send_counts, *_sends())
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
        await _shoot(page, f"{_AT}/steps/keywords", "create")
        await _shoot_an_import(page)
        await _shoot_a_recipient(page, Installation(settings))
        await _shoot(page, f"/console/rates?service={SERVICE}&days=2", "rates")
        await _shoot_charts(page, api.backend)
        await page.goto("/console/live")
        await _happen(Installation(settings))
        await page.get_by_text("Failed with 21610").first.wait_for()
        await page.screenshot(path=_FOLDER / "live.png")
        await _shoot_reviews(page, Installation(settings))
        operator = await open_page(browser, api.base, viewport={"width": 1000, "height": 780})
        await sign_in(operator, "operator", OPERATOR_TOKEN)
        await _shoot_dead_letters(operator, Installation(settings))
        await _shoot_carriers(operator, Installation(settings))
        await page.emulate_media(color_scheme="dark")
        await page.set_viewport_size({"width": 390, "height": 780})
        await _shoot(page, _AT, "phone-dark")


async def _shoot_charts(page: Page, backend: Backend) -> None:
    """Take the overview and a month's chart, once every figure is known."""
    before = backend.configuration.accounts.get(ACCOUNT)
    assert before
    week_old = before.model_copy(update={"created_at": before.created_at - timedelta(days=8)})
    await backend.configuration.update(lambda: [edit_of_account(before, week_old)], actor="test")

    async def known() -> bool:
        await page.goto("/console/overview")
        body = await page.locator("main").inner_text()
        return backend.letters.loaded and not re.search("[Nn]ot (known|well)|Still being", body)

    await until(known, "overview whose figures are known")
    await page.screenshot(path=_FOLDER / "overview.png")
    month = time.strftime("%Y-%m", time.gmtime())
    await page.goto(f"/console/charts?service={SERVICE}&period={month}&by=keyword")
    await page.locator("svg .bar").nth(8).hover()
    await page.screenshot(path=_FOLDER / "charts.png")


def _year() -> Iterator[dict[str, Any]]:
    """A year of opt-outs in three languages, before the last week."""
    now_ms = time.time_ns() // 1_000_000
    words = ((None, "stop", 520), ("es", "baja", 90), ("fr", "arrêt", 40))
    for days_ago in range(8, 390):
        for language, keyword, most in words:
            count = 1 + round(most * (1 + sin(days_ago / 9)) * (1 + sin(days_ago / 70)) / 4)
            named = {"language": language, "keyword": keyword, "sender_type": "long_code"}
            yield a_count(now_ms, 24 * days_ago, count, **named)


def _sends() -> Iterator[dict[str, Any]]:
    """A month of sends, with fewer at weekends."""
    now_ms = time.time_ns() // 1_000_000
    for days_ago in range(29):
        count = 9_000 if days_ago % 7 in (1, 2) else 24_000
        for verdict, some in (("allowed", count), ("refused", count // 300)):
            fields = {"account_sid": ACCOUNT, "messaging_service_sid": SERVICE, "verdict": verdict}
            since = to_text(now_ms - days_ago * 86_400_000)
            yield {**fields, "count": some, "since": since, "to": SERVICE}


def _week() -> Iterator[dict[str, Any]]:
    """A week with quiet nights, and an unpopular campaign."""
    now_ms = time.time_ns() // 1_000_000
    for hours_ago in range(1, KEPT_HOURS):
        day = sin(pi * (hours_ago % 24) / 24)
        yield a_count(now_ms, hours_ago, 130 if hours_ago == 5 else 3 + round(30 * day))
        yield a_count(now_ms, hours_ago, 1 + round(6 * day), kind="START", language="es")


async def _happen(at: Installation) -> None:
    """A recipient opts in, opts out again and gets a send; another asks for help."""
    changes = len(await at.records(at.topics.block_changes))
    ayuda = a_text("M3", "ayuda", **{"from": OTHER_RECIPIENT})
    await at.texts(a_text("M1", "start"), a_text("M2", "stop"), ayuda)
    await at.wait_for(at.topics.block_changes, changes + 2)
    await at.sends(a_send("S1"))
    await at.wait_for(at.topics.message_statuses, 1)


async def _shoot_a_recipient(page: Page, at: Installation) -> None:
    texts = [a_text(f"SM{number}", body) for number, body in enumerate(("STOP", "START", "Stop!"))]
    await at.texts(*texts)
    await at.wait_for(at.topics.block_changes, len(texts))
    await page.goto("/console/recipients")
    await page.get_by_label("Number").fill(RECIPIENT)
    await page.get_by_role("button", name="Look up").click()
    await page.get_by_role("region", name="History").wait_for()
    await page.screenshot(path=_FOLDER / "recipient.png", full_page=True)


async def _shoot_an_import(page: Page) -> None:
    rows = ["recipient,reason", f"{RECIPIENT},by phone", f"{OTHER_RECIPIENT},by letter", "five,"]
    await page.goto("/console/recipients/import")
    await page.get_by_label("File", exact=True).set_input_files(
        {"name": "blocked.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}
    )
    await page.get_by_role("button", name="Preview").click()
    await page.get_by_role("heading", name="What happens").wait_for()
    await page.screenshot(path=_FOLDER / "import.png", full_page=True)


async def _shoot_reviews(page: Page, at: Installation) -> None:
    count = await texts_to_review(at)

    async def shown() -> bool:
        await page.goto("/console/review")
        return await page.locator("#texts tbody th").count() == count

    await until(shown, "texts to review")
    await page.screenshot(path=_FOLDER / "review.png", full_page=True)


async def _shoot_carriers(page: Page, at: Installation) -> None:
    await carriers_at_work(at)

    async def shown() -> bool:
        await page.goto("/console/carriers")
        body = await page.locator("main").inner_text()
        return "Paused" in body and "Not handed over yet" in body and "5,220" in body

    await until(shown, "carriers at work", pause_s=0.3)
    await page.screenshot(path=_FOLDER / "carriers.png")


async def _shoot_dead_letters(page: Page, at: Installation) -> None:
    topic, key = at.topics.inbound_messages, RECIPIENT.encode()
    await at.write_raw(*(Outgoing(topic, key, value) for value in (b"null", b"{}", b"null")))
    await at.wait_for_letters(3)
    await _shoot(page, "/console/dead-letters", "dead-letters")


async def _shoot(page: Page, path: str, name: str) -> None:
    await page.goto(path)
    await page.screenshot(path=_FOLDER / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(_take())
