"""carrier-figures.v1: how a carrier is in one process, and what happened there in ten seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.carrier import CarrierName, FieldName
from schemas.common import Record, Time

_Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Process = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
_Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class CarrierError(BaseModel):
    """Errors of one kind."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    what: _Words = Field(description="In optout's words, as a provider's may quote a message.")
    code: int | None = Field(default=None, description="The provider's.")
    count: _Count
    at: Time = Field(description="The time of the last.")


class CarrierFigure(Record):
    """Statistics: a crash may lose the last seconds. Idle carriers have a record a minute."""

    carrier: CarrierName
    process: _Process = Field(description="Random; new after each start of the process.")
    part: Literal["inbound", "outbound"] = Field(
        description="inbound: `optout carriers`. outbound: a worker with the role carriers."
    )
    until: Time = Field(description="When it was written; it counts since the record before.")
    counts: dict[FieldName, _Count] = Field(
        default_factory=dict, description="By result, as the metrics of carriers name them."
    )
    errors: list[CarrierError] = Field(default_factory=list, max_length=20)
    waiting: int = Field(default=0, ge=0, description="Messages that the process has in hand.")
    paused: bool = Field(
        default=False, description="The circuit is open: it failed too often, and is tried rarely."
    )
    at_limit: bool = Field(default=False, description="Whether sends_per_second holds sends back.")
    closed: list[FieldName] = Field(
        default_factory=list, max_length=100, description="Secrets that the process cannot open."
    )
