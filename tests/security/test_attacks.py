"""The attacks of the security review, each played by a tenant or by nobody on real servers.

``two_tenants`` asks before and after each: another tenant's STOP is confirmed, their sends are
judged, their Check answers right.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web

from processor.config import Settings
from tests.application import Told, application
from tests.builders import LONG_CODE, RECIPIENT
from tests.installation import topics_apart, until
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
JSONL = {"Content-Type": "application/x-ndjson"}


def a_status(sid: str, account_sid: str, url: str, **changes: Any) -> dict[str, Any]:
    """What a carrier says of a message to the attacker's handset."""
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
        assert (cause["source"], cause["actor"]) == ("api-import", ATTACKER)
        assert not change["at"].startswith(("2001", "2019"))
        assert not str(change.get("since", "")).startswith("2001")


async def test_a_message_redacted_and_deleted_at_once(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        for _ in range(20):
            form = {"From": LONG_CODE, "To": HANDSET, "Body": "hello"}
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
        taken = await ask("POST", f"{MINE}/IncomingPhoneNumbers.json", data=form)
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
    """Whether an application was told anything."""
    return bool(found)


async def test_what_is_imported_is_never_another_tenants(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        await topics_apart()
        answer = await imported(tenants, {"recipient": RECIPIENT, "blocked": False})
        assert answer.status_code == 202
        await tenants.at.wait_for_no_lag("match")
