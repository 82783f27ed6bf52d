"""2010-04-01 Accounts: the account in a request's path."""

from __future__ import annotations

from fastapi import APIRouter, Request

from processor.http.account_paths import PATH, AccountIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.errors import not_found
from processor.http.responses.accounts import Account, account_of

router = APIRouter(route_class=Known, tags=["2010-04-01 accounts"])


@router.get(PATH + ".json")
async def fetch(request: Request, backend: BackendIs, account_sid: AccountIs) -> Account:
    """Fetch an account; its token is not shown."""
    account = backend.configuration.accounts.get(account_sid)
    if account is None:
        raise not_found(request)
    return account_of(account)
