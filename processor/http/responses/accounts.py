"""Accounts (2010-04-01), bulk calls (accounts.v1), and configuration changes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from processor.http.responses.changes import ChangesMeta
from processor.http.responses.documented import StoredConfigurationChange
from processor.http.times import time_2010
from schemas.account import Account as StoredAccount


class AccountUris(TypedDict):
    """Links to the parts of an account."""

    messages: str
    incoming_phone_numbers: str


class Account(TypedDict):
    """An account; its token is not shown."""

    sid: str
    owner_account_sid: str
    friendly_name: str
    status: Annotated[str, Field(description="`active`, `suspended` or `closed`.")]
    type: str
    auth_token: None
    date_created: str
    date_updated: str
    subresource_uris: AccountUris
    uri: str


class BulkItem(TypedDict):
    """The result for an item."""

    correlation_id: Annotated[object, Field(description="As given, null where it was not.")]
    error_code: Annotated[
        int, Field(description="0: accepted; 30646: consent refused; 30647: contact refused.")
    ]
    error_messages: Annotated[list[str], Field(examples=[["INVALID_SENDER_ID"]])]


class Bulk(TypedDict):
    """The results for all items, in their order."""

    items: list[BulkItem]


class ConfigurationChanges(TypedDict):
    """Changes, newest first."""

    meta: ChangesMeta
    changes: list[StoredConfigurationChange]


def account_of(account: StoredAccount) -> Account:
    """Write an account as Twilio does."""
    path = f"/2010-04-01/Accounts/{account.sid}"
    return {
        "sid": account.sid,
        "owner_account_sid": account.sid,
        "friendly_name": account.friendly_name,
        "status": account.state,
        "type": "Full",
        "auth_token": None,
        "date_created": time_2010(account.created_at),
        "date_updated": time_2010(account.updated_at),
        "subresource_uris": {
            "messages": f"{path}/Messages.json",
            "incoming_phone_numbers": f"{path}/IncomingPhoneNumbers.json",
        },
        "uri": f"{path}.json",
    }
