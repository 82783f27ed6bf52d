"""A number belongs to one account: no other account records it, pools it or sends from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from processor.cli.common import actor
from processor.config import Settings
from processor.wire.topics import Topics
from tests.api import Api, create_accounts, serving, with_secrets
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
from tests.clinic import CLINIC, configure
from tests.forms import send_form, signed_in
from tests.installation import Installation, until
from tests.integration.conftest import Command

OTHER = f"/2010-04-01/Accounts/{OTHER_ACCOUNT}"
SHOP = {"account_sid": OTHER_ACCOUNT, "friendly_name": "Shop"}


async def refused(api: Api, path: str, code: int, **form: str) -> str:
    """The message that refuses a form; it names neither number nor account."""
    answer = await api.ask("POST", path, data=form)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert ACCOUNT not in answer.text
    assert LONG_CODE not in answer.text
    return str(answer.json()["message"])


async def made(api: Api, path: str, **form: str) -> dict[str, Any]:
    answer = await api.ask("POST", path, data=form)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_what_stands_in_a_pool_only_is_no_other_accounts(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    settings = with_secrets(settings, api_refuse_blocked=False)  # no worker runs
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC)  # in a pool, and recorded nowhere
    async with serving(settings, user=OTHER_ACCOUNT) as api:
        path = f"{OTHER}/IncomingPhoneNumbers.json"
        said = await refused(api, path, 21422, PhoneNumber=LONG_CODE)
        assert said == "The number is not available: another account has it"
        service = (await made(api, "/v1/Services", FriendlyName="Mine"))["sid"]
        async with signed_in(api.base, OTHER_ACCOUNT, TOKEN) as console:
            page = await send_form(
                console, f"/console/services/{service}/senders", address=LONG_CODE
            )
            assert (page.status_code, "The number is not available" in page.text) == (422, True)
        sends = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
        await refused(api, f"{OTHER}/Messages.json", 21606, **sends)
        file = tmp_path / "services.yaml"
        file.write_text(yaml.safe_dump([SHOP | {"senders": [{"address": LONG_CODE}]}]))
        applied = await optout("services", "apply", str(file), code=2)
        assert (
            "service 1 (Shop): senders.0.address: is not available: another account has this number"
        ) in applied.stderr
        assert await Installation(settings).records(api.backend.topics.numbers) == []
        # Its owner keeps using it, and any account may use an alphanumeric sender.
        mine = api.as_(ACCOUNT)
        base = f"/2010-04-01/Accounts/{ACCOUNT}"
        await made(mine, f"{base}/IncomingPhoneNumbers.json", PhoneNumber=LONG_CODE)
        await made(mine, f"{base}/Messages.json", **sends)
        for one in (mine, api):
            sid = (await made(one, "/v1/Services", FriendlyName="Names"))["sid"]
            await made(one, f"/v1/Services/{sid}/AlphaSenders", AlphaSender="Clinic")


async def test_a_recorded_number_is_no_other_accounts_in_a_file_either(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        path = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
        number = await made(api, f"{path}.json", PhoneNumber=LONG_CODE)
        file = tmp_path / "services.yaml"
        file.write_text(yaml.safe_dump([SHOP | {"senders": [{"address": LONG_CODE}]}]))
        await optout("services", "apply", str(file), code=2)
        assert (await api.ask("DELETE", f"{path}/{number['sid']}.json")).status_code == 204
        await optout("services", "apply", str(file))
        taken = await api.ask("POST", f"{path}.json", data={"PhoneNumber": LONG_CODE})
        assert taken.json()["code"] == 21422


async def test_the_operator_grants_numbers_lists_whose_they_are_and_takes_them_away(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    settings = with_secrets(settings, api_numbers="granted", api_refuse_blocked=False)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    await configure(settings, CLINIC)
    async with serving(settings, user=OTHER_ACCOUNT) as api:
        path = f"{OTHER}/IncomingPhoneNumbers.json"
        assert "must grant it" in await refused(api, path, 21422, PhoneNumber=OTHER_LONG_CODE)
        service = (await made(api, "/v1/Services", FriendlyName="Mine"))["sid"]
        async with signed_in(api.base, OTHER_ACCOUNT, TOKEN) as console:
            pool = f"/console/services/{service}/senders"
            page = await send_form(console, pool, address=OTHER_LONG_CODE)
            assert (page.status_code, "must grant it" in page.text) == (422, True)
        # A number that the operator records for an account is a grant.
        operator = api.as_("operator", OPERATOR_TOKEN)
        assert (await operator.ask("POST", path, data={"PhoneNumber": "+15550109999"})).is_success
        to_other = ("--account-sid", OTHER_ACCOUNT)
        taken = await optout("numbers", "grant", OTHER_LONG_CODE, LONG_CODE, *to_other, code=2)
        assert f"{LONG_CODE}: belongs to {ACCOUNT}" in taken.stderr
        assert "name" in (await optout("numbers", "grant", "Clinic", *to_other, code=2)).stderr
        assert (
            "is not a number" in (await optout("numbers", "grant", "+1", *to_other, code=2)).stderr
        )
        nobody = ("--account-sid", "AC" + "f" * 32)
        assert "no account" in (await optout("numbers", "grant", "12345", *nobody, code=2)).stderr
        await optout("numbers", "grant", OTHER_LONG_CODE, "12345", *to_other)
        await optout("numbers", "grant", OTHER_LONG_CODE, *to_other)
        found = (await optout("numbers", "list", "--json")).stdout.splitlines()
        assert [
            (one["address"], one["account_sid"], one["granted"]) for one in map(orjson.loads, found)
        ] == [
            (LONG_CODE, ACCOUNT, False),
            ("+15550109999", OTHER_ACCOUNT, True),
            (OTHER_LONG_CODE, OTHER_ACCOUNT, True),
            ("12345", OTHER_ACCOUNT, True),
        ]
        # The number belongs to the account anyway; creating it records it.
        granted = await made(api, path, PhoneNumber=OTHER_LONG_CODE, FriendlyName="Desk")
        assert granted["friendly_name"] == "Desk"
        await made(api, f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=granted["sid"])
        sends = {"To": RECIPIENT, "From": OTHER_LONG_CODE, "Body": "Hello"}
        await made(api, f"{OTHER}/Messages.json", **sends)
        await optout("numbers", "revoke", OTHER_LONG_CODE, "12345")
        assert (
            "belongs to no account" in (await optout("numbers", "revoke", "12345", code=2)).stderr
        )

        async def is_empty() -> bool:
            pool = await api.ask("GET", f"/v1/Services/{service}/PhoneNumbers")
            return bool(pool.json()["phone_numbers"] == [])

        await until(is_empty, "pool without the number")
        refusal = await api.ask("POST", f"{OTHER}/Messages.json", data=sends)
        assert refusal.json()["code"] == 21606
        changes = await Installation(settings).values(
            Topics.under(settings.topic_prefix).configuration_changes
        )
        numbers = [(one["what"], one["actor"]) for one in changes if one["kind"] == "number"]
        assert numbers == [
            ("created", "operator"),
            *[("created", actor())] * 2,
            ("updated", OTHER_ACCOUNT),
            *[("deleted", actor())] * 2,
        ]
