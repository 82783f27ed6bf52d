"""The attacks of the security review, each by a tenant or without credentials, on real servers.

``two_tenants`` asks before and after each: another tenant's STOP is confirmed, their sends are
judged, their Check answers right.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web

from processor.config import Settings
from tests.api import OPERATOR_TOKEN, TOKEN
from tests.application import Told, application
from tests.builders import LONG_CODE, RECIPIENT
from tests.installation import topics_apart, until
from tests.integration.test_live_stream import send_form, sign_out, signed_in
from tests.security.tenants import (
    ATTACKER,
    BASE,
    HANDSET,
    MARKER,
    NUMBER,
    TENANT,
    Tenants,
    two_tenants,
)

MINE = f"/2010-04-01/Accounts/{ATTACKER}"
NUMBERS = f"{MINE}/IncomingPhoneNumbers.json"
JSONL = {"Content-Type": "application/x-ndjson"}


def a_status(sid: str, account_sid: str, url: str, **changes: Any) -> dict[str, Any]:
    """A carrier's status of a message to the attacker's handset."""
    return {
        "message_sid": sid,
        "account_sid": account_sid,
        "to": HANDSET,
        "status": "delivered",
        "at": "2026-11-02T12:00:00.000Z",
        "status_callback": url,
    } | changes


async def imported(tenants: Tenants, *rows: dict[str, Any]) -> httpx.Response:
    """Rows that the attacker sends in."""
    body = b"\n".join(map(orjson.dumps, rows))
    return await tenants.attacker.ask("POST", "/v1/OptOuts/Import", content=body, headers=JSONL)


async def test_4_500_blocks_of_one_recipient_in_one_import(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        rows = [{"recipient": HANDSET, "sender": f"N{one}"} for one in range(4_500)]
        answer = await imported(tenants, *rows)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 4_500)
        await tenants.tenant_is_unharmed()
        await tenants.at.wait_for_no_lag("match")
        listed = await tenants.attacker.ask("GET", f"/v1/OptOuts/Blocks/{HANDSET}")
        assert len(listed.json()["blocks"]) == 100


@pytest.mark.parametrize("url", ["http://[", "http://a℀b.com", "https://x:99999/"])
async def test_a_url_that_nobody_can_parse(settings: Settings, url: str) -> None:
    async with two_tenants(settings) as tenants, application() as app:
        form = {"From": LONG_CODE, "To": HANDSET, "Body": "hello", "StatusCallback": url}
        answer = await tenants.attacker.ask("POST", f"{MINE}/Messages.json", data=form)
        assert (answer.status_code, answer.json()["code"]) == (400, 21609)
        # A producer that writes past the API is no more able to.
        await tenants.at.write(
            tenants.at.topics.message_statuses,
            a_status("SMbad", ATTACKER, url),
            a_status("SMgood", TENANT, app.url("/told")),
        )
        await until(lambda: told(app.at("/told")), "callback of the tenant")


async def test_an_import_cannot_say_who_did_it_or_when(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        row = {
            "recipient": HANDSET,
            "source": "console",
            "reason": "asked on the phone (by operator)",
            "actor": "operator",
            "at": "2019-01-01T00:00:00Z",
            "since": "2001-01-01T00:00:00Z",
        }
        assert (await imported(tenants, row)).status_code == 202
        history = f"/v1/OptOuts/Blocks/{HANDSET}/History"

        async def found() -> list[Any]:
            changes: list[Any] = (await tenants.attacker.ask("GET", history)).json()["changes"]
            return changes

        await until(found, "change")
        [change] = await found()
        cause = change["cause"]
        assert (cause["source"], cause["actor"]) == ("import", ATTACKER)
        assert not change["at"].startswith(("2001", "2019"))
        assert not str(change.get("since", "")).startswith("2001")


async def test_a_message_redacted_and_deleted_at_once(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        taken = await tenants.attacker.ask("POST", NUMBERS, data={"PhoneNumber": "+15005550001"})
        assert taken.status_code == 201, taken.text
        for _ in range(20):
            form = {"From": "+15005550001", "To": HANDSET, "Body": "hello"}
            made = await tenants.attacker.ask("POST", f"{MINE}/Messages.json", data=form)
            one = f"{MINE}/Messages/{made.json()['sid']}.json"
            await asyncio.gather(
                tenants.attacker.ask("POST", one, data={"Body": ""}),
                tenants.attacker.ask("DELETE", one),
            )
            status = a_status(made.json()["sid"], ATTACKER, "http://127.0.0.1:9/")
            await tenants.at.write(tenants.at.topics.message_statuses, status)
        theirs = f"{BASE}/Messages/{tenants.message}.json"
        changed = a_status(tenants.message, TENANT, "", status="delivered")
        del changed["status_callback"]
        await tenants.at.write(tenants.at.topics.message_statuses, changed)

        async def advanced() -> bool:
            answer = await tenants.tenant.ask("GET", theirs)
            return bool(answer.json()["status"] == "delivered")

        await until(advanced, "status of the tenant's message")


async def test_another_tenants_number_recorded_pooled_and_sent_from(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        ask = tenants.attacker.ask
        form = {"PhoneNumber": NUMBER}
        taken = await ask("POST", NUMBERS, data=form)
        assert (taken.status_code, taken.json()["code"]) == (400, 21422)
        assert TENANT not in taken.text
        made = await ask("POST", "/v1/Services", data={"FriendlyName": "mine"})
        pool = f"/v1/Services/{made.json()['sid']}/PhoneNumbers"
        refused = await ask("POST", pool, data={"PhoneNumberSid": tenants.number})
        assert refused.status_code in (400, 404)
        form = {"From": NUMBER, "To": RECIPIENT, "Body": "from somebody else's number"}
        sent = await ask("POST", f"{MINE}/Messages.json", data=form)
        assert (sent.status_code, sent.json()["code"]) == (400, 21606)


async def test_a_thousand_rows_that_name_another_tenants_service(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        row = {"recipient": HANDSET, "messaging_service_sid": tenants.service, "scope": "service"}
        answer = await imported(tenants, row, {"recipient": RECIPIENT, "account_sid": TENANT})
        assert (answer.json()["accepted"], answer.json()["refused"]) == (0, 2)
        assert MARKER not in answer.text


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "nobody-knows"])
async def test_an_answer_in_a_charset_that_costs(settings: Settings, charset: str) -> None:
    async def costly(told: Told) -> web.Response:
        body = b"2n7c" + b"b" * 65_000
        return web.Response(body=body, headers={"Content-Type": f"text/plain; charset={charset}"})

    async with two_tenants(settings) as tenants, application() as app:
        app.answers["/costly"] = costly
        statuses = [a_status(f"SM{one}", ATTACKER, app.url("/costly")) for one in range(20)]
        await tenants.at.write(tenants.at.topics.message_statuses, *statuses)
        await until(lambda: told(app.at("/costly")), "call of the attacker's application")
        await tenants.at.write(
            tenants.at.topics.message_statuses, a_status("SMgood", TENANT, app.url("/told"))
        )
        await until(lambda: told(app.at("/told")), "callback of the tenant")


async def told(found: list[Told]) -> bool:
    """Whether an application got any request."""
    return bool(found)


async def test_what_is_imported_is_never_another_tenants(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        await topics_apart()
        answer = await imported(tenants, {"recipient": RECIPIENT, "blocked": False})
        assert answer.status_code == 202
        await tenants.at.wait_for_no_lag("match")


async def test_more_services_numbers_and_messages_than_an_account_may_have(
    settings: Settings,
) -> None:
    few = {"account_services": 2, "account_numbers": 2, "account_messages": 5}
    async with two_tenants(settings, **few) as tenants:
        ask = tenants.attacker.ask
        answers = [
            await ask("POST", "/v1/Services", data={"FriendlyName": f"S{one}"}) for one in range(4)
        ]
        assert [one.status_code for one in answers] == [201, 201, 400, 400]
        numbers = [
            await ask("POST", NUMBERS, data={"PhoneNumber": f"+1500555010{one}"})
            for one in range(4)
        ]
        assert [one.status_code for one in numbers] == [201, 201, 400, 400]
        form = {"From": "+15005550100", "To": HANDSET, "Body": "hello"}
        for _ in range(8):
            assert (await ask("POST", f"{MINE}/Messages.json", data=form)).status_code == 201
        kept = await ask("GET", f"{MINE}/Messages.json")
        assert len(kept.json()["messages"]) == 5


async def test_wrong_passwords_without_end_keep_nobody_else_out(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
        async with httpx.AsyncClient(transport=elsewhere, timeout=60) as attacker:

            async def guess(number: int) -> int:
                user = TENANT if number % 2 else "operator"
                place = f"{tenants.attacker.base}/v1/Services"
                return (await attacker.get(place, auth=(user, f"guess {number}"))).status_code

            guesses = asyncio.gather(*(guess(number) for number in range(130)))
            async with signed_in(tenants.attacker.base, TENANT, TOKEN) as console:
                assert (await console.get("/console")).status_code == 200
            services = await tenants.operator.ask(
                "GET", "/v1/Services", headers={"X-Optout-Account": TENANT}
            )
            assert services.status_code == 200
            assert {401, 429} == set(await guesses)


async def test_a_session_that_was_ended_is_no_credential(settings: Settings) -> None:
    async with (
        two_tenants(settings) as tenants,
        signed_in(tenants.attacker.base, TENANT, TOKEN) as console,
    ):
        stolen = dict(console.cookies)
        await sign_out(console)
        async with httpx.AsyncClient(base_url=tenants.attacker.base, cookies=stolen) as thief:
            assert (await thief.get("/console")).headers["location"].startswith("/console/sign-in")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
    ids=["origin", "fetch metadata"],
)
async def test_a_page_of_another_site_that_writes_with_the_browsers_credentials(
    settings: Settings, headers: dict[str, str]
) -> None:
    async with two_tenants(settings) as tenants:
        before = (await tenants.tenant.ask("GET", "/v1/Services")).json()
        form = {"FriendlyName": "forged"}
        answer = await tenants.tenant.ask("POST", "/v1/Services", data=form, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, 20003)
        assert (await tenants.tenant.ask("GET", "/v1/Services")).json() == before


async def test_a_host_that_nobody_vouches_for_stands_in_no_link(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "javascript"}
        answer = await tenants.tenant.ask("GET", "/v1/Services?PageSize=1", headers=forged)
        assert answer.status_code == 200
        assert "evil.example" not in answer.text
        assert "javascript" not in answer.text


async def test_the_page_of_the_document_runs_nobody_elses_scripts(settings: Settings) -> None:
    async with two_tenants(settings) as tenants, httpx.AsyncClient() as anybody:
        answer = await anybody.get(f"{tenants.attacker.base}/docs")
        assert answer.status_code == 200
        assert "//cdn" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-eval" not in policy


async def test_an_attacker_is_suspended_and_their_block_list_goes_on_holding(
    settings: Settings,
) -> None:
    async with two_tenants(settings) as tenants:
        blocked = {"recipient": HANDSET, "reason": "asked"}
        assert (await tenants.attacker.ask("POST", "/v1/OptOuts/Block", json=blocked)).is_success
        async with signed_in(tenants.attacker.base, "operator", OPERATOR_TOKEN) as console:
            await send_form(console, f"/console/accounts/{ATTACKER}/suspend")
        refused = await tenants.attacker.ask("GET", "/v1/Services")
        assert (refused.status_code, refused.json()["code"]) == (401, 20005)
        listed = await tenants.operator.ask(
            "GET", f"/v1/OptOuts/Blocks/{HANDSET}", headers={"X-Optout-Account": ATTACKER}
        )
        assert listed.json()["blocked"] is True


async def test_four_hundred_requests_that_never_end(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        port = int(tenants.attacker.base.rpartition(":")[2])
        opened = [
            await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.7", 0))
            for _ in range(400)
        ]
        for _, writer in opened:
            with contextlib.suppress(ConnectionError):
                writer.write(b"POST /v1/Services HTTP/1.1\r\nHost: here\r\n")
                await writer.drain()
        await tenants.tenant_is_unharmed()
        for _, writer in opened:
            writer.transport.abort()
