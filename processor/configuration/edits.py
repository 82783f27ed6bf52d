"""The records that an edit of the configuration writes: the new value, and who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from processor.wire.services import write_stored
from schemas.account import Account
from schemas.carrier import Carrier
from schemas.configuration_change import ConfigurationChange
from schemas.messaging_service import MessagingService
from schemas.number import Number

Kind = Literal["service", "account", "number", "carrier"]
What = Literal["created", "updated", "enabled", "disabled", "deleted"]
Status = Literal["active", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One item of the configuration, as it will be stored."""

    kind: Kind
    what: What
    sid: str
    account_sid: str
    value: bytes | None  # None takes it away
    version_before: int | None = None
    version_after: int | None = None
    senders: frozenset[str] = frozenset()  # addresses that the new value names
    api_keys: int = 0  # that the new value holds
    status_after: Status | None = None  # of accounts
    is_noted: bool = True  # in configuration-changes; a carrier's record itself says who changed it


def edit_of_service(before: MessagingService | None, after: MessagingService | None) -> Edit:
    """Create, change or delete a service; one of both is given."""
    of = after or before
    assert of is not None
    what = _what(before, after)
    if before and after and (before.active is None) is not (after.active is None):
        what = "disabled" if after.active is None else "enabled"
    return Edit(
        kind="service",
        what=what,
        sid=of.sid,
        account_sid=of.account_sid,
        value=write_stored(after) if after else None,
        version_before=before.version if before else None,
        version_after=after.version if after else None,
        senders=frozenset(one.address for one in after.senders) if after else frozenset(),
    )


def edit_of_account(before: Account | None, after: Account) -> Edit:
    """Create or change an account."""
    return Edit(
        kind="account",
        what=_what(before, after),
        sid=after.sid,
        account_sid=after.sid,
        value=write_account(after),
        api_keys=len(after.api_keys),
        status_after=after.state if before is None or before.state != after.state else None,
    )


def edit_of_number(before: Number | None, after: Number | None) -> Edit:
    """Create, change or delete a number; one of both is given."""
    of = after or before
    assert of is not None
    return Edit(
        kind="number",
        what=_what(before, after),
        sid=of.sid,
        account_sid=of.account_sid,
        value=write_number(after) if after else None,
        senders=frozenset({after.address}) if after else frozenset(),
    )


def edit_of_carrier(before: Carrier | None, after: Carrier | None) -> Edit:
    """Create, change or delete a carrier; one of both is given."""
    of = after or before
    assert of is not None
    return Edit(
        kind="carrier",
        what=_what(before, after),
        sid=of.name,
        account_sid=of.account_sid,
        value=write_carrier(after) if after else None,
        is_noted=False,
    )


def _what(before: object, after: object) -> What:
    if before is None:
        return "created"
    return "deleted" if after is None else "updated"


def write_account(account: Account) -> bytes:
    """The value of `accounts.v1`."""
    return account.model_dump_json(exclude_none=True).encode()


def write_number(number: Number) -> bytes:
    """The value of `numbers.v1`."""
    return number.model_dump_json(exclude_none=True).encode()


def write_carrier(carrier: Carrier) -> bytes:
    """The value of `carriers.v1`."""
    return carrier.model_dump_json(by_alias=True, exclude_none=True).encode()


def write_change(edit: Edit, *, change_id: str, actor: str, at: datetime) -> bytes:
    """The value of `configuration-changes.v1`: the author of an edit, without its content."""
    assert edit.kind != "carrier"
    change = ConfigurationChange(
        change_id=change_id,
        actor=actor,
        what=edit.what,
        kind=edit.kind,
        sid=edit.sid,
        account_sid=edit.account_sid,
        version_before=edit.version_before,
        version_after=edit.version_after,
        status_after=edit.status_after,
        at=at,
    )
    return change.model_dump_json(exclude_none=True).encode()
