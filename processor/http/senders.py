"""The senders of a service's pool: PhoneNumbers, ShortCodes, AlphaSenders, ChannelSenders (v1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, StringConstraints, create_model

from processor.configuration.change import change_service
from processor.core.messages import SenderType
from processor.http.auth import Caller, CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import not_found, wrong_parameter
from processor.http.forms import Form, documented, form_of
from processor.http.paging import Meta, PageIs, meta_of, slice_of
from processor.http.responses.senders import (
    InPool,
    ServiceAlphaSender,
    ServiceAlphaSenders,
    ServiceChannelSender,
    ServiceChannelSenders,
    ServicePhoneNumber,
    ServicePhoneNumbers,
    ServiceShortCode,
    ServiceShortCodes,
    in_pool_of,
)
from processor.http.sender_pool import with_sender, without_sender
from processor.http.visible_services import ServiceSid, find_service
from processor.kafka.topics.owned_senders import a_number, in_pool, numbers_of
from schemas.messaging_service import MessagingService, PoolSender
from schemas.number import Number

router = APIRouter(route_class=Known, tags=["messaging.v1 senders"])

_One = TypeVar("_One")
_Many = TypeVar("_Many")
_Sid = Annotated[str, Path(description="The sender's.")]
_Any = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_ALPHA = r"^[0-9 +_&-]*[A-Za-z][A-Za-z0-9 +_&-]*$"
_Alpha = Annotated[str, StringConstraints(pattern=_ALPHA, max_length=11)]


@dataclass(frozen=True, slots=True)
class Kind(Generic[_One, _Many]):
    """A kind of senders, which is a resource of the API."""

    path: str
    key: str  # key of the list in responses
    parameter: str  # form parameter that adds a sender
    types: Sequence[SenderType]
    one: type[_One]
    many: type[_Many]
    render: Callable[[InPool, str, Number], _One]  # the second: the service's sid
    listed: Callable[[Meta, list[_One]], _Many]


def _routes(kind: Kind[_One, _Many]) -> None:
    path = f"/v1/Services/{{service_sid}}/{kind.path}"
    alpha = kind.parameter == "AlphaSender"
    field: Any = (_Alpha if alpha else _Any, Field(alias=kind.parameter))
    model: type[Form] = create_model(f"{kind.path}Create", __base__=Form, given=field)
    read = form_of(model, codes={} if alpha else {kind.parameter: 21421})

    @router.post(
        path,
        status_code=201,
        response_model=kind.one,
        responses={
            409: {"description": "It is in this service (21710), or in another service (21712)."},
            412: {"description": "The service has the most senders it may have (21714)."},
        },
        openapi_extra=documented(model),
        name=f"add {kind.path}",
    )
    async def create(
        request: Request,
        backend: BackendIs,
        caller: CallerIs,
        service_sid: ServiceSid,
    ) -> _One:
        """Add a sender to the pool; a sender is in one service at most (R1)."""
        given = (await read(request)).given  # type: ignore[attr-defined]  # the model is made here
        number = _to_add(request, backend, caller, service_sid, kind, given)

        sender = PoolSender(address=number.address, type=number.type, country=number.country)
        service = await change_service(
            backend.configuration,
            lambda: find_service(request, backend, caller, service_sid).whole(),
            lambda before: with_sender(backend, caller, before, sender),
            actor=caller.actor,
        )
        return _render(request, service, kind, _in(backend, service, kind)[number.sid])

    @router.get(path, response_model=kind.many, name=f"list {kind.path}")
    async def list_(
        request: Request,
        backend: BackendIs,
        caller: CallerIs,
        service_sid: ServiceSid,
        page: PageIs,
    ) -> _Many:
        """List the pool's senders of this kind, in the order they were added."""
        service = find_service(request, backend, caller, service_sid).head
        numbers = list(_in(backend, service, kind).values())
        found = slice_of(numbers, page, lambda number: number.sid)
        meta = meta_of(request, page, kind.key, found)
        return kind.listed(meta, [_render(request, service, kind, one) for one in found.items])

    @router.get(path + "/{sid}", response_model=kind.one, name=f"fetch {kind.path}")
    async def fetch(
        request: Request, backend: BackendIs, caller: CallerIs, service_sid: ServiceSid, sid: _Sid
    ) -> _One:
        """Fetch a sender of the pool."""
        service = find_service(request, backend, caller, service_sid).head
        number = _in(backend, service, kind).get(sid)
        if number is None:
            raise not_found(request)
        return _render(request, service, kind, number)

    @router.delete(path + "/{sid}", status_code=204, name=f"remove {kind.path}")
    async def delete(
        request: Request, backend: BackendIs, caller: CallerIs, service_sid: ServiceSid, sid: _Sid
    ) -> Response:
        """Remove a sender from the pool; it still belongs to the account."""

        def without(before: MessagingService) -> MessagingService:
            number = _in(backend, before, kind).get(sid)
            if number is None:
                raise not_found(request)
            return without_sender(before, number.address)

        await change_service(
            backend.configuration,
            lambda: find_service(request, backend, caller, service_sid).whole(),
            without,
            actor=caller.actor,
        )
        return Response(status_code=204)


_routes(
    Kind(
        path="PhoneNumbers",
        key="phone_numbers",
        parameter="PhoneNumberSid",
        types=(SenderType.LONG_CODE, SenderType.TOLL_FREE),
        one=ServicePhoneNumber,
        many=ServicePhoneNumbers,
        render=lambda common, service_sid, number: {
            **common,
            "service_sid": service_sid,
            "phone_number": number.address,
            "country_code": number.country,
            "capabilities": ["MMS", "SMS"],
        },
        listed=lambda meta, found: {"meta": meta, "phone_numbers": found},
    )
)
_routes(
    Kind(
        path="ShortCodes",
        key="short_codes",
        parameter="ShortCodeSid",
        types=(SenderType.SHORT_CODE,),
        one=ServiceShortCode,
        many=ServiceShortCodes,
        render=lambda common, service_sid, number: {
            **common,
            "service_sid": service_sid,
            "short_code": number.address,
            "country_code": number.country,
            "capabilities": ["MMS", "SMS"],
        },
        listed=lambda meta, found: {"meta": meta, "short_codes": found},
    )
)
_routes(
    Kind(
        path="AlphaSenders",
        key="alpha_senders",
        parameter="AlphaSender",
        types=(SenderType.ALPHANUMERIC,),
        one=ServiceAlphaSender,
        many=ServiceAlphaSenders,
        render=lambda common, service_sid, number: {
            **common,
            "service_sid": service_sid,
            "alpha_sender": number.address,
            "capabilities": ["SMS"],
        },
        listed=lambda meta, found: {"meta": meta, "alpha_senders": found},
    )
)
_routes(
    Kind(
        path="ChannelSenders",
        key="senders",
        parameter="Sid",
        types=(SenderType.WHATSAPP, SenderType.RCS),
        one=ServiceChannelSender,
        many=ServiceChannelSenders,
        render=lambda common, service_sid, number: {
            **common,
            "messaging_service_sid": service_sid,
            "sender": number.address,
            "sender_type": "WhatsApp" if number.type == "whatsapp" else "RCS",
            "country_code": number.country,
        },
        listed=lambda meta, found: {"meta": meta, "senders": found},
    )
)


def _to_add(
    request: Request,
    backend: Backend,
    caller: Caller,
    service_sid: str,
    kind: Kind[Any, Any],
    given: str,
) -> Number:
    account_sid = find_service(request, backend, caller, service_sid).head.account_sid
    if SenderType.ALPHANUMERIC in kind.types:
        return a_number(account_sid, given)
    number = numbers_of(backend.configuration, account_sid).get(given)
    if number is None or number.type not in kind.types:
        raise wrong_parameter(f"{kind.parameter} is not a sender of this account", 21421)
    return number


def _in(backend: Backend, service: MessagingService, kind: Kind[Any, Any]) -> dict[str, Number]:
    """Find the senders of a kind in a pool, by sid."""
    numbers = [in_pool(backend.configuration, service, one) for one in service.senders]
    return {number.sid: number for number in numbers if number.type in kind.types}


def _render(
    request: Request, service: MessagingService, kind: Kind[_One, _Many], number: Number
) -> _One:
    return kind.render(in_pool_of(request, service, kind.path, number), service.sid, number)
