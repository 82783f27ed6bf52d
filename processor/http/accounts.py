"""2010-04-01 Accounts: the account in a request's path."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.errors import not_found
from processor.http.responses.accounts import Account, account_of

router = APIRouter(route_class=Known, tags=["2010-04-01 accounts"])

PATH = "/2010-04-01/Accounts/{account_sid}"


async def _account(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    account_sid: Annotated[
        str, Path(description="The account's sid: AC and 32 hexadecimal digits.")
    ],
) -> str:
    stored = backend.configuration
    known = stored.accounts.get(account_sid) or any(stored.services.of_account(account_sid))
    if not known or not caller.may_see(account_sid):
        raise not_found(request)
    return account_sid


AccountIs = Annotated[str, Depends(_account)]
"""A parameter of every route under an account: its sid, where the caller may act for it."""


@router.get(PATH + ".json")
async def fetch(request: Request, backend: BackendIs, account_sid: AccountIs) -> Account:
    """Fetch an account; its token is not shown."""
    account = backend.configuration.accounts.get(account_sid)
    if account is None:
        raise not_found(request)
    return account_of(account)
