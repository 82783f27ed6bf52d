"""Secret keys rotate while webhooks are delivered, and no webhook goes out unsigned."""

from __future__ import annotations

import orjson
import pytest
from pydantic import SecretStr
from twilio.request_validator import RequestValidator

from processor.config import Settings
from processor.wire.credentials import key_id
from tests.api import create_accounts, with_secrets
from tests.application import SHOP_NUMBER, a_service, a_shop, allowing, application, told_at
from tests.builders import ACCOUNT, KEY, OTHER_ACCOUNT, TOKEN
from tests.clinic import a_text, configure
from tests.installation import Installation, running, until
from tests.integration.conftest import Command

NEW_KEY = "fedcba9876543210" * 4
OLD, NEW = (key_id(bytes.fromhex(key)) for key in (KEY, NEW_KEY))


async def test_what_cannot_be_signed_waits_until_a_worker_has_the_key(settings: Settings) -> None:
    settings = allowing(settings, webhook_attempts=1)
    await create_accounts(with_secrets(settings), ACCOUNT)
    await create_accounts(
        with_secrets(settings, secret_keys=SecretStr(NEW_KEY)), OTHER_ACCOUNT, token="b" * 32
    )
    at = Installation(settings)
    async with application() as app:
        shop = a_shop(app, "/shop", account_sid=OTHER_ACCOUNT)
        await configure(settings, a_service(app), shop)
        new = settings.model_copy(update={"secret_keys": SecretStr(NEW_KEY)})
        async with running(new) as worker:
            await at.texts(a_text("M1", "hello"))
            await at.texts(a_text("M2", "hello", to=SHOP_NUMBER, account_sid=OTHER_ACCOUNT))
            [told] = await told_at(app, "/shop", 1)  # one account's key holds up no other
            assert RequestValidator("b" * 32).validate(
                told.url, told.fields, told.headers["X-Twilio-Signature"]
            )

            async def tried_again() -> bool:
                return worker.shared.webhook_counts["failed.sealed"] >= 3

            await until(tried_again, "third try")
            [reason] = [one for one in worker.unready() if "OPTOUT_SECRET_KEYS" in one]
            assert ACCOUNT in reason
            assert OLD in reason
            assert OTHER_ACCOUNT not in reason
            assert TOKEN not in reason
        assert app.at("/inbound") == []
        assert await at.records(at.topics.dead_letters) == []
        both = settings.model_copy(update={"secret_keys": SecretStr(f"{NEW_KEY},{KEY}")})
        async with running(both) as worker:
            [told, *repeats] = await told_at(app, "/inbound", 1)
            token = "I-Twilio-Idempotency-Token"
            assert {one.headers[token] for one in repeats} <= {told.headers[token]}
            assert not [one for one in worker.unready() if "OPTOUT_SECRET_KEYS" in one]
        assert RequestValidator(TOKEN).validate(
            told.url, told.fields, told.headers["X-Twilio-Signature"]
        )


async def test_keys_are_changed_by_sealing_every_token_with_the_new_one(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "AC" + "f" * 32
    await create_accounts(with_secrets(settings), ACCOUNT, OTHER_ACCOUNT)
    strange = "abcdef0123456789" * 4
    await create_accounts(with_secrets(settings, secret_keys=SecretStr(strange)), lost)
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", f"{NEW_KEY},{KEY}")
    said = await optout("accounts", "reseal", code=1)
    assert said.stdout == f"2 tokens sealed with key {NEW}, 0 sealed already\n"
    assert f"{lost}: key {key_id(bytes.fromhex(strange))} is not in" in said.stderr
    again = orjson.loads((await optout("accounts", "reseal", "--json", code=1)).stdout)
    unopened = {lost: key_id(bytes.fromhex(strange))}
    assert again == {"key": NEW, "sealed": 0, "current": 2, "unopened": unopened}
    await optout("accounts", "rotate", lost)
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", NEW_KEY)
    said = await optout("accounts", "reseal")
    assert said.stdout == f"0 tokens sealed with key {NEW}, 3 sealed already\n"
