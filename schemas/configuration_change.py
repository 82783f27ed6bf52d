"""configuration-changes.v1: the changes of the configuration, with actor and time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.common import Record, Sid, Time


class ConfigurationChange(Record):
    """A change, written in the transaction that made it; it never has a token or a text."""

    change_id: Sid
    actor: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="An account's or API key's sid, `operator/<name>`, or `cli/<system user>`."
    )
    what: Literal["created", "updated", "enabled", "disabled", "deleted"]
    kind: Literal["service", "account", "number"]
    sid: Sid = Field(description="Sid of the changed object.")
    account_sid: Sid
    version_before: int | None = Field(default=None, description="For services only.")
    version_after: int | None = None
    status_after: Literal["active", "suspended", "closed"] | None = Field(
        default=None, description="For accounts only."
    )
    at: Time
