"""The changes of an account's configuration, with actors."""

from __future__ import annotations

import orjson
import pytest

from processor.cli.common import actor
from processor.config import Settings
from tests.api import KEY, OPERATOR_TOKEN, Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT
from tests.integration.conftest import Command


async def test_a_change_names_the_account_the_api_key_or_the_operator_that_made_it(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", KEY)
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    key = orjson.loads((await optout("accounts", "key", ACCOUNT, "--json")).stdout)
    async with serving(settings) as api:
        made = await api.ask("POST", "/v1/Services", data={"FriendlyName": "By the account"})
        path, acting = f"/v1/Services/{made.json()['sid']}", {"X-Optout-Account": ACCOUNT}
        await rename(api.as_(key["sid"], key["secret"]), path, "By its key")
        await rename(api.as_("operator", OPERATOR_TOKEN), path, "By the operator", **acting)
        opt_out = f"/v3/OptOuts/OO{made.json()['sid'][2:]}"
        assert (await api.ask("POST", f"{opt_out}/Enable")).status_code == 200
        found = (await api.ask("GET", "/v1/ConfigurationChanges")).json()["changes"]
    assert [(one["kind"], one["what"], one["actor"]) for one in found] == [
        ("service", "enabled", ACCOUNT),
        ("service", "updated", "operator"),
        ("service", "updated", key["sid"]),
        ("service", "created", ACCOUNT),
        ("account", "updated", actor()),
        ("account", "created", "test"),
    ]


async def rename(api: Api, path: str, name: str, **headers: str) -> None:
    renamed = await api.ask("POST", path, data={"FriendlyName": name}, headers=headers)
    assert (renamed.status_code, renamed.json()["friendly_name"]) == (200, name)
