"""The services, and the Opt-Out Management of one: its layers, a draft against what is active."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.http.auth import Caller
from processor.http.backend import Backend, BackendIs
from processor.http.console.figures import figures_of
from processor.http.console.layers import Field, Layer, fields_of
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.services import find
from processor.keywords.load import languages
from processor.wire.countries import COUNTRIES
from processor.wire.opt_outs import kinds_at, not_in_force, warnings_about
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@router.get("")
@router.get("/")
async def list_(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Every service that one may see, with its state."""
    services = visible(backend, session.caller)
    figures = figures_of(backend.counts.hourly, services, backend.counts.clock_ms())
    return page(
        request, "services", services=services, figures=figures, counted=backend.counts.loaded
    )


@router.get("/services/{sid}")
async def opt_out(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """Opt-Out Management."""
    service = find(request, backend, session.caller, sid).whole()
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
        warnings=warnings_about(service),
        differences=not_in_force(service),
        known_languages=languages().values(),
        known_countries=sorted(COUNTRIES),
    )


def _section(service: MessagingService, layer: Layer) -> tuple[Layer, list[Field]]:
    return layer, fields_of(layer, kinds_at(service.opt_out, layer) or {})


def visible(backend: Backend, caller: Caller) -> list[MessagingService]:
    """Every service that one may see, by name."""
    stored = backend.configuration.services
    if caller.account_sid is None:
        services = list(stored.all().values())
    else:
        services = [one.whole() for one in stored.of_account(caller.account_sid)]
    return sorted(services, key=lambda service: (service.friendly_name.casefold(), service.sid))
