"""webhook-deliveries.v1 and webhook-retries.v1: one request to a customer's application."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import Record, Sid, Time, Url


class WebhookDelivery(Record):
    """A request to make; in ``webhook-retries`` one that failed, with its next time."""

    delivery_id: Sid
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    message_sid: Sid
    url: Url
    fallback_url: Url | None = None
    method: Literal["GET", "POST"] = "POST"
    parameters: dict[str, str] = Field(description="Twilio's form parameters.")
    attempt: int = Field(default=1, ge=1)
    not_before: Time | None = None
