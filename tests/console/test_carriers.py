"""The page of carriers in a real browser: real requests, sends, refusals and a failing provider."""

from __future__ import annotations

import re
import time

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from processor.kafka.writing import Outgoing
from processor.statistics.carrier_figures import ErrorSeen, Figure, State
from processor.wire import carrier_figures
from tests.api import all_running, create_accounts, with_secrets
from tests.application import Application, Told, application
from tests.builders import ACCOUNT, OPERATOR_TOKEN, OTHER_LONG_CODE
from tests.carrier_serving import serving, store, with_carriers
from tests.carriers import a_document, a_request, twilio_text
from tests.clinic import CLINIC, a_send, configure
from tests.conftest import an_installation
from tests.console.browser import barriers, open_page, sign_in
from tests.console.services import Console
from tests.installation import Installation, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs_more]

AT = "/console/carriers"
SENDS = "/2010-04-01/Accounts/AC0000000000000000000000000000000f/Messages.json"
OTHER_NUMBER = "+15557659876"


def refusing(app: Application) -> None:
    """Let the provider refuse one text for good, and fail all others."""

    async def answer(told: Told) -> web.Response:
        if told.fields["Body"] == "bad":
            text = f'{{"code": 21211, "message": "{OTHER_NUMBER} is not a valid number"}}'
            return web.Response(status=400, text=text)
        return web.Response(status=503)

    app.answers[SENDS] = answer


async def says(page: Page, path: str, *patterns: str) -> str:
    """Load a page until its text has every pattern; the text."""
    body = ""

    async def all_said() -> bool:
        nonlocal body
        await page.goto(path)
        body = await page.locator("main").inner_text()
        return all(re.search(one, body) for one in patterns)

    try:
        await until(all_said, "these words", pause_s=1)
    except AssertionError:
        missing = [one for one in patterns if not re.search(one, body)]
        raise AssertionError(f"{path} lacks {missing}: {body}") from None
    return body


async def test_only_an_operator_sees_it(console: Console) -> None:
    page = await console.page()
    await expect(page.get_by_role("link", name="Carriers")).to_have_count(0)
    for path in (AT, f"{AT}/twilio-1"):
        await page.goto(path)
        await expect(page.get_by_text("Only an operator may see the carriers.")).to_be_visible()


async def test_without_carriers_it_says_how_to_store_some(console: Console) -> None:
    page = await console.operator(java_script=False)
    await page.get_by_role("link", name="Carriers").click()
    await expect(page.get_by_text("There are none.")).to_be_visible()
    await expect(page.get_by_text("optout carriers apply carriers.yaml")).to_be_visible()
    assert (await page.goto(f"{AT}/nothing")).status == 404  # type: ignore[union-attr]


async def test_a_carriers_rates_circuit_and_errors_are_shown_without_personal_data(
    servers: None, browser: Browser
) -> None:
    async with an_installation() as made, application() as app:
        settings = with_secrets(with_carriers(made, roles=("match", "gate", "carriers")))
        refusing(app)
        await create_accounts(settings, ACCOUNT)
        await configure(settings, CLINIC)
        fields = {"api_url": app.url(""), "answers": [], "sends_per_second": 20}
        await store(settings, a_document("twilio", **fields))
        async with all_running(settings) as api, serving(settings) as edge:
            await edge.knows("twilio-1")
            page = await open_page(browser, api.base)
            await sign_in(page, "operator", OPERATOR_TOKEN)
            await edge.ask(a_request("twilio", twilio_text("hello")))
            forged = a_request("twilio", twilio_text("forged"), headers={"x-twilio-signature": "x"})
            assert (await edge.ask(forged))[0] == 401
            at = Installation(settings)
            await at.sends(a_send("SMbad", body="bad", to=OTHER_NUMBER))
            await at.wait_for(at.topics.message_statuses, 1)  # before the circuit opens
            await at.sends(*(a_send(f"SM{one}", to=f"+1555765{one:04}") for one in range(12)))
            await says(page, AT, r"twilio-1\s+twilio", "Paused", "at most 1,200")
            body = await says(
                page,
                f"{AT}/twilio-1",
                r"wrong signature or secret \(401\)",
                r"answered 503\s",
                r"rejected by the provider\s+21211",
                r"Messages\s+\d\s+1",
                r"Failed\s+\d\s+1",
                r"1 of 1 worker ask",
            )
            assert OTHER_NUMBER not in body
            assert "5557650" not in body
            assert await barriers(page) == []
            await page.goto(AT)
            await expect(page.locator(".figures")).to_contain_text("Not handed over yet")
            await expect(page.locator(".figures")).to_contain_text("Wait for another try")
            assert await barriers(page) == []


async def write(at: Installation, *figures: Figure) -> None:
    records = map(carrier_figures.write, figures)
    topic = at.topics.carrier_figures
    await at.write_raw(*(Outgoing(topic, key, one, partition=0) for key, one in records))


async def test_every_state_is_named_with_what_to_do(servers: None, browser: Browser) -> None:
    async with an_installation() as made:
        settings = with_secrets(with_carriers(made))
        await create_accounts(settings, ACCOUNT)
        names = ("absent", "closed", "limited", "routes-only", "sends-only", "well")
        senders = [
            {"senders": [f"+1555000{one:04}"], "name": name} for one, name in enumerate(names)
        ]
        await store(settings, *(a_document("twilio", **one) for one in senders))
        async with all_running(settings) as api:
            now_ms = time.time_ns() // 1_000_000
            both = (("inbound", "0" * 8), ("outbound", "1" * 8))
            states = {"closed": State(closed=("auth_token",)), "limited": State(4, at_limit=True)}
            await write(
                Installation(settings),
                *(
                    Figure(name, process, part, now_ms, {}, (), states.get(name, State()))  # type: ignore[arg-type]
                    for name in ("closed", "limited", "well")
                    for part, process in both
                ),
                Figure("routes-only", "0" * 8, "inbound", now_ms, {"accepted": 1}),
                Figure("sends-only", "1" * 8, "outbound", now_ms, {"sent": 1, "new_result": 3}),
            )
            page = await open_page(browser, api.base)
            await sign_in(page, "operator", OPERATOR_TOKEN)
            await says(
                page, AT, r"well\s+twilio\s+Well", "Secret missing", "No worker", "No routes"
            )
            for name, state, advice in (
                ("absent", "Not served", "Start optout carriers"),
                ("closed", "Secret missing", "cannot open auth_token"),
                ("limited", "At its limit", "Sends wait for sends_per_second"),
                ("routes-only", "No worker", "nothing is handed over"),
                ("sends-only", "No routes", "requests are not taken"),
            ):
                await page.goto(AT)
                await page.get_by_role("link", name=name, exact=True).click()
                await expect(page.locator("main .state").first).to_have_text(state)
                await expect(page.locator(".warnings")).to_contain_text(advice)
                assert await barriers(page) == []
            await expect(page.locator("main")).to_contain_text("new_result")


async def test_what_needs_a_person_is_on_the_operators_overview(
    servers: None, browser: Browser
) -> None:
    async with an_installation() as made:
        settings = with_secrets(with_carriers(made))
        await create_accounts(settings, ACCOUNT)
        await store(settings, a_document("twilio"), a_document("telnyx", senders=[OTHER_LONG_CODE]))
        async with all_running(settings) as api:
            now_ms = time.time_ns() // 1_000_000
            error = ErrorSeen("answered 503", None, 9, now_ms)
            paused = Figure(
                "twilio-1",
                "1" * 8,
                "outbound",
                now_ms,
                {"retried": 9},
                (error,),
                State(9, paused=True),
            )
            await write(
                Installation(settings), paused, Figure("telnyx-1", "1" * 8, "inbound", now_ms, {})
            )
            page = await open_page(browser, api.base)
            await sign_in(page, "operator", OPERATOR_TOKEN)
            await says(page, "/console/overview", "Carrier twilio-1 is paused")
            await expect(page.locator("main")).not_to_contain_text("telnyx-1")
            await page.get_by_role("link", name="twilio-1").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="twilio-1")).to_be_visible()
