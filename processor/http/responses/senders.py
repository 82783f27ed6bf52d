"""The senders of a service's pool (v1), and those of channels (v2)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from processor.http.links import url_of
from processor.http.paging import Meta
from processor.http.responses.urls import shown_url
from processor.http.times import time_v1
from schemas.common import HttpMethod
from schemas.messaging_service import MessagingService
from schemas.number import Number

_Country = Annotated[str | None, Field(description="ISO 3166, two letters.")]
_Capabilities = Annotated[list[str], Field(description="`SMS`, `MMS`.")]


class InPool(TypedDict):
    """Fields of every sender in a pool."""

    sid: str
    account_sid: str
    date_created: str
    date_updated: str
    url: str


class ServicePhoneNumber(InPool):
    """A phone number of a service's pool."""

    service_sid: str
    phone_number: str
    country_code: _Country
    capabilities: _Capabilities


class ServicePhoneNumbers(TypedDict):
    """A page of a pool's phone numbers."""

    meta: Meta
    phone_numbers: list[ServicePhoneNumber]


class ServiceShortCode(InPool):
    """A short code of a service's pool."""

    service_sid: str
    short_code: str
    country_code: _Country
    capabilities: _Capabilities


class ServiceShortCodes(TypedDict):
    """A page of a pool's short codes."""

    meta: Meta
    short_codes: list[ServiceShortCode]


class ServiceAlphaSender(InPool):
    """An alphanumeric sender of a service's pool."""

    service_sid: str
    alpha_sender: str
    capabilities: _Capabilities


class ServiceAlphaSenders(TypedDict):
    """A page of a pool's alphanumeric senders."""

    meta: Meta
    alpha_senders: list[ServiceAlphaSender]


class ServiceChannelSender(InPool):
    """A WhatsApp or RCS sender of a service's pool."""

    messaging_service_sid: str
    sender: Annotated[str, Field(description="With the prefix `whatsapp:` or `rcs:`.")]
    sender_type: Annotated[str, Field(description="`WhatsApp` or `RCS`.")]
    country_code: _Country


class ServiceChannelSenders(TypedDict):
    """A page of a pool's channel senders."""

    meta: Meta
    senders: list[ServiceChannelSender]


class ChannelWebhook(TypedDict):
    """Where messages to a channel sender are delivered."""

    callback_url: str | None
    callback_method: HttpMethod
    fallback_url: str | None
    fallback_method: HttpMethod
    status_callback_url: str | None
    status_callback_method: HttpMethod


class ChannelSender(TypedDict):
    """A WhatsApp or RCS sender; fields that its network keeps are null."""

    sid: str
    status: str
    sender_id: str
    friendly_name: str
    configuration: None
    webhook: ChannelWebhook
    profile: None
    properties: None
    offline_reasons: None
    compliance: None
    url: str


class ChannelSenders(TypedDict):
    """A page of channel senders."""

    meta: Meta
    senders: list[ChannelSender]


def in_pool_of(request: Request, service: MessagingService, path: str, number: Number) -> InPool:
    """Write the fields of every sender in a pool; ``path`` is its kind's path below the service."""
    return {
        "sid": number.sid,
        "account_sid": number.account_sid,
        "date_created": time_v1(number.created_at),
        "date_updated": time_v1(number.updated_at),
        "url": url_of(request, f"/v1/Services/{service.sid}/{path}/{number.sid}"),
    }


def channel_sender_of(request: Request, number: Number) -> ChannelSender:
    """Write a channel sender as Twilio does."""
    return {
        "sid": number.sid,
        "status": "ONLINE",
        "sender_id": number.address,
        "friendly_name": number.friendly_name,
        "configuration": None,
        "webhook": {
            "callback_url": shown_url(number.sms_url),
            "callback_method": number.sms_method,
            "fallback_url": shown_url(number.sms_fallback_url),
            "fallback_method": number.sms_fallback_method,
            "status_callback_url": shown_url(number.status_callback),
            "status_callback_method": "POST",
        },
        "profile": None,
        "properties": None,
        "offline_reasons": None,
        "compliance": None,
        "url": url_of(request, f"/v2/Channels/Senders/{number.sid}"),
    }
