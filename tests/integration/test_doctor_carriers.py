"""`optout doctor` on carriers: all well, and each thing that can be wrong with them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from processor.config import Settings
from tests.api import with_secrets
from tests.application import application
from tests.builders import KEY, OTHER_LONG_CODE
from tests.carrier_serving import serving, store, with_carriers
from tests.carriers import SECRETS, a_document
from tests.installation import Installation, running, until
from tests.integration.conftest import Command
from tests.processes import a_port

TOKEN = SECRETS["twilio"]["auth_token"]


class Doctor:
    """The command, and its findings about carriers."""

    def __init__(self, optout: Command) -> None:
        self._optout = optout
        self.fact = ""

    async def finds(self, *arguments: str, code: int = 0) -> dict[bool, list[str]]:
        """The findings, by whether they are wrong."""
        done = await self._optout("doctor", "--json", *arguments, code=code)
        results = {one["check"]: one for one in map(orjson.loads, done.stdout.splitlines())}
        given: dict[str, Any] = results["carriers"]
        self.fact = given["fact"]
        assert TOKEN not in done.stdout
        found: dict[bool, list[str]] = {True: [], False: []}
        for one in given["findings"]:
            found[one["is_wrong"]].append(f"{one['what']}; {one['remedy']}")
        return found


@pytest.fixture
def doctor(optout: Command, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    return Doctor(optout)


async def test_without_carriers_there_is_nothing_to_check(
    settings: Settings, doctor: Doctor
) -> None:
    assert await doctor.finds() == {True: [], False: []}
    assert doctor.fact == "no carrier is stored"


async def test_carriers_that_are_served_are_well(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with application() as app:
        url = app.url("")
        monkeypatch.setenv("OPTOUT_CARRIERS_URL", url)
        mine = with_secrets(with_carriers(settings, roles=("carriers",), carriers_url=url))
        await store(mine, a_document("twilio", api_url=app.url("/api?a=b")))
        async with running(mine), serving(mine) as edge:
            await edge.knows("twilio-1")
            at = Installation(mine)

            async def reported() -> bool:
                figures = await at.values(at.topics.carrier_figures)
                return {one["part"] for one in figures} == {"inbound", "outbound"}

            await until(reported, "figures of both parts")
            for role in ("operator", "carriers"):
                assert await doctor.finds("--role", role) == {True: [], False: []}
            assert doctor.fact == "1 carrier: twilio-1"
        assert {(one.method, one.path) for one in app.told} == {("HEAD", "/")}


async def test_a_carrier_that_nobody_serves_or_reaches_is_named(
    settings: Settings, doctor: Doctor
) -> None:
    port = a_port()
    await store(with_carriers(settings), a_document("twilio", api_url=f"http://127.0.0.1:{port}"))
    found = await doctor.finds(code=1)
    assert found[True] == [
        f"http://127.0.0.1:{port} (twilio-1): no connection; correct `api_url`, or see name servers"
        " and firewalls of this machine",
        "no worker with the role carriers runs, so nothing is handed over; start a worker whose"
        " OPTOUT_ROLES name carriers",
        "no `optout carriers` serves twilio-1; run `optout carriers` behind the address that"
        " providers call; or wait a minute",
    ]
    [note] = found[False]
    assert note.startswith("OPTOUT_CARRIERS_URL is not set")


async def test_secrets_that_are_missing_here_or_in_a_process_are_named(
    settings: Settings, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("C25_AUTH_TOKEN", raising=False)
    async with application() as app:
        mine = with_carriers(settings, roles=("carriers",))
        url = app.url("")
        sealed = a_document("telnyx", api_url=url, senders=[OTHER_LONG_CODE])
        in_variable = a_document("twilio", api_url=url)
        in_variable["variables"] = {"auth_token": "C25_AUTH_TOKEN"}
        await store(mine, in_variable, sealed)
        async with running(mine), serving(mine) as edge:

            async def lacking() -> bool:
                at = Installation(mine)
                return any(one.get("closed") for one in await at.values(at.topics.carrier_figures))

            await until(lacking, "figure of a process without the secret")
            assert edge.backend.view.closed == {"twilio-1": ("auth_token",)}
            found = await doctor.finds(code=1)
            assert found[True] == [
                "carrier twilio-1: a process lacks auth_token; give it to each `optout carriers`"
                " and worker"
            ]
            assert any("auth_token cannot be opened here; set C25_" in one for one in found[False])
            [line] = (await doctor.finds("--role", "carriers", code=1))[True]
            assert line.startswith("carrier twilio-1: auth_token cannot be opened here; set C25_")
            monkeypatch.setenv("C25_AUTH_TOKEN", TOKEN)
            assert (await doctor.finds("--role", "carriers"))[True] == []
            monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY[::-1])
            [line] = (await doctor.finds("--role", "carriers", code=1))[True]
            assert line.startswith("carrier telnyx-1: api_key cannot be opened here; add the key")
