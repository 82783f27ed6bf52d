"""messaging.v1 Services."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from processor.http.auth import Caller, CallerIs
from processor.http.backend import Backend, BackendIs
from processor.http.errors import not_found
from processor.http.forms import Form, OptionalUrl, documented, form_of
from processor.http.links import url_of
from processor.http.paging import PageIs, envelope, slice_of
from processor.http.views import time_v1
from processor.kafka.services_topic import StoredService
from processor.wire.configuration import Edit, edit_of_service
from schemas.common import HttpMethod
from schemas.messaging_service import MessagingService

router = APIRouter(tags=["messaging.v1 services"])

_CODES = {"FriendlyName": 20002, "StatusCallback": 21609}
_LINKS = {
    "phone_numbers": "PhoneNumbers",
    "short_codes": "ShortCodes",
    "alpha_senders": "AlphaSenders",
    "messages": "Messages",
    "us_app_to_person": "Compliance/Usa2p",
    "us_app_to_person_usecases": "Compliance/Usa2p/Usecases",
    "channel_senders": "ChannelSenders",
    "destination_alpha_senders": "DestinationAlphaSenders",
}
_AS_STORED = (
    "friendly_name",
    "inbound_request_url",
    "inbound_method",
    "fallback_url",
    "fallback_method",
    "status_callback",
    "sticky_sender",
    "mms_converter",
    "smart_encoding",
    "scan_message_content",
    "fallback_to_long_code",
    "area_code_geomatch",
    "synchronous_validation",
    "validity_period",
    "usecase",
    "use_inbound_webhook_on_number",
)
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ServiceUpdate(Form):
    """What may be changed of a service."""

    friendly_name: Name = Field(default="", alias="FriendlyName")
    inbound_request_url: OptionalUrl = Field(default=None, alias="InboundRequestUrl")
    inbound_method: HttpMethod = Field(default="POST", alias="InboundMethod")
    fallback_url: OptionalUrl = Field(default=None, alias="FallbackUrl")
    fallback_method: HttpMethod = Field(default="POST", alias="FallbackMethod")
    status_callback: OptionalUrl = Field(default=None, alias="StatusCallback")
    sticky_sender: bool = Field(default=True, alias="StickySender")
    mms_converter: bool = Field(default=True, alias="MmsConverter")
    smart_encoding: bool = Field(default=True, alias="SmartEncoding")
    scan_message_content: Literal["inherit", "enable", "disable"] = Field(
        default="inherit", alias="ScanMessageContent"
    )
    fallback_to_long_code: bool = Field(default=True, alias="FallbackToLongCode")
    area_code_geomatch: bool = Field(default=True, alias="AreaCodeGeomatch")
    synchronous_validation: bool = Field(default=False, alias="SynchronousValidation")
    validity_period: int = Field(default=36_000, alias="ValidityPeriod", ge=1, le=36_000)
    usecase: Literal[
        "notifications", "marketing", "verification", "discussion", "poll", "undeclared"
    ] = Field(default="undeclared", alias="Usecase")
    use_inbound_webhook_on_number: bool = Field(default=False, alias="UseInboundWebhookOnNumber")

    def given(self) -> dict[str, Any]:
        """What was given, by the names of the stored document."""
        return self.model_dump(exclude_unset=True)


class ServiceCreate(ServiceUpdate):
    """A new service."""

    friendly_name: Name = Field(alias="FriendlyName")


@router.post("/v1/Services", status_code=201, openapi_extra=documented(ServiceCreate))
async def create(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    form: Annotated[ServiceCreate, Depends(form_of(ServiceCreate, codes=_CODES))],
) -> dict[str, Any]:
    """Create a service; Advanced Opt-Out is off until it is enabled (R5)."""
    now = datetime.now(UTC)
    service = MessagingService(
        sid=f"MG{uuid.uuid4().hex}",
        account_sid=caller.account,
        version=1,
        created_at=now,
        updated_at=now,
        **form.given(),
    )
    await backend.configuration.update(lambda: [edit_of_service(None, service)], actor=caller.actor)
    return render(request, service)


@router.get("/v1/Services")
async def list_(
    request: Request, backend: BackendIs, caller: CallerIs, page: PageIs
) -> dict[str, Any]:
    """List the services, the newest first."""
    stored = backend.configuration.services.of_account(caller.account)
    services = sorted((one.head for one in stored), key=_age, reverse=True)
    found = slice_of(services, page, lambda service: service.sid)
    return envelope(request, page, "services", found, lambda service: render(request, service))


@router.get("/v1/Services/{sid}")
async def fetch(request: Request, backend: BackendIs, caller: CallerIs, sid: str) -> dict[str, Any]:
    """Fetch a service."""
    return render(request, find(request, backend, caller, sid).head)


@router.post("/v1/Services/{sid}", openapi_extra=documented(ServiceUpdate))
async def update(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: str,
    form: Annotated[ServiceUpdate, Depends(form_of(ServiceUpdate, codes=_CODES))],
) -> dict[str, Any]:
    """Change a service; what is not given stays."""

    def decide() -> list[Edit]:
        before = find(request, backend, caller, sid).whole()
        after = changed(before, **form.given())
        return [edit_of_service(before, after)] if after is not before else []

    await backend.configuration.update(decide, actor=caller.actor)
    return render(request, find(request, backend, caller, sid).head)


@router.delete("/v1/Services/{sid}", status_code=204)
async def delete(request: Request, backend: BackendIs, caller: CallerIs, sid: str) -> Response:
    """Delete a service; its senders are free for another one."""

    def decide() -> list[Edit]:
        return [edit_of_service(find(request, backend, caller, sid).whole(), None)]

    await backend.configuration.update(decide, actor=caller.actor)
    return Response(status_code=204)


def find(request: Request, backend: Backend, caller: Caller, sid: str) -> StoredService:
    """A service that the caller may see.

    Raises:
        ApiError: 20404 where there is none.
    """
    stored = backend.configuration.services.get(sid)
    if stored is None or not caller.may_see(stored.head.account_sid):
        raise not_found(request)
    return stored


def changed(before: MessagingService, **fields: Any) -> MessagingService:
    """A service with fields changed, as its next version; the same where nothing differs."""
    after = before.model_copy(update=fields)
    if after == before:
        return before
    return after.model_copy(update={"version": before.version + 1, "updated_at": datetime.now(UTC)})


def created_at(service: MessagingService) -> datetime:
    """When a service was created; of older records only the last save is known."""
    return service.created_at or service.updated_at


def _age(service: MessagingService) -> tuple[datetime, str]:
    return created_at(service), service.sid


def render(request: Request, service: MessagingService) -> dict[str, Any]:
    """A service as Twilio writes it."""
    url = url_of(request, f"/v1/Services/{service.sid}")
    return {
        "sid": service.sid,
        "account_sid": service.account_sid,
        "date_created": time_v1(created_at(service)),
        "date_updated": time_v1(service.updated_at),
        **{name: getattr(service, name) for name in _AS_STORED},
        "us_app_to_person_registered": False,
        "links": {name: f"{url}/{path}" for name, path in _LINKS.items()},
        "url": url,
    }
