"""Authentication: which callers may use the API, and the answers to all others."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from itertools import count

import httpx
import orjson
import pytest
from pydantic import SecretStr

from processor.config import Settings
from tests.api import Api, all_running, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, KEY, OPERATOR_TOKEN, OTHER_ACCOUNT, TOKEN
from tests.forms import send_form, signed_in
from tests.installation import Installation, until
from tests.integration.conftest import Command
from tests.processes import environment, started


async def test_nobody_we_know_hears_20003(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT, token=TOKEN)
    async with serving(settings) as api:
        for user, password in (
            (ACCOUNT, "wrong"),
            ("AC" + "f" * 32, TOKEN),
            ("operator", "wrong"),
            ("", ""),
        ):
            refused = await api.as_(user, password).ask("GET", "/v1/Services")
            assert (refused.status_code, refused.json()) == (
                401,
                {
                    "code": 20003,
                    "message": "Authentication Error - invalid username",
                    "detail": "Your AccountSid or AuthToken was incorrect.",
                    "more_info": "https://www.twilio.com/docs/errors/20003",
                    "status": 401,
                },
            )
            assert refused.headers["www-authenticate"].startswith("Basic")
        async with httpx.AsyncClient() as client:
            without = await client.get(f"{api.base}/v1/Services")
            bearer = await client.get(
                f"{api.base}/v1/Services", headers={"Authorization": "Bearer x"}
            )
            live = await client.get(f"{api.base}/livez")
            pages = await client.get(f"{api.base}/openapi.json")
        assert (without.status_code, bearer.status_code) == (401, 401)
        assert (live.status_code, pages.status_code) == (200, 200)
        unknown = await api.ask("GET", "/v1/Nothing")
        assert (unknown.status_code, unknown.json()["code"]) == (404, 20404)


async def test_accounts_are_made_listed_rotated_and_given_keys_by_commands(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = await optout("accounts", "create", code=2)
    assert "OPTOUT_SECRET_KEYS: not set" in without.stderr
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    made = orjson.loads((await optout("accounts", "create", "--json")).stdout)
    sid, token = made["sid"], made["token"]
    again = await optout("accounts", "create", "--sid", sid, code=2)
    assert "exists" in again.stderr
    key = orjson.loads((await optout("accounts", "key", sid, "--json")).stdout)
    async with serving(with_secrets(settings), user=sid, password=token) as api:
        by_key = api.as_(key["sid"], key["secret"])
        assert await can(api)
        assert await can(by_key)
        assert not await can(api.as_(key["sid"], token))
        assert api.backend.configuration.accounts.token_of(sid) == token
        new = orjson.loads((await optout("accounts", "rotate", sid, "--json")).stdout)["token"]

        async def refused() -> bool:
            return not await can(api)

        await until(refused, "token that is refused")
        assert await can(api.as_(sid, new))
        assert api.backend.configuration.accounts.token_of(sid) == new
        listed = orjson.loads((await optout("accounts", "list", "--json")).stdout)
        assert (listed["sid"], listed["api_keys"]) == (sid, [key["sid"]])
        await optout("accounts", "key", sid, "--remove", key["sid"])

        async def removed() -> bool:
            return not await can(by_key)

        await until(removed, "key that is refused")
    at = Installation(settings)
    for topic in (at.topics.accounts, at.topics.configuration_changes):
        for record in await at.records(topic):
            for secret in (token, new, key["secret"]):
                assert secret.encode() not in record.value


async def test_a_token_that_a_person_chose_comes_by_standard_input(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    short = await optout("accounts", "create", "--token", "-", given="short\n", code=2)
    assert "--token: must have 16 to 128 characters" in short.stderr
    chosen = "chosen by a person"
    said = await optout("accounts", "create", "--token", "-", "--json", given=f"{chosen}\n")
    made = orjson.loads(said.stdout)
    assert made["token"] == chosen
    async with serving(with_secrets(settings), user=made["sid"], password=chosen) as api:
        assert await can(api)
        account = api.backend.configuration.accounts.get(made["sid"])
        assert account
        assert account.token_mac is None  # only a slow hash protects a token that may be guessed


async def test_a_flood_of_wrong_passwords_keeps_no_first_login_from_elsewhere_out(
    settings: Settings, written: list[str]
) -> None:
    operators = SecretStr("jane:a token of jane's")
    settings = with_secrets(settings, operator_tokens=operators)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        answers: Counter[int] = Counter()
        # The attacker has an address of its own: all of 127.0.0.0/8 is this machine's.
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.9", limits=httpx.Limits())
        over = asyncio.Event()

        async def attack(client: httpx.AsyncClient, number: int) -> None:
            while not over.is_set():
                guess = next(guesses)
                user = ("operator/jane", ACCOUNT, f"AC{number:032}")[guess % 3]
                try:
                    refused = await client.get("/v1/Services", auth=(user, f"wrong {guess}"))
                except httpx.ReadError:  # sent on a connection that had been idle for too long
                    continue
                answers[refused.status_code] += 1
                last[refused.status_code] = refused

        last: dict[int, httpx.Response] = {}
        guesses = count()
        async with httpx.AsyncClient(base_url=api.base, transport=elsewhere, timeout=60) as client:
            attackers = [asyncio.create_task(attack(client, number)) for number in range(10, 60)]

            async def is_flooded() -> bool:
                return answers[429] >= 200

            await until(is_flooded, "flood")
            jane = api.as_("operator/jane", "a token of jane's")
            hers = await jane.ask("GET", "/v1/Services", headers={"X-Optout-Account": ACCOUNT})
            assert hers.status_code == 200, hers.text
            assert await can(api)
            async with signed_in(api.base, "operator/jane", "a token of jane's") as console:
                assert (await console.get("/console/dead-letters")).status_code == 200
            over.set()
            await asyncio.gather(*attackers)

            async def failed_once_more() -> bool:  # and so cannot try again for three seconds
                refused = await client.get("/v1/Services", auth=(ACCOUNT, f"wrong {next(guesses)}"))
                answers[refused.status_code] += 1
                return refused.status_code == 401

            await until(failed_once_more, "failure that is allowed again")
            page = await send_form(client, "/console/sign-in", user=ACCOUNT, token="wrong again")
            assert page.status_code == 429
            assert "Try again in a few seconds" in page.text
            assert int(page.headers["retry-after"]) >= 1
            mine = await client.get("/v1/Services", auth=("operator/jane", "a token of jane's"))
            assert mine.status_code == 429  # from there even the right token is refused
            metrics = (await api.ask("GET", "/metrics")).text
        assert 20 <= answers[401] < 60  # and one more every three seconds
        assert set(answers) == {401, 429}
        assert last[429].json()["code"] == 20429
        assert int(last[429].headers["retry-after"]) >= 1
        assert f'optout_logins_refused_total{{why="credentials"}} {answers[401]}.0' in metrics
        assert f'optout_logins_refused_total{{why="limited"}} {answers[429] + 2}.0' in metrics
    told = [line for line in written if "auth.refused" in line]
    assert len(told) == answers[401]
    assert all("address=127.0.0.9" in line and "wrong" not in line for line in told)


async def test_an_operator_who_mistypes_an_account_hears_404(settings: Settings) -> None:
    settings = with_secrets(settings)
    async with serving(settings) as api:
        operator = api.as_("operator", OPERATOR_TOKEN)

        async def status(account: str) -> int:
            named = {"X-Optout-Account": account}
            answer = await operator.ask("GET", "/v1/Services", headers=named)
            if answer.status_code == 404:
                assert answer.json()["code"] == 20404
            return answer.status_code

        assert await status("AC1") == 200  # an installation without accounts accepts any
        made = await operator.ask(
            "POST",
            "/v1/Services",
            data={"FriendlyName": "One"},
            headers={"X-Optout-Account": "AC1"},
        )
        assert made.status_code == 201
        await create_accounts(settings, ACCOUNT)

        async def known() -> bool:
            return await status(ACCOUNT) == 200 and await status("AC2") == 404

        await until(known, "account that exists, and an account that does not")
        assert await status("AC1") == 200  # it has a service
        assert (await api.ask("GET", "/v1/Services")).status_code == 200


async def test_who_exports_and_who_sends_back_leaves_a_trace(
    settings: Settings, written: list[str]
) -> None:
    settings = with_secrets(settings, operator_tokens=SecretStr("jane:a token of jane's"))
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        assert (await api.ask("GET", "/v1/OptOuts/Export")).status_code == 200
        async with signed_in(api.base, "operator/jane", "a token of jane's") as console:
            back = await send_form(console, "/console/dead-letters/redrive")
            assert back.status_code == 303, back.text
    [exported] = [line for line in written if "blocks.exported" in line]
    assert f"account={ACCOUNT} actor={ACCOUNT} address=127.0.0.1" in exported
    [redriven] = [line for line in written if "dead_letters.redriven" in line]
    assert "actor=operator/jane address=127.0.0.1 sent=0" in redriven


async def can(api: Api) -> bool:
    return (await api.ask("GET", "/v1/Services")).status_code == 200


async def test_one_too_many_hears_20429(settings: Settings) -> None:
    settings = with_secrets(settings, api_rate=0.5)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        answers = [await api.ask("GET", "/v1/Services") for _ in range(3)]
        assert [answer.status_code for answer in answers][:1] == [200]
        assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, 20429)
        assert answers[-1].headers["retry-after"] in ("1", "2")  # a request takes two seconds
        assert await can(api.as_(OTHER_ACCOUNT))  # each has its own


async def test_each_process_has_a_port_of_its_own_and_ends_on_sigterm(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    mine = environment(settings) | {"OPTOUT_OPERATOR_TOKENS": OPERATOR_TOKEN}
    command = (sys.executable, "-m", "processor", "api")
    async with started(command, **mine) as one, started(command, **mine) as other:
        bases = []
        for process in (one, other):
            await process.says("API at http://")
            bases.append(process.said.partition("API at ")[2].split()[0])
        assert len(set(bases)) == 2
        apis = [Api(base, None, ACCOUNT, TOKEN) for base in bases]
        for api in apis:

            async def ready(api: Api = api) -> bool:
                try:
                    return (await api.ask("GET", "/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await until(ready, "API that is ready")
        form = {"FriendlyName": "One"}
        assert (await apis[0].ask("POST", "/v1/Services", data=form)).status_code == 201
        assert [await process.ends(signal.SIGTERM) for process in (one, other)] == [0, 0]
    for process in (one, other):
        assert "Traceback" not in process.said


async def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(
    settings: Settings,
) -> None:
    async with serving(with_secrets(settings)) as api:
        await api.ask("GET", "/v1/Services/MG00000000000000000000000000000001")
        await api.ask("GET", "/nowhere/+15550000001")
        said = (await api.ask("GET", "/metrics")).text
    found = 'optout_api_request_seconds_count{method="GET",route="/v1/Services/{sid}",status="4xx"}'
    assert f"{found} 1.0" in said
    nobodys = 'optout_api_request_seconds_count{method="none",route="none",status="4xx"}'
    assert f"{nobodys} 1.0" in said
    assert "+15550000001" not in said
