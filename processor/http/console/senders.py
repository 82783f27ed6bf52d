"""The senders of a service's pool: list, add, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from processor.core.messages import SenderType
from processor.errors import EditRefused
from processor.http.backend import Backend
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, ShownIs
from processor.http.console.sessions import PATH
from processor.http.errors import ApiError, not_found
from processor.http.sender_pool import with_sender, without_sender
from processor.kafka.topics.owned_senders import in_pool
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import reasons
from schemas.messaging_service import MessagingService, PoolSender
from schemas.number import Number

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_OFFERED = 50  # free numbers


@router.get("/services/{sid}/senders")
@router.get("/services/{sid}/steps/senders")
async def list_(request: Request, shown: ShownIs) -> Response:
    """Show the pool, and a form to add a sender."""
    return _pool(request, shown.backend, shown.now(), {})


@router.post("/services/{sid}/senders")
@router.post("/services/{sid}/steps/senders")
async def add(request: Request, shown: ShownIs) -> Response:
    """Add a sender to the pool, or show beside the field why that failed."""
    form = await request.form()
    problem, status = "", 422
    try:
        sender = PoolSender(
            address=str(form.get("address", "")).strip(),
            type=form.get("type") or None,  # type: ignore[arg-type]  # checked by the model
            country=form.get("country") or None,  # type: ignore[arg-type]
        )
        caller = shown.caller
        await shown.change(form, lambda before: with_sender(shown.backend, caller, before, sender))
        return go(request.url.path.removeprefix(PATH), "added")
    except ValidationError as error:
        problem = "; ".join(reasons(error))
    except ApiError as error:
        if error.status == 404:
            raise
        problem = error.message
    except EditRefused as error:
        problem = "; ".join(error.problems)
    except SavedMeanwhile:
        status = 409
    return _pool(request, shown.backend, shown.now(), form, problem=problem, status=status)


@router.get("/services/{sid}/senders/{number_sid}/remove")
@router.get("/services/{sid}/steps/senders/{number_sid}/remove")
async def confirm(request: Request, shown: ShownIs, number_sid: str) -> Response:
    """Show the effects of removing a sender from the pool."""
    return _confirmation(request, shown.backend, shown.now(), number_sid)


@router.post("/services/{sid}/senders/{number_sid}/remove")
@router.post("/services/{sid}/steps/senders/{number_sid}/remove")
async def remove(request: Request, shown: ShownIs, number_sid: str) -> Response:
    """Remove a sender from the pool; it still belongs to the account."""

    def without(before: MessagingService) -> MessagingService:
        return without_sender(before, _address(request, shown.backend, before, number_sid))

    try:
        await shown.change(await request.form(), without)
    except SavedMeanwhile:
        return _confirmation(request, shown.backend, shown.now(), number_sid, status=409)
    pool = request.url.path.removeprefix(PATH).removesuffix(f"/{number_sid}/remove")
    return go(pool, "removed")


def _address(request: Request, backend: Backend, service: MessagingService, sid: str) -> str:
    numbers = [in_pool(backend.configuration, service, one) for one in service.senders]
    for number in numbers:
        if number.sid == sid:
            return number.address
    raise not_found(request)


def _pool(
    request: Request,
    backend: Backend,
    service: MessagingService,
    typed: Mapping[str, object],
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    return page(
        request,
        "senders",
        status=status,
        service=service,
        numbers=[in_pool(backend.configuration, service, one) for one in service.senders],
        typed=typed,
        problem=problem,
        meanwhile=status == 409,
        types=list(SenderType),
        countries=sorted(COUNTRIES),
        free=list(islice(_free(backend, service.account_sid), _OFFERED)),
    )


def _free(backend: Backend, account_sid: str) -> Iterator[Number]:
    """The account's recorded numbers that are in no service."""
    stored = backend.configuration
    for number in stored.numbers.of_account(account_sid):
        if stored.services.holder_of(account_sid, number.address) is None:
            yield number


def _confirmation(
    request: Request, backend: Backend, service: MessagingService, sid: str, status: int = 200
) -> Response:
    address = _address(request, backend, service, sid)
    shown = {"service": service, "address": address, "sid": sid, "meanwhile": status == 409}
    return page(request, "remove_sender", status=status, **shown)
