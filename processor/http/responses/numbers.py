"""Phone numbers and short codes of an account (2010-04-01)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from processor.http.paging import Uris
from processor.http.responses.urls import shown_url
from processor.http.times import time_2010
from schemas.common import HttpMethod
from schemas.number import Number


class Capabilities(TypedDict):
    """The capabilities of a number."""

    voice: bool
    sms: bool
    mms: bool
    fax: bool


class IncomingPhoneNumber(TypedDict):
    """A phone number; voice-only fields are null, or have Twilio's values for a new number."""

    sid: str
    account_sid: str
    phone_number: str
    friendly_name: str
    sms_url: Annotated[str, Field(description="Empty if there is none.")]
    sms_method: HttpMethod
    sms_fallback_url: str
    sms_fallback_method: HttpMethod
    status_callback: str
    status_callback_method: HttpMethod
    date_created: str
    date_updated: str
    capabilities: Capabilities
    address_requirements: str
    beta: bool
    origin: str
    voice_receive_mode: str
    voice_caller_id_lookup: bool
    voice_method: HttpMethod
    voice_fallback_method: HttpMethod
    emergency_status: str
    emergency_address_status: str
    status: str
    type: Annotated[str, Field(description="`toll-free` or `local`.")]
    api_version: str
    uri: str
    address_sid: None
    bundle_sid: None
    identity_sid: None
    sms_application_sid: None
    trunk_sid: None
    voice_application_sid: None
    voice_fallback_url: None
    voice_url: None
    emergency_address_sid: None


class IncomingPhoneNumbers(Uris):
    """A page of phone numbers."""

    incoming_phone_numbers: list[IncomingPhoneNumber]


class ShortCode(TypedDict):
    """A short code."""

    sid: str
    account_sid: str
    short_code: str
    friendly_name: str
    sms_url: str | None
    sms_method: HttpMethod
    sms_fallback_url: str | None
    sms_fallback_method: HttpMethod
    date_created: str
    date_updated: str
    api_version: str
    uri: str


class ShortCodes(Uris):
    """A page of short codes."""

    short_codes: list[ShortCode]


def phone_number_of(number: Number) -> IncomingPhoneNumber:
    """Write a phone number as Twilio does."""
    return {
        "sid": number.sid,
        "account_sid": number.account_sid,
        "phone_number": number.address,
        "friendly_name": number.friendly_name,
        "sms_url": shown_url(number.sms_url) or "",
        "sms_method": number.sms_method,
        "sms_fallback_url": shown_url(number.sms_fallback_url) or "",
        "sms_fallback_method": number.sms_fallback_method,
        "status_callback": shown_url(number.status_callback) or "",
        "status_callback_method": "POST",
        "date_created": time_2010(number.created_at),
        "date_updated": time_2010(number.updated_at),
        "capabilities": {"voice": False, "sms": True, "mms": True, "fax": False},
        "address_requirements": "none",
        "beta": False,
        "origin": "hosted",
        "voice_receive_mode": "voice",
        "voice_caller_id_lookup": False,
        "voice_method": "POST",
        "voice_fallback_method": "POST",
        "emergency_status": "Inactive",
        "emergency_address_status": "unregistered",
        "status": "in-use",
        "type": "toll-free" if number.type == "toll_free" else "local",
        "api_version": "2010-04-01",
        "uri": _uri(number, "IncomingPhoneNumbers"),
        "address_sid": None,
        "bundle_sid": None,
        "identity_sid": None,
        "sms_application_sid": None,
        "trunk_sid": None,
        "voice_application_sid": None,
        "voice_fallback_url": None,
        "voice_url": None,
        "emergency_address_sid": None,
    }


def short_code_of(number: Number) -> ShortCode:
    """Write a short code as Twilio does."""
    return {
        "sid": number.sid,
        "account_sid": number.account_sid,
        "short_code": number.address,
        "friendly_name": number.friendly_name,
        "sms_url": shown_url(number.sms_url),
        "sms_method": number.sms_method,
        "sms_fallback_url": shown_url(number.sms_fallback_url),
        "sms_fallback_method": number.sms_fallback_method,
        "date_created": time_2010(number.created_at),
        "date_updated": time_2010(number.updated_at),
        "api_version": "2010-04-01",
        "uri": _uri(number, "SMS/ShortCodes"),
    }


def _uri(number: Number, path: str) -> str:
    return f"/2010-04-01/Accounts/{number.account_sid}/{path}/{number.sid}.json"
