"""Parts of a service that do not exist here: empty lists, as Twilio returns them."""

from __future__ import annotations

from fastapi import APIRouter, Request

from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.paging import PageIs, Slice, meta_of
from processor.http.responses.services import Campaigns, DestinationAlphaSenders, Usecases
from processor.http.visible_services import ServiceSid, find_service

router = APIRouter(route_class=Known, tags=["messaging.v1 services"])

_SERVICE = "/v1/Services/{service_sid}"
_EMPTY: Slice[object] = Slice((), None, None)


@router.get(_SERVICE + "/DestinationAlphaSenders")
async def destination_alpha_senders(
    request: Request, backend: BackendIs, caller: CallerIs, service_sid: ServiceSid, page: PageIs
) -> DestinationAlphaSenders:
    """List alpha senders by destination country: there are none."""
    find_service(request, backend, caller, service_sid)
    meta = meta_of(request, page, "destination_alpha_senders", _EMPTY)
    return {"meta": meta, "destination_alpha_senders": []}


@router.get(_SERVICE + "/Compliance/Usa2p")
async def us_app_to_person(
    request: Request, backend: BackendIs, caller: CallerIs, service_sid: ServiceSid, page: PageIs
) -> Campaigns:
    """List campaigns registered for US A2P 10DLC: there are none."""
    find_service(request, backend, caller, service_sid)
    return {"meta": meta_of(request, page, "compliance", _EMPTY), "compliance": []}


@router.get(_SERVICE + "/Compliance/Usa2p/Usecases")
async def us_app_to_person_usecases(
    request: Request, backend: BackendIs, caller: CallerIs, service_sid: ServiceSid
) -> Usecases:
    """List use cases for such campaigns: there are none."""
    find_service(request, backend, caller, service_sid)
    return {"us_app_to_person_usecases": []}
