"""The carriers, for operators only: how each is, its rates in and out, what waits, last errors."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from processor.carriers.providers import ADAPTERS
from processor.http.backend import Backend, BackendIs
from processor.http.console.carrier_states import carrier_now, carriers_of
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, for_operators
from processor.http.errors import not_found
from processor.http.lane_health import RoleHealth
from processor.statistics.carrier_history import PartNow

router = APIRouter(
    prefix=PATH,
    route_class=Page,
    include_in_schema=False,
    dependencies=[for_operators("Only an operator may see the carriers.")],
)

_INBOUND: Mapping[str, str] = {
    "accepted": "Requests accepted",
    "messages": "Messages",
    "statuses": "Reports on our sends",
    "unreferenced": "Reports on other sends",
    "passed_over": "Events without a meaning here",
    "challenge": "Checks of the address",
    "unreadable": "Parts that cannot be read",
    "unsigned": "Wrong signature or secret (401)",
    "method": "Neither GET nor POST (405)",
    "too_large": "Too large (413)",
    "unavailable": "Not stored (503)",
}
_OUTBOUND: Mapping[str, str] = {
    "sent": "Sent",
    "sent_late": "Sent late",
    "failed": "Failed",
    "retried": "To be tried again",
    "postponed": "Put off without a try",
    "closed": "Held for a missing secret",
    "blocked": "Stopped by the last look at the list",
    "suspended": "Stopped, as the account is suspended",
    "outdated": "Replies that a STOP overtook",
    "dropped_late": "Replies dropped as late",
}


@router.get("/carriers")
async def list_(request: Request, backend: BackendIs) -> Response:
    """List the carriers."""
    return page(
        request,
        "carriers",
        carriers=carriers_of(backend),
        loaded=backend.carrier_figures.loaded,
        lanes=_lanes(backend),
    )


def _lanes(backend: Backend) -> RoleHealth | None:
    """The role that hands messages over; None if it is not known."""
    return next((one for one in backend.health.roles() if one.role == "carriers"), None)


@router.get("/carriers/{name}")
async def show(request: Request, backend: BackendIs, name: str) -> Response:
    """Show a carrier with everything that was counted in the last hour."""
    carrier = backend.configuration.carriers.stored().get(name)
    if carrier is None:
        raise not_found(request)
    now = carrier_now(backend, carrier)
    return page(
        request,
        "carrier",
        now=now,
        loaded=backend.carrier_figures.loaded,
        answers=ADAPTERS[carrier.provider].answers if carrier.answers is None else carrier.answers,
        inbound=_rows(now.inbound, _INBOUND),
        outbound=_rows(now.outbound, _OUTBOUND),
    )


def _rows(part: PartNow, names: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Words, the last minute and the last hour of every result that was counted."""
    counted = [*names, *sorted(set(part.hour or ()) - set(names))]  # a newer version counts more
    rows = [(names.get(one, one), part.of_minute(one), part.of_hour(one)) for one in counted]
    return [row for row in rows if row[2]]
