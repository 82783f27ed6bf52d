"""Two tenants of one installation: one attacks, and the other's STOP and Check are the oracle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from processor.config import Settings
from tests.api import OPERATOR_TOKEN, Api, all_running, create_accounts, with_secrets
from tests.application import allowing
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT
from tests.installation import Installation
from tests.victim import Victim, numbers_in, victim

ATTACKER, TENANT = ACCOUNT, OTHER_ACCOUNT
PARTITION = 1
HANDSET = next(numbers_in(PARTITION, 4))  # the attacker's own, beside those who text STOP
MARKER = "Only its owner reads this"
NUMBER = "+15005550006"  # the tenant's
BASE = f"/2010-04-01/Accounts/{TENANT}"
_FREE = "+15557650000"  # nobody blocks it


@dataclass(frozen=True)
class Tenants:
    """The attacker, and the data of the attacked tenant."""

    at: Installation
    attacker: Api
    tenant: Api
    operator: Api
    somebody: Victim  # who texts STOP to the tenant
    service: str
    number: str
    message: str

    async def tenant_is_unharmed(self) -> None:
        """Their recipients' STOPs are confirmed, their sends judged, their Check answers right."""
        await self.somebody.is_heard()
        answer = await self.tenant.ask(
            "POST", "/v1/OptOuts/Check", json={"recipients": [RECIPIENT, _FREE]}
        )
        assert answer.status_code == 200, answer.text
        assert [one["allowed"] for one in answer.json()["results"]] == [False, True]


@asynccontextmanager
async def two_tenants(settings: Settings, **changes: Any) -> AsyncIterator[Tenants]:
    """A worker with all lanes, the API, and what the attacked tenant has; checked at the end."""
    settings = with_secrets(allowing(settings), **changes)
    await create_accounts(settings, ATTACKER, TENANT)
    at = Installation(settings)
    async with all_running(settings) as attacker, victim(at, PARTITION) as somebody:
        tenant = attacker.as_(TENANT)

        async def made(path: str, **form: str) -> str:
            answer = await tenant.ask("POST", path, data=form)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["sid"])

        service = await made("/v1/Services", FriendlyName=MARKER)
        number = await made(f"{BASE}/IncomingPhoneNumbers.json", PhoneNumber=NUMBER)
        await made(f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=number)
        message = await made(
            f"{BASE}/Messages.json", To=_FREE, Body=MARKER, MessagingServiceSid=service
        )
        blocked = {"recipient": RECIPIENT, "reason": MARKER}
        assert (await tenant.ask("POST", "/v1/OptOuts/Block", json=blocked)).status_code == 200
        found = Tenants(
            at,
            attacker,
            tenant,
            attacker.as_("operator", OPERATOR_TOKEN),
            somebody,
            service,
            number,
            message,
        )
        await found.tenant_is_unharmed()
        yield found
        await found.tenant_is_unharmed()
