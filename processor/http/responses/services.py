"""Messaging services, and parts of a service that do not exist here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Request
from pydantic import Field
from typing_extensions import TypedDict

from processor.http.links import url_of
from processor.http.paging import Meta, Nothing
from processor.http.responses.urls import shown_url
from processor.http.times import time_v1
from schemas.common import HttpMethod
from schemas.messaging_service import MessagingService


class ServiceLinks(TypedDict):
    """Links to the parts of a service."""

    phone_numbers: str
    short_codes: str
    alpha_senders: str
    messages: str
    us_app_to_person: str
    us_app_to_person_usecases: str
    channel_senders: str
    destination_alpha_senders: str


class Service(TypedDict):
    """A messaging service."""

    sid: str
    account_sid: str
    date_created: str
    date_updated: str
    friendly_name: str
    brand: Annotated[str | None, Field(description="Fills `{brand}` in replies. Not Twilio's.")]
    help_contact: Annotated[
        str | None, Field(description="Fills `{help_contact}` in replies. Not Twilio's.")
    ]
    inbound_request_url: Annotated[
        str | None, Field(description="Called for every inbound message; null: no call.")
    ]
    inbound_method: HttpMethod
    fallback_url: Annotated[str | None, Field(description="Called if the inbound request fails.")]
    fallback_method: HttpMethod
    status_callback: Annotated[str | None, Field(description="For sends that name none.")]
    sticky_sender: Annotated[
        bool, Field(description="Stored without effect, like the settings below.")
    ]
    mms_converter: bool
    smart_encoding: bool
    scan_message_content: str
    fallback_to_long_code: bool
    area_code_geomatch: bool
    synchronous_validation: bool
    validity_period: int
    usecase: str
    use_inbound_webhook_on_number: bool
    us_app_to_person_registered: bool
    links: ServiceLinks
    url: str


class Services(TypedDict):
    """A page of services."""

    meta: Meta
    services: list[Service]


class DestinationAlphaSenders(TypedDict):
    """Alpha senders by destination country."""

    meta: Meta
    destination_alpha_senders: Nothing


class Campaigns(TypedDict):
    """Campaigns registered for US A2P 10DLC."""

    meta: Meta
    compliance: Nothing


class Usecases(TypedDict):
    """Use cases for such campaigns."""

    us_app_to_person_usecases: Nothing


def created_at(service: MessagingService) -> datetime:
    """When a service was created; for older records, the time of the last save."""
    return service.created_at or service.updated_at


def service_of(request: Request, service: MessagingService) -> Service:
    """Write a service as Twilio does."""
    url = url_of(request, f"/v1/Services/{service.sid}")
    return {
        "sid": service.sid,
        "account_sid": service.account_sid,
        "date_created": time_v1(created_at(service)),
        "date_updated": time_v1(service.updated_at),
        "friendly_name": service.friendly_name,
        "brand": service.brand,
        "help_contact": service.help_contact,
        "inbound_request_url": shown_url(service.inbound_request_url),
        "inbound_method": service.inbound_method,
        "fallback_url": shown_url(service.fallback_url),
        "fallback_method": service.fallback_method,
        "status_callback": shown_url(service.status_callback),
        "sticky_sender": service.sticky_sender,
        "mms_converter": service.mms_converter,
        "smart_encoding": service.smart_encoding,
        "scan_message_content": service.scan_message_content,
        "fallback_to_long_code": service.fallback_to_long_code,
        "area_code_geomatch": service.area_code_geomatch,
        "synchronous_validation": service.synchronous_validation,
        "validity_period": service.validity_period,
        "usecase": service.usecase,
        "use_inbound_webhook_on_number": service.use_inbound_webhook_on_number,
        "us_app_to_person_registered": False,
        "links": {
            "phone_numbers": f"{url}/PhoneNumbers",
            "short_codes": f"{url}/ShortCodes",
            "alpha_senders": f"{url}/AlphaSenders",
            "messages": f"{url}/Messages",
            "us_app_to_person": f"{url}/Compliance/Usa2p",
            "us_app_to_person_usecases": f"{url}/Compliance/Usa2p/Usecases",
            "channel_senders": f"{url}/ChannelSenders",
            "destination_alpha_senders": f"{url}/DestinationAlphaSenders",
        },
        "url": url,
    }
