"""The services, and the Opt-Out Management of one: its layers, a draft against what is active."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from processor.core.differences import differences
from processor.core.policy import OptOutConfig
from processor.core.review import warnings_of
from processor.http.auth import Caller
from processor.http.backend import Backend, BackendIs
from processor.http.console.figures import figures_of
from processor.http.console.layers import Layer, fields_of
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.services import find
from processor.keywords.load import languages
from processor.wire.countries import COUNTRIES
from processor.wire.services import config_of, pool_of
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
    config = config_of(service.opt_out)
    countries = {
        country: (override, [_section(Layer(tag, country), config) for tag in override.languages])
        for country, override in config.countries.items()
    }
    return page(
        request,
        "opt_out",
        service=service,
        standard=_section(Layer(None, None), config),
        languages=[_section(Layer(tag, None), config) for tag in config.languages],
        countries=countries,
        warnings=warnings_of(config, pool_of(service)),
        differences=not_in_force(service),
        known_languages=languages().values(),
        known_countries=sorted(COUNTRIES),
    )


def not_in_force(service: MessagingService) -> list[str]:
    """How a draft differs from what answers now: the active configuration, or default handling."""
    active = config_of(service.active) if service.active else OptOutConfig()
    return differences(active, config_of(service.opt_out))


def _section(layer: Layer, config: OptOutConfig) -> tuple[Layer, list[object]]:
    return layer, list(fields_of(layer, layer.sets(config)))


def visible(backend: Backend, caller: Caller) -> list[MessagingService]:
    """Every service that one may see, by name."""
    stored = backend.configuration.services
    if caller.account_sid is None:
        services = list(stored.all().values())
    else:
        services = [one.whole() for one in stored.of_account(caller.account_sid)]
    return sorted(services, key=lambda service: (service.friendly_name.casefold(), service.sid))
