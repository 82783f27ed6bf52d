"""The list of services, and the Opt-Out Management of a service: its layers and its draft."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.configuration.drafts import not_in_force, warnings_in_draft
from processor.configuration.languages import languages
from processor.configuration.layers import kinds_at
from processor.http.backend import BackendIs
from processor.http.console.figures import alarms_of, figures_of
from processor.http.console.layers import Field, Layer, fields_of
from processor.http.console.naming import matching, visible
from processor.http.console.pages import Page, asked_page, page
from processor.http.console.saving import ShownIs
from processor.http.console.sessions import PATH, SessionIs
from processor.http.visible_services import find_service
from processor.wire.countries import COUNTRIES
from processor.wire.services import values_of
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_PAGE = 50


@router.get("")
@router.get("/")
@router.get("/services")
async def list_(
    request: Request, backend: BackendIs, session: SessionIs, named: str = ""
) -> Response:
    """List the services that the caller may see, with state; a search narrows them by name."""
    every = visible(backend, session.caller)
    found = list(matching(every, named))
    first = _PAGE * asked_page(request)
    hourly, now_ms = backend.counts.hourly, backend.counts.clock_ms()
    return page(
        request,
        "services",
        services=[
            (
                find_service(request, backend, session.caller, one.sid).whole(),
                figures_of(hourly, one, now_ms),
            )
            for one in found[first : first + _PAGE]
        ],
        every=len(every),
        found=len(found),
        first=first,
        size=_PAGE,
        named=named,
        alarms=sum(1 for _ in alarms_of(hourly, every, now_ms)) if backend.counts.loaded else 0,
        counted=backend.counts.loaded,
    )


@router.get("/services/{sid}")
async def opt_out(request: Request, shown: ShownIs) -> Response:
    """Show the Opt-Out Management of a service."""
    service = shown.now()
    draft = service.opt_out
    countries = {
        country: (override, [_section(service, Layer(tag, country)) for tag in override.languages])
        for country, override in draft.countries.items()
    }
    return page(
        request,
        "opt_out",
        service=service,
        standard=_section(service, Layer(None, None)),
        languages=[_section(service, Layer(tag, None)) for tag in draft.languages],
        countries=countries,
        warnings=warnings_in_draft(service),
        differences=not_in_force(service),
        known_languages=languages().values(),
        known_countries=sorted(COUNTRIES),
    )


def _section(service: MessagingService, layer: Layer) -> tuple[Layer, list[Field]]:
    return layer, fields_of(layer, kinds_at(service.opt_out, layer) or {}, values_of(service))
