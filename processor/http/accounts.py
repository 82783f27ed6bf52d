"""2010-04-01 Accounts: whose a request is, by its path."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from processor.http.auth import CallerIs
from processor.http.backend import BackendIs
from processor.http.errors import not_found
from processor.http.views import time_2010

router = APIRouter(tags=["2010-04-01 accounts"])

PATH = "/2010-04-01/Accounts/{account_sid}"


async def _account(request: Request, backend: BackendIs, caller: CallerIs, account_sid: str) -> str:
    stored = backend.configuration
    known = stored.accounts.get(account_sid) or any(stored.services.of_account(account_sid))
    if not known or not caller.may_see(account_sid):
        raise not_found(request)
    return account_sid


AccountIs = Annotated[str, Depends(_account)]
"""A parameter of every route under an account: its sid, where the caller may act for it."""


@router.get(PATH + ".json")
async def fetch(request: Request, backend: BackendIs, account_sid: AccountIs) -> dict[str, Any]:
    """Fetch an account; its token is not shown."""
    account = backend.configuration.accounts.get(account_sid)
    if account is None:
        raise not_found(request)
    return {
        "sid": account.sid,
        "owner_account_sid": account.sid,
        "friendly_name": account.friendly_name,
        "status": account.status,
        "type": "Full",
        "auth_token": None,
        "date_created": time_2010(account.created_at),
        "date_updated": time_2010(account.updated_at),
        "subresource_uris": {
            "messages": f"{PATH}/Messages.json".format(account_sid=account_sid),
            "incoming_phone_numbers": f"{PATH}/IncomingPhoneNumbers.json".format(
                account_sid=account_sid
            ),
        },
        "uri": f"{PATH}.json".format(account_sid=account_sid),
    }
