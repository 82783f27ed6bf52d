"""`optout up`, as a new user types it: the example, the traffic and the words."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from processor.cli.example_traffic import ACCOUNT
from processor.config import Settings
from processor.kafka.topics.configuration_writer import configuration
from tests.forms import send_form, signed_in
from tests.installation import Installation, until
from tests.processes import started
from tests.upped import DEADLINE_S, UP, login, upped, url_of, variables


async def languages_of_stops(at: Installation) -> Counter[str | None]:
    notifications = await at.values(at.topics.opt_out_notifications)
    return Counter(one["language"] for one in notifications if one["kind"] == "STOP")


async def refused(at: Installation) -> int:
    statuses = await at.values(at.topics.message_statuses)
    return sum(one["error_code"] == 21610 for one in statuses)


async def test_it_stores_three_services_and_plays_traffic_with_something_of_everything(
    settings: Settings, tmp_path: Path
) -> None:
    at = Installation(settings)
    async with upped(variables(settings, tmp_path)) as up:
        await check_what_is_stored(settings)
        await check_the_first_words(up.said)
        await check_the_login(up.said)

        async def all_is_there() -> bool:
            return (
                {"es", "fr", "zh", None} <= set(await languages_of_stops(at))
                and await refused(at) >= 10
                and len(await at.records(at.topics.dead_letters)) == 1
                and len(await at.records(at.topics.opt_out_counts)) >= 10
            )

        await until(all_is_there, "traffic of every kind", DEADLINE_S)
        await check_the_console(up.said)
        changes = await at.values(at.topics.block_changes)
        assert {one["cause"]["source"] for one in changes} >= {"keyword", "operator"}
    await check_a_second_start(settings, tmp_path)


async def check_what_is_stored(settings: Settings) -> None:
    async with configuration(settings) as stored:
        services = {one.friendly_name: one for one in stored.services.all().values()}
        numbers = stored.numbers.of_account(ACCOUNT)
    clinic, parcels, garden = (
        services[name] for name in ("Clinic reminders", "Parcel notices", "Garden club")
    )
    assert clinic.active is not None
    assert clinic.active.standard
    assert clinic.active.languages
    assert clinic.active.countries
    assert {"toll_free", "short_code", "long_code"} <= {number.type for number in numbers}
    assert (parcels.active, garden.active) == (None, None)
    assert parcels.opt_out != garden.opt_out


async def check_the_first_words(said: str) -> None:
    assert "texts STOP " in said
    assert "blocked (account)" in said
    assert "failed: 21610" in said
    assert "\x1b[" not in said  # not a terminal
    assert len(said.splitlines()) <= 45


async def check_the_login(said: str) -> None:
    url = url_of(said)
    async with httpx.AsyncClient() as client:
        user = (ACCOUNT, login(said, ACCOUNT))
        answer = await client.get(f"{url}/v1/Services", auth=user)
        assert len(answer.json()["services"]) == 3
        operator = ("operator", login(said, "operator"))
        named = {"X-Optout-Account": ACCOUNT}
        answer = await client.get(f"{url}/v1/Services", auth=operator, headers=named)
        assert len(answer.json()["services"]) == 3


async def check_the_console(said: str) -> None:
    url = url_of(said)
    recipient = said.partition(" texts ")[0].split()[-1]
    async with signed_in(url, ACCOUNT, login(said, ACCOUNT)) as mine:
        for name in ("Clinic reminders", "Parcel notices", "Garden club"):
            assert name in (await mine.get("/console", follow_redirects=True)).text
        found = await send_form(mine, "/console/recipients", number=recipient)
        page = await mine.get(found.headers["Location"], follow_redirects=True)
        assert "stop" in page.text
        assert "start" in page.text
    async with signed_in(url, "operator", login(said, "operator")) as operator:
        assert "to: missing" in (await operator.get("/console/dead-letters")).text


async def check_a_second_start(settings: Settings, state: Path) -> None:
    async with configuration(settings) as stored:
        before = stored.services.all()
    async with upped(variables(settings, state)) as up:
        assert f"sign in as {ACCOUNT} with " in up.said
    async with configuration(settings) as stored:
        assert stored.services.all() == before


async def test_empty_leaves_the_example_out(settings: Settings, tmp_path: Path) -> None:
    given = variables(settings, tmp_path)
    async with upped(given, "--empty", signum=signal.SIGHUP) as up:
        assert "accounts create" in up.said
        async with httpx.AsyncClient() as client:  # at once, with the address that was printed
            assert (await client.get(f"{url_of(up.said)}/readyz")).status_code == 200
        async with configuration(settings) as stored:
            assert not stored.services.all()
            assert not stored.accounts.all()


async def test_numbers_of_another_account_leave_the_services_out_and_stop_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    other = "AC000000000000000000000000000000ff"
    given = variables(settings, tmp_path)
    key = {"OPTOUT_SECRET_KEYS": os.urandom(32).hex()}
    for arguments in (
        ("accounts", "create", "--sid", other),
        ("numbers", "grant", "+15005550006", "--account-sid", other),
    ):
        async with started((*UP[:3], *arguments), **given, **key) as command:
            assert await command.ends() == 0, command.said
    async with upped(given | key) as up:
        assert "the example's services are left out:" in up.said


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from processor.cli import main

    monkeypatch.setenv("NO_COLOR", no_color)
    with main.make_context("optout", ["settings"]) as context:
        context.color = True
        main.invoke(context)
        assert bool(context.color) is coloured
