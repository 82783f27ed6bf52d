"""webhook-deliveries.v1, webhook-retries-1.v1 to -4.v1: a request to a customer's application."""

from __future__ import annotations

from pydantic import Field

from schemas.common import DeliveryId, HttpMethod, Record, Sid, Time, Url


class WebhookDelivery(Record):
    """A request to make; in ``webhook-retries-…``, a failed request with the time of its retry."""

    delivery_id: DeliveryId
    account_sid: Sid
    messaging_service_sid: Sid | None = None
    message_sid: Sid
    url: Url
    method: HttpMethod = "POST"
    fallback_url: Url | None = None
    fallback_method: HttpMethod = "POST"
    parameters: dict[str, str] = Field(description="Twilio's form parameters.")
    attempt: int = Field(default=1, ge=1)
    not_before: Time | None = None
