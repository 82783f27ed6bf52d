"""All requests that the OpenAPI document allows, as a tenant, the wrong tenant and anonymously.

Schemathesis draws requests from the document that the API serves. None is answered with a server's
error, the wrong tenant and nobody learn and change nothing, and the tenant's STOP and Check go on
counting.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from processor.config import Settings
from processor.http.api import create_api
from tests.api import TOKEN
from tests.builders import RECIPIENT
from tests.security.tenants import ATTACKER, MARKER, TENANT, Tenants, two_tenants

PUBLIC = {"/livez", "/readyz", "/metrics"}
EXAMPLES = max(4, examples().max_examples // 20)  # of each operation and asker
NOBODY = ("AC0000000000000000000000000000ffff", "no token of anybody")
DOCUMENT = create_api(Settings()).openapi()
OPERATIONS: list[Any] = [
    one
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if isinstance(found, Ok) and (one := found.ok()).path not in PUBLIC
]


def theirs(tenants: Tenants) -> dict[str, str]:
    """Path parameters that reach the tenant's data."""
    return {
        "account_sid": TENANT,
        "service_sid": tenants.service,
        "recipient": RECIPIENT,
        "message_type": "ALL",
        "language": "ALL",
        "keyword_type": "STOP.ALL",
    }


def sid_at(path: str, tenants: Tenants) -> str:
    """Of the tenant's thing that a path ends in."""
    if "/Messages" in path:
        return tenants.message
    if path.startswith("/v3/OptOuts"):
        return f"OO{tenants.service[2:]}"
    return tenants.service if path.startswith("/v1/Services/{sid}") else tenants.number


async def what_the_tenant_has(tenants: Tenants) -> list[Any]:
    """All that another could have changed."""
    paths = ("/v1/Services", "/v3/OptOuts", "/v1/ConfigurationChanges")
    base = f"/2010-04-01/Accounts/{TENANT}"
    more = (f"{base}/IncomingPhoneNumbers.json", f"{base}/Messages/{tenants.message}.json")
    found = [(await tenants.tenant.ask("GET", path)).json() for path in (*paths, *more)]
    block = (await tenants.tenant.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}")).json()
    return [*found, block["blocks"]]


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_the_wrong_tenant_and_nobody_reach_nothing_by_any_request(
    settings: Settings,
) -> None:
    async with two_tenants(settings) as tenants:
        before = await what_the_tenant_has(tenants)
        for operation in OPERATIONS:
            await asyncio.to_thread(_search_apart, operation, tenants)
            await tenants.tenant_is_unharmed()
        assert await what_the_tenant_has(tenants) == before


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_a_tenant_gets_no_server_error_by_any_request(settings: Settings) -> None:
    async with two_tenants(settings) as tenants:
        for operation in OPERATIONS:
            await asyncio.to_thread(_search_own, operation, tenants)
            await tenants.tenant_is_unharmed()


def _search_apart(operation: Any, tenants: Tenants) -> None:
    """Ask for the tenant's data as the wrong tenant and anonymously."""

    @_examples
    @given(operation.as_strategy(), st.sampled_from(["wrong", "nobody"]))
    def asked(case: Any, who: str) -> None:
        fixed = {**theirs(tenants), "sid": sid_at(operation.path, tenants)}
        for name in case.path_parameters or ():
            if name in fixed:
                case.path_parameters[name] = quote(fixed[name], safe="")
        auth = NOBODY if who == "nobody" else (ATTACKER, TOKEN)
        answer = _ask(case, tenants, auth)
        assert answer.status_code < 500, answer.text
        assert MARKER not in answer.text
        if who == "nobody":
            assert answer.status_code in (401, 429), (answer.status_code, answer.text)

    asked()


def _search_own(operation: Any, tenants: Tenants) -> None:
    """As a tenant, about their own things or any."""

    @_examples
    @given(operation.as_strategy())
    def asked(case: Any) -> None:
        if "account_sid" in (case.path_parameters or {}):
            case.path_parameters["account_sid"] = ATTACKER
        answer = _ask(case, tenants, (ATTACKER, TOKEN))
        assert answer.status_code < 500, answer.text
        assert MARKER not in answer.text

    asked()


def _ask(case: Any, tenants: Tenants, auth: tuple[str, str]) -> Any:
    for name in list(case.headers or {}):
        if name.lower() == "authorization":
            del case.headers[name]
    return case.call(base_url=tenants.attacker.base, auth=auth, timeout=60)


def _examples(test: Any) -> Any:
    return examples(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(test)
