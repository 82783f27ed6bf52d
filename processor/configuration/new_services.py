"""Services that do not exist yet: an empty service, or a copy of another."""

from __future__ import annotations

import uuid
from datetime import datetime

from schemas.messaging_service import MessagingService


def new_sid() -> str:
    """A sid for a new service."""
    return f"MG{uuid.uuid4().hex}"


def new_service(sid: str, account_sid: str, *, now: datetime, **fields: object) -> MessagingService:
    """The first version of a service; Advanced Opt-Out is off until it is enabled (R5).

    Args:
        sid: a new one.
        account_sid: its account.
        now: when it is created.
        fields: by their names in the model.

    Raises:
        ValidationError: where a field is wrong.
    """
    first = {"sid": sid, "account_sid": account_sid, "version": 1}
    return MessagingService.model_validate(
        {**fields, **first, "created_at": now, "updated_at": now}
    )


def copy_of(
    before: MessagingService, sid: str, friendly_name: str, *, now: datetime
) -> MessagingService:
    """A new service with another's settings and draft.

    Its pool is empty, as a sender is in one service at most (R1), and it is not enabled (R5).

    Args:
        before: the original.
        sid: a new one.
        friendly_name: of the copy.
        now: when it is created.
    """
    return before.model_copy(
        update={
            "sid": sid,
            "friendly_name": friendly_name,
            "senders": [],
            "opt_out": before.opt_out.model_copy(update={"enabled": False}),
            "active": None,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }
    )
