"""The services and opt-outs that the console shows in tests and pictures."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Browser, Page

from processor.cli.accounts import new_account
from processor.config import Settings
from processor.configuration.edits import edit_of_account, edit_of_service
from processor.kafka.topics.configuration_writer import configuration
from processor.statistics.hourly import KEPT_HOURS
from processor.wire.json_values import to_text
from schemas.account import AccountLimits
from schemas.messaging_service import MessagingService
from tests.api import Api, create_accounts, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, OPERATOR_TOKEN, SERVICE, SHORT_CODE, TOKEN
from tests.clinic import a_text
from tests.console.browser import open_page, sign_in
from tests.installation import Installation

_REGISTERED = {"HELP": {"keywords": ["help"], "reply": "Clinic alerts. Reply STOP to end."}}


@dataclass(frozen=True, slots=True)
class Console:
    """The console as people of one account use it."""

    api: Api
    browser: Browser
    account: str
    service: str
    name: str  # of the service

    @property
    def at(self) -> str:
        """The path of the service's page."""
        return f"/console/services/{self.service}"

    @property
    def topics(self) -> Installation:
        """The topics that carriers and applications write to."""
        return Installation(self.api.backend.settings)

    async def page(self, account: str = "", *, java_script: bool = True) -> Page:
        """A page of a fresh browser session, signed in, at the services."""
        page = await open_page(self.browser, self.api.base, java_script_enabled=java_script)
        await sign_in(page, account or self.account)
        return page

    async def operator(self, *, java_script: bool = True) -> Page:
        """A page of a fresh browser session, signed in as the operator."""
        page = await open_page(self.browser, self.api.base, java_script_enabled=java_script)
        await sign_in(page, "operator", OPERATOR_TOKEN)
        return page

    async def another_account(self) -> str:
        """The sid of an account that has nothing yet."""
        sid = _new_sid("AC")
        await _create_account(self.api, sid)
        return sid

    def stored(self) -> MessagingService:
        """The service as it is."""
        found = self.api.backend.configuration.services.get(self.service)
        assert found is not None
        return found.whole()

    async def add_services(self, *names: str) -> None:
        """More services of the account, without senders."""
        services = [a_service(_new_sid("MG"), self.account, name) for name in names]
        await self.api.backend.configuration.update(
            lambda: [edit_of_service(None, one) for one in services], actor="test"
        )

    async def limit(self, **limits: int) -> None:
        """Give the account limits of its own."""
        stored = self.api.backend.configuration
        before = stored.accounts.get(self.account)
        assert before is not None
        after = before.model_copy(update={"limits": AccountLimits(**limits)})
        await stored.update(lambda: [edit_of_account(before, after)], actor="test")

    async def texts(self, *bodies: str) -> list[str]:
        """A recipient texts the account; the messages' sids."""
        sids = [_new_sid("SM") for _ in bodies]
        await self.topics.texts(
            *(
                a_text(sid, body, account_sid=self.account)
                for sid, body in zip(sids, bodies, strict=True)
            )
        )
        return sids


async def an_account_with_a_service(api: Api, browser: Browser) -> Console:
    """The console, and a new account with one service."""
    account, sid = _new_sid("AC"), _new_sid("MG")
    name = f"Clinic {sid[-6:]}"
    await _create_account(api, account)
    service = a_service(sid, account, name, created_hours_ago=KEPT_HOURS, senders=_POOL)
    await api.backend.configuration.update(lambda: [edit_of_service(None, service)], actor="test")
    return Console(api, browser, account, sid, name)


async def _create_account(api: Api, sid: str) -> None:
    account = new_account(api.backend.settings, sid, TOKEN, "An account")
    await api.backend.configuration.update(lambda: [edit_of_account(None, account)], actor="test")


def _new_sid(kind: str) -> str:
    return f"{kind}{uuid.uuid4().hex}"


_POOL = [{"address": LONG_CODE}, {"address": SHORT_CODE, "registered": _REGISTERED}]


def a_service(
    sid: str, account: str, name: str, *, created_hours_ago: int = 0, senders: Any = ()
) -> MessagingService:
    """A service without any configuration."""
    now = datetime.now(UTC)
    return MessagingService.model_validate(
        {
            "sid": sid,
            "account_sid": account,
            "friendly_name": name,
            "senders": list(senders),
            "version": 1,
            "created_at": now - timedelta(hours=created_hours_ago),
            "updated_at": now,
        }
    )


async def with_a_service(settings: Settings, *, created_hours_ago: int = 0) -> Settings:
    """The settings of an installation that has an account with one service."""
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    service = a_service(
        SERVICE, ACCOUNT, "Clinic", created_hours_ago=created_hours_ago, senders=_POOL
    )
    async with configuration(settings) as stored:
        await stored.update(lambda: [edit_of_service(None, service)], actor="test")
    return settings


def a_count(now_ms: int, hours_ago: int, count: int, **changes: Any) -> dict[str, Any]:
    """A record of `opt-out-counts`: opt-outs of the service by its standard keywords."""
    fields = {
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "kind": "STOP",
        "count": count,
        "second": to_text(now_ms - hours_ago * 3_600_000),
        "to": SERVICE,  # the tests' writer takes its key from here
    }
    return fields | changes
