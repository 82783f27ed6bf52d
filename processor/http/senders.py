"""The senders of a service's pool: PhoneNumbers, ShortCodes, AlphaSenders, ChannelSenders (v1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, StringConstraints, create_model

from processor.core.messages import SenderType
from processor.http.auth import Caller, CallerIs
from processor.http.backend import Backend, BackendIs
from processor.http.errors import ApiError, conflict, not_found, wrong_parameter
from processor.http.forms import Form, documented, form_of
from processor.http.links import url_of
from processor.http.numbers import a_number
from processor.http.owned import in_pool, numbers_of
from processor.http.paging import PageIs, envelope, slice_of
from processor.http.services import changed, find
from processor.http.views import time_v1
from processor.wire.configuration import Edit, edit_of_service
from schemas.messaging_service import MessagingService, PoolSender
from schemas.number import Number

router = APIRouter(tags=["messaging.v1 senders"])

MAX_POOL = 400
_Any = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_ALPHA = r"^[0-9 +_&-]*[A-Za-z][A-Za-z0-9 +_&-]*$"
_Alpha = Annotated[str, StringConstraints(pattern=_ALPHA, max_length=11)]


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of senders."""

    path: str
    key: str  # of its lists
    parameter: str  # that adds one
    types: Sequence[SenderType]
    render: Callable[[Number], dict[str, Any]]  # what it has beside sids, dates and url
    service_key: str = "service_sid"


KINDS = (
    Kind(
        path="PhoneNumbers",
        key="phone_numbers",
        parameter="PhoneNumberSid",
        types=(SenderType.LONG_CODE, SenderType.TOLL_FREE),
        render=lambda number: {
            "phone_number": number.address,
            "country_code": number.country,
            "capabilities": ["MMS", "SMS"],
        },
    ),
    Kind(
        path="ShortCodes",
        key="short_codes",
        parameter="ShortCodeSid",
        types=(SenderType.SHORT_CODE,),
        render=lambda number: {
            "short_code": number.address,
            "country_code": number.country,
            "capabilities": ["MMS", "SMS"],
        },
    ),
    Kind(
        path="AlphaSenders",
        key="alpha_senders",
        parameter="AlphaSender",
        types=(SenderType.ALPHANUMERIC,),
        render=lambda number: {"alpha_sender": number.address, "capabilities": ["SMS"]},
    ),
    Kind(
        path="ChannelSenders",
        key="senders",
        parameter="Sid",
        types=(SenderType.WHATSAPP, SenderType.RCS),
        render=lambda number: {
            "sender": number.address,
            "sender_type": "WhatsApp" if number.type == "whatsapp" else "RCS",
            "country_code": number.country,
        },
        service_key="messaging_service_sid",
    ),
)


def _routes(kind: Kind) -> None:
    path = f"/v1/Services/{{service_sid}}/{kind.path}"
    alpha = kind.parameter == "AlphaSender"
    field: Any = (_Alpha if alpha else _Any, Field(alias=kind.parameter))
    model: type[Form] = create_model(f"{kind.path}Create", __base__=Form, given=field)
    read = form_of(model, codes={} if alpha else {kind.parameter: 21421})

    @router.post(
        path,
        status_code=201,
        responses={
            409: {"description": "It is in this service (21710), or in another (21712)."},
            412: {"description": "The service has as many senders as it may (21714)."},
        },
        openapi_extra=documented(model),
        name=f"add {kind.path}",
    )
    async def create(
        request: Request,
        backend: BackendIs,
        caller: CallerIs,
        service_sid: str,
    ) -> dict[str, Any]:
        """Put a sender into the pool; it is in one service at most (R1)."""
        given = (await read(request)).given  # type: ignore[attr-defined]  # the model is made here
        number = _to_add(request, backend, caller, service_sid, kind, given)

        def decide() -> list[Edit]:
            before = find(request, backend, caller, service_sid).whole()
            _refuse_second(backend, before, number)
            sender = PoolSender(address=number.address, type=number.type, country=number.country)
            after = changed(before, senders=[*before.senders, sender])
            return [edit_of_service(before, after)]

        await backend.configuration.update(decide, actor=caller.actor)
        service = find(request, backend, caller, service_sid).head
        return _render(request, service, kind, _in(backend, service, kind)[number.sid])

    @router.get(path, name=f"list {kind.path}")
    async def list_(
        request: Request, backend: BackendIs, caller: CallerIs, service_sid: str, page: PageIs
    ) -> dict[str, Any]:
        """List the pool's senders of this kind, in the order they came."""
        service = find(request, backend, caller, service_sid).head
        numbers = list(_in(backend, service, kind).values())
        found = slice_of(numbers, page, lambda number: number.sid)
        return envelope(
            request, page, kind.key, found, lambda one: _render(request, service, kind, one)
        )

    @router.get(path + "/{sid}", name=f"fetch {kind.path}")
    async def fetch(
        request: Request, backend: BackendIs, caller: CallerIs, service_sid: str, sid: str
    ) -> dict[str, Any]:
        """Fetch a sender of the pool."""
        service = find(request, backend, caller, service_sid).head
        number = _in(backend, service, kind).get(sid)
        if number is None:
            raise not_found(request)
        return _render(request, service, kind, number)

    @router.delete(path + "/{sid}", status_code=204, name=f"remove {kind.path}")
    async def delete(
        request: Request, backend: BackendIs, caller: CallerIs, service_sid: str, sid: str
    ) -> Response:
        """Take a sender out of the pool; it stays the account's."""

        def decide() -> list[Edit]:
            before = find(request, backend, caller, service_sid).whole()
            number = _in(backend, before, kind).get(sid)
            if number is None:
                raise not_found(request)
            left = [one for one in before.senders if one.address != number.address]
            return [edit_of_service(before, changed(before, senders=left))]

        await backend.configuration.update(decide, actor=caller.actor)
        return Response(status_code=204)


for _kind in KINDS:
    _routes(_kind)


def _to_add(
    request: Request, backend: Backend, caller: Caller, service_sid: str, kind: Kind, given: str
) -> Number:
    account_sid = find(request, backend, caller, service_sid).head.account_sid
    if SenderType.ALPHANUMERIC in kind.types:
        return a_number(account_sid, given)
    number = numbers_of(backend.configuration, account_sid).get(given)
    if number is None or number.type not in kind.types:
        raise wrong_parameter(f"{kind.parameter} is not a sender of this account", 21421)
    return number


def _refuse_second(backend: Backend, service: MessagingService, number: Number) -> None:
    holder = backend.configuration.services.holder_of(service.account_sid, number.address)
    if holder and holder.head.sid == service.sid:
        raise conflict(21710, "Phone Number or Short Code is already in the Messaging Service.")
    if holder:
        raise conflict(
            21712, "Phone Number or Short Code is associated with another Messaging Service."
        )
    if len(service.senders) >= MAX_POOL:
        raise ApiError(412, 21714, f"The Messaging Service has {MAX_POOL} senders, the most")


def _in(backend: Backend, service: MessagingService, kind: Kind) -> dict[str, Number]:
    """The senders of a kind in a pool, by their sid."""
    numbers = [in_pool(backend.configuration, service, one) for one in service.senders]
    return {number.sid: number for number in numbers if number.type in kind.types}


def _render(
    request: Request, service: MessagingService, kind: Kind, number: Number
) -> dict[str, Any]:
    return {
        "sid": number.sid,
        "account_sid": number.account_sid,
        kind.service_key: service.sid,
        "date_created": time_v1(number.created_at),
        "date_updated": time_v1(number.updated_at),
        **kind.render(number),
        "url": url_of(request, f"/v1/Services/{service.sid}/{kind.path}/{number.sid}"),
    }
