"""configuration-changes.v1: who changed what of the configuration, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.common import Record, Sid, Time


class ConfigurationChange(Record):
    """One change, written in the transaction that made it; it never holds a token or a text."""

    change_id: Sid
    actor: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="An account's or API key's sid, `operator/<name>`, or `cli/<system user>`."
    )
    what: Literal["created", "updated", "enabled", "disabled", "deleted"]
    kind: Literal["service", "account", "number"]
    sid: Sid = Field(description="Of what was changed.")
    account_sid: Sid
    version_before: int | None = Field(default=None, description="Of services only.")
    version_after: int | None = None
    status_after: Literal["active", "suspended", "closed"] | None = Field(
        default=None, description="Of accounts only."
    )
    at: Time
