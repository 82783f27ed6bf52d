"""Who may ask, and what those hear who may not."""

from __future__ import annotations

import signal
import sys

import httpx
import orjson
import pytest

from processor.config import Settings
from tests.api import (
    KEY,
    OPERATOR_TOKEN,
    TOKEN,
    Api,
    create_accounts,
    serving,
    with_secrets,
)
from tests.builders import ACCOUNT, OTHER_ACCOUNT
from tests.installation import Installation, until
from tests.integration.conftest import Command
from tests.integration.test_worker_process import environment, started


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
    assert "OPTOUT_SECRET_KEY: not set" in without.stderr
    monkeypatch.setenv("OPTOUT_SECRET_KEY", KEY)
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
    mine = environment(settings) | {"OPTOUT_OPERATOR_TOKEN": OPERATOR_TOKEN}
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
