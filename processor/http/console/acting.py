"""The account that a page acts for: the caller's own, or one that an operator names."""

from __future__ import annotations

from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.console.sessions import Session

NO_ACCOUNT = "There is no account with this sid. The page Accounts lists them."


class NoAccount(Exception):
    """An operator named no account, or one that does not exist."""


def caller_for(backend: Backend, session: Session, typed: object) -> Caller:
    """The caller as the API has it, for one account.

    Args:
        backend: knows the accounts.
        session: of the page.
        typed: an account's sid, given by an operator.

    Raises:
        NoAccount: where an operator has still to name one.
    """
    account_sid = session.caller.account_sid or str(typed or "").strip()
    if backend.configuration.accounts.get(account_sid) is None:
        raise NoAccount
    return Caller(account_sid, session.actor, operator=session.caller.operator)
