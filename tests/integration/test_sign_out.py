"""Signing out ends a session in every process; without Redis no session is trusted."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from processor.config import Settings
from tests.api import TOKEN, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT
from tests.installation import DEADLINE_S, until
from tests.integration.test_live_stream import send_form, signed_in
from tests.switch import switch


async def shown(base: str, cookies: httpx.Cookies) -> int:
    """The status of the first page with a user's cookies."""
    async with httpx.AsyncClient(base_url=base, cookies=cookies, timeout=DEADLINE_S) as client:
        return (await client.get("/console")).status_code


def csrf_of(page: httpx.Response) -> str:
    """The fields that the forms of a page must send."""
    assert page.status_code == 200
    return page.text.partition('name="csrf" value="')[2].partition('"')[0]


async def test_a_cookie_is_worth_nothing_anywhere_once_its_user_signed_out(
    settings: Settings, written: list[str]
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with (
        serving(settings) as here,
        serving(settings) as there,
        signed_in(here.base, ACCOUNT, TOKEN) as client,
    ):
        stolen = httpx.Cookies(client.cookies)
        assert [await shown(api.base, stolen) for api in (here, there)] == [200, 200]
        async with signed_in(there.base, ACCOUNT, TOKEN) as other:
            csrf = csrf_of(await client.get("/console"))
            out = await client.post("/console/sign-out", data={"csrf": csrf})
            assert out.headers["location"].endswith("/sign-in?said=signed-out")
            assert [await shown(api.base, stolen) for api in (here, there)] == [303, 303]
            assert await shown(here.base, other.cookies) == 200
    [first, _] = [line for line in written if "auth.signed_in" in line]
    assert f"account={ACCOUNT} actor={ACCOUNT} address=127.0.0.1" in first
    assert TOKEN not in "".join(written)


async def test_while_redis_is_away_nobody_is_believed_and_everybody_hears_why(
    settings: Settings,
) -> None:
    port = urlsplit(settings.redis_url).port
    assert port
    async with switch(port) as redis:
        settings = with_secrets(
            settings, redis_url=f"redis://127.0.0.1:{redis.port}/0", redis_timeout_s=0.5
        )
        await create_accounts(settings, ACCOUNT)
        async with serving(settings) as api, signed_in(api.base, ACCOUNT, TOKEN) as client:
            csrf = csrf_of(await client.get("/console"))
            redis.lead_to(None)
            assert (await client.get("/console")).status_code == 503
            out = await client.post("/console/sign-out", data={"csrf": csrf})
            assert out.status_code == 503
            async with httpx.AsyncClient(base_url=api.base, timeout=DEADLINE_S) as stranger:
                into = await send_form(stranger, "/console/sign-in", user=ACCOUNT, token=TOKEN)
                assert into.status_code == 503
                assert "Redis does not answer" in into.text
                assert "optout_session" not in stranger.cookies
            redis.lead_to(port)

            async def is_back() -> bool:
                return (await client.get("/console")).status_code == 200

            await until(is_back, "session that is believed again")
            assert (await client.post("/console/sign-out", data={"csrf": csrf})).status_code == 303
            assert (await client.get("/console")).status_code == 303
