"""suspected-reviews.v1 (compacted): the decisions on texts of suspected-opt-outs.v1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.common import Record, Sid, Time
from schemas.suspected_opt_out import Tier


class SuspectedReview(Record):
    """The last decision on a text; keyed by the text's id, and without the text (R30)."""

    text_id: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    message_sid: Sid
    tier: Tier
    score: float = Field(ge=0, le=1)
    state: Literal["open", "confirmed", "dismissed", "undone", "overdue"] = Field(
        description="`open` again after a dismissal that was undone; `overdue`: blocked, as it was "
        "not reviewed in time."
    )
    number: int = Field(ge=1, description="Grows by 1 with each decision on the text.")
    actor: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The author of the decision: an account, an API key, `operator`, …"
    )
    command_id: Sid | None = Field(
        default=None, description="The command that blocks or unblocks for it, if there is one."
    )
    label: Literal["stop", "not"] | None = Field(
        default=None, description="A person's opinion of the text, for training."
    )
    lang: str | None = Field(default=None, description="The language of the text, if it is known.")
    at: Time
