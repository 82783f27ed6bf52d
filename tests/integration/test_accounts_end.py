"""Accounts end: the effects of a suspension and of a deletion, and all that goes on."""

from __future__ import annotations

import orjson
import pytest

from processor.audit import audit
from processor.config import Settings
from processor.kafka.topics import ending, topic_admin
from processor.kafka.topics.configuration_writer import configuration
from tests.api import Api, all_running, create_accounts, serving, with_secrets
from tests.application import a_service, allowing, application, told_at
from tests.builders import (
    ACCOUNT,
    KEY,
    LONG_CODE,
    OPERATOR_TOKEN,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    RECIPIENT,
    TOKEN,
)
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.forms import send_form, signed_in
from tests.installation import Installation, running, until
from tests.integration.conftest import Command

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
ANOTHER = "+15557650001"  # has not opted out


async def ended_in(settings: Settings, sid: str, step: str) -> None:
    """End an account, as the command does."""
    async with configuration(settings) as stored:
        await getattr(ending, step)(stored, sid, actor="cli")


async def verdicts(at: Installation, *sids: str) -> dict[str, int | None]:
    """The error of each send, None if allowed, once the gate has judged them all."""
    found: dict[str, int | None] = {}

    async def are_judged() -> bool:
        allowed = await at.values(at.topics.allowed_sends)
        failed = await at.values(at.topics.message_statuses)
        found.update({one["message_sid"]: None for one in allowed})
        found.update({one["message_sid"]: one["error_code"] for one in failed})
        return set(sids) <= found.keys()

    await until(are_judged, "verdicts")
    return {sid: found[sid] for sid in sids}


async def judged_as(at: Installation, code: int | None, name: str) -> None:
    """Send until the gate knows of the change: the verdict on a send is this error."""
    tried = 0

    async def is_so() -> bool:
        nonlocal tried
        tried += 1
        sid = f"{name}{tried}"
        await at.sends(a_send(sid, to=ANOTHER))
        return (await verdicts(at, sid))[sid] == code

    await until(is_so, f"sends judged as {code}")


async def test_a_suspended_account_stops_at_once_and_its_block_list_goes_on_holding(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    settings = with_secrets(settings)
    at = Installation(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC)
    async with all_running(settings) as api, signed_in(api.base, ACCOUNT, TOKEN) as console:
        assert (await console.get("/console")).status_code == 200
        key = orjson.loads((await optout("accounts", "key", ACCOUNT, "--json")).stdout)
        assert "suspended" in (await optout("accounts", "suspend", ACCOUNT)).stdout

        async def is_told() -> bool:
            answer = await api.ask("GET", "/v1/Services")
            return (answer.status_code, answer.json().get("code")) == (401, 20005)

        await until(is_told, "20005")
        by_key = await api.as_(key["sid"], key["secret"]).ask("GET", "/v1/Services")
        assert by_key.json()["code"] == 20005
        assert (await console.get("/console")).status_code == 303  # to sign in
        operator = api.as_("operator", OPERATOR_TOKEN)
        message = {"To": ANOTHER, "From": LONG_CODE, "Body": "Hello"}
        sent = await operator.ask("POST", f"{BASE}/Messages.json", data=message)
        assert (sent.status_code, sent.json()["code"]) == (400, 30002)
        shown = await operator.ask("GET", f"{BASE}.json")
        assert shown.json()["status"] == "suspended"

        await judged_as(at, 30002, "during")
        await at.sends(a_send("theirs", account_sid=OTHER_ACCOUNT, to=ANOTHER))
        assert await verdicts(at, "theirs") == {"theirs": None}
        # An opt-out still counts and is answered.
        await at.texts(a_text("M1", "stop"))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        assert reply["to"] == RECIPIENT

        await optout("accounts", "resume", ACCOUNT)
        await until(lambda: works(api), "credentials that are good again")
        await judged_as(at, None, "after")
        await at.sends(a_send("blocked"))
        assert await verdicts(at, "blocked") == {"blocked": 21610}
        await at.wait_for_no_lag("gate")
        await at.wait_for_no_lag("match")
    report = await audit(settings)
    assert report.violations == ()
    assert report.counts["verdicts_checked"] >= 4


async def works(api: Api) -> bool:
    return (await api.ask("GET", "/v1/Services")).status_code == 200


async def test_webhooks_of_a_suspended_account_wait_and_go_out_once_it_is_resumed(
    settings: Settings,
) -> None:
    settings = allowing(
        with_secrets(settings),
        webhook_first_delay_s=0.2,
        webhook_longest_delay_s=1.0,
        webhook_attempts=100,
    )
    at = Installation(settings)
    await create_accounts(settings, ACCOUNT)
    async with application() as app, running(settings) as runtime:
        await configure(settings, a_service(app))
        await at.texts(a_text("M1", "hello"))
        await told_at(app, "/inbound", 1)
        await ended_in(settings, ACCOUNT, "suspend")

        async def knows() -> bool:
            return ACCOUNT in runtime.shared.accounts.ended

        await until(knows, "worker that knows of the suspension")
        await at.texts(a_text("M2", "are you there?"))
        await at.wait_for(at.topics.webhook_retries[1], 1)  # a second try, which sends no request
        assert len(app.at("/inbound")) == 1
        await ended_in(settings, ACCOUNT, "resume")
        told = await told_at(app, "/inbound", 2)
        assert [one.message_sid for one in told] == ["M1", "M2"]
        assert await at.records(at.topics.dead_letters) == []


async def test_a_deleted_account_is_closed_for_good_and_who_opted_out_stays_out(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    monkeypatch.setattr(ending, "_AT_ONCE", 2)  # more than one transaction
    settings = with_secrets(settings)
    at = Installation(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC)
    async with all_running(settings) as api:
        for name in ("One", "Two", "Three"):
            await api.ask("POST", "/v1/Services", data={"FriendlyName": name})
        numbers = f"{BASE}/IncomingPhoneNumbers.json"
        await api.ask("POST", numbers, data={"PhoneNumber": OTHER_LONG_CODE})
        key = orjson.loads((await optout("accounts", "key", ACCOUNT, "--json")).stdout)
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)

        wrong = await optout("accounts", "delete", ACCOUNT, "--confirm", OTHER_ACCOUNT, code=2)
        assert "nothing was deleted" in wrong.stderr
        assert await works(api)
        await optout("accounts", "delete", ACCOUNT, given=f"{ACCOUNT}\n")
        listed = (await optout("accounts", "list", "--json")).stdout.splitlines()
        states = {one["sid"]: (one["status"], one["api_keys"]) for one in map(orjson.loads, listed)}
        assert states == {ACCOUNT: ("closed", []), OTHER_ACCOUNT: ("active", [])}
        assert (await optout("services", "list")).stdout == ""
        assert (await optout("numbers", "list")).stdout == ""
        assert "closed for good" in (await optout("accounts", "resume", ACCOUNT, code=2)).stderr
        await optout("accounts", "delete", ACCOUNT, "--confirm", ACCOUNT)  # changes nothing

        async def is_refused() -> bool:
            return not await works(api) and not await works(api.as_(key["sid"], key["secret"]))

        await until(is_refused, "credentials that are gone")
        await judged_as(at, 30002, "during")
        operator = api.as_("operator", OPERATOR_TOKEN)
        acting = {"X-Optout-Account": ACCOUNT}
        late = {"FriendlyName": "Late"}
        added = await operator.ask("POST", "/v1/Services", data=late, headers=acting)
        assert (added.status_code, added.json()["code"]) == (400, 20005)
        body = {"recipients": [RECIPIENT]}
        check = await operator.ask("POST", "/v1/OptOuts/Check", json=body, headers=acting)
        assert [one["allowed"] for one in check.json()["results"]] == [False]
        # Its numbers are free.
        theirs = numbers.replace(ACCOUNT, OTHER_ACCOUNT)
        taken = await api.as_(OTHER_ACCOUNT).ask("POST", theirs, data={"PhoneNumber": LONG_CODE})
        assert taken.status_code == 201
    assert (await audit(settings)).violations == ()


async def test_the_operator_ends_accounts_in_the_console_and_nobody_else_sees_them(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC)
    async with serving(settings) as api:
        page = f"/console/accounts/{ACCOUNT}"
        async with signed_in(api.base, OTHER_ACCOUNT, TOKEN) as tenant:
            for path in ("/console/accounts", f"{page}/suspend", f"{page}/delete"):
                assert (await tenant.get(path)).status_code == 403
                assert ACCOUNT not in (await tenant.get(path)).text
            assert "/console/accounts" not in (await tenant.get("/console")).text
        async with signed_in(api.base, "operator", OPERATOR_TOKEN) as operator:
            accounts = await operator.get("/console/accounts")
            assert ACCOUNT in accounts.text
            assert (await operator.get(f"{page}/rename")).status_code == 404
            assert (await operator.get("/console/accounts/ACnone/suspend")).status_code == 404
            await send_form(operator, f"{page}/suspend")
            assert "suspended" in (await operator.get("/console/accounts")).text
            assert (await api.ask("GET", "/v1/Services")).json()["code"] == 20005
            await send_form(operator, f"{page}/resume")
            assert await works(api)
            wrong = await send_form(operator, f"{page}/delete", confirm="AC")
            assert (wrong.status_code, await works(api)) == (422, True)
            gone = await send_form(operator, f"{page}/delete", confirm=ACCOUNT)
            assert gone.status_code == 303
            assert "closed" in (await operator.get("/console/accounts")).text
            again = await send_form(operator, f"{page}/resume")
            assert (again.status_code, "closed for good" in again.text) == (422, True)
        assert (await api.ask("GET", "/v1/Services")).json()["code"] == 20003
        changes = await Installation(settings).values(api.backend.topics.configuration_changes)
        statuses = [(one["status_after"], one["actor"]) for one in changes if "status_after" in one]
        assert statuses[2:] == [
            ("suspended", "operator"),
            ("active", "operator"),
            ("closed", "operator"),
        ]


async def test_a_gate_that_cannot_read_the_accounts_any_more_goes_on_by_what_it_knew(
    settings: Settings,
) -> None:
    settings = with_secrets(settings, roles=("match", "gate"))
    at = Installation(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with running(settings) as runtime:
        await ended_in(settings, ACCOUNT, "suspend")
        await judged_as(at, 30002, "before")
        async with topic_admin._admin(settings) as admin:
            await admin.delete_topics([at.topics.accounts])

        async def is_old() -> bool:
            return runtime.shared.accounts.topic.age_s > 2.0

        await until(is_old, "follower that receives nothing")
        theirs = a_send("S2", account_sid=OTHER_ACCOUNT, to=ANOTHER)
        await at.sends(a_send("S1", to=ANOTHER), theirs)
        assert await verdicts(at, "S1", "S2") == {"S1": 30002, "S2": None}
