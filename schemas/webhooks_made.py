"""webhooks-made.v1: the requests to customers' applications that were answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.common import Record

Offset = Annotated[int, Field(ge=0)]


class Run(Record):
    """Records that follow each other in their topic."""

    first: Offset
    end: Offset = Field(description="Behind the last.")


class WebhooksMade(Record):
    """The records of this partition whose request was answered since the last record here.

    A repeated request may be named twice. A request that failed is not here: its retry or its dead
    letter names it.
    """

    made: dict[str, list[Run]] = Field(description="Full name of the topic to its records.")
