"""messaging.v1 Services."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BeforeValidator, Field

from processor.configuration.apply import updated
from processor.configuration.change import change_service, create_service, delete_service
from processor.configuration.new_services import new_service, new_sid
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.forms import Form, Name, OptionalUrl, documented, form_of
from processor.http.paging import PageIs, meta_of, slice_of
from processor.http.responses.services import Service, Services, created_at, service_of
from processor.http.visible_services import ServiceSid, find_service
from processor.json_types import JsonObject
from schemas.common import Brand, HelpContact, HttpMethod
from schemas.messaging_service import MessagingService

router = APIRouter(route_class=Known, tags=["messaging.v1 services"])

_CODES = {"FriendlyName": 20002}
_EMPTY_REMOVES = BeforeValidator(lambda given: given or None)
OptionalBrand = Annotated[Brand | None, _EMPTY_REMOVES]
OptionalContact = Annotated[HelpContact | None, _EMPTY_REMOVES]


class ServiceUpdate(Form):
    """The fields of a service that may change."""

    friendly_name: Name = Field(default="", alias="FriendlyName")
    brand: OptionalBrand = Field(default=None, alias="Brand")
    help_contact: OptionalContact = Field(default=None, alias="HelpContact")
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

    def given(self) -> JsonObject:
        """The given fields, by the names of the stored document."""
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
) -> Service:
    """Create a service; Advanced Opt-Out is off until it is enabled (R5)."""
    service = new_service(new_sid(), caller.account, now=datetime.now(UTC), **form.given())
    await create_service(backend.configuration, service, actor=caller.actor)
    return service_of(request, service)


@router.get("/v1/Services")
async def list_(request: Request, backend: BackendIs, caller: CallerIs, page: PageIs) -> Services:
    """List the services, newest first."""
    stored = backend.configuration.services.of_account(caller.account)
    services = sorted((one.head for one in stored), key=_age, reverse=True)
    found = slice_of(services, page, lambda service: service.sid)
    return {
        "meta": meta_of(request, page, "services", found),
        "services": [service_of(request, service) for service in found.items],
    }


@router.get("/v1/Services/{sid}")
async def fetch(request: Request, backend: BackendIs, caller: CallerIs, sid: ServiceSid) -> Service:
    """Fetch a service."""
    return service_of(request, find_service(request, backend, caller, sid).head)


@router.post("/v1/Services/{sid}", openapi_extra=documented(ServiceUpdate, change=True))
async def update(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: ServiceSid,
    form: Annotated[ServiceUpdate, Depends(form_of(ServiceUpdate, codes=_CODES))],
) -> Service:
    """Change a service; missing fields keep their values."""
    after = await change_service(
        backend.configuration,
        lambda: find_service(request, backend, caller, sid).whole(),
        lambda before: updated(before, **form.given()),
        actor=caller.actor,
    )
    return service_of(request, after)


@router.delete("/v1/Services/{sid}", status_code=204)
async def delete(
    request: Request, backend: BackendIs, caller: CallerIs, sid: ServiceSid
) -> Response:
    """Delete a service; its senders become free for other services."""
    await delete_service(
        backend.configuration,
        lambda: find_service(request, backend, caller, sid).whole(),
        actor=caller.actor,
    )
    return Response(status_code=204)


def _age(service: MessagingService) -> tuple[datetime, str]:
    return created_at(service), service.sid
