"""The part of a 2010-04-01 path that names an account, and whether the caller may act for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from processor.http.auth import CallerIs
from processor.http.backend import BackendIs
from processor.http.errors import not_found

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
