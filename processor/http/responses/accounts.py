"""Accounts (2010-04-01), their bulk calls (accounts.v1), and who changed what of theirs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from processor.http.responses.changes import ChangesMeta
from processor.http.responses.documented import StoredConfigurationChange
from processor.http.times import time_2010
from schemas.account import Account as StoredAccount


class AccountUris(TypedDict):
    """Where the parts of an account are."""

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
    """What became of one item."""

    correlation_id: Annotated[object, Field(description="As given, null where it was not.")]
    error_code: Annotated[
        int, Field(description="0 where it was taken; 30646 a consent, 30647 a contact, refused.")
    ]
    error_messages: Annotated[list[str], Field(examples=[["INVALID_SENDER_ID"]])]


class Bulk(TypedDict):
    """What became of the items, in their order."""

    items: list[BulkItem]


class ConfigurationChanges(TypedDict):
    """Changes, the newest first."""

    meta: ChangesMeta
    changes: list[StoredConfigurationChange]


def account_of(account: StoredAccount) -> Account:
    """An account as Twilio writes it."""
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
