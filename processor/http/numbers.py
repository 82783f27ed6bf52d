"""2010-04-01 IncomingPhoneNumbers and SMS/ShortCodes: the numbers that services may use."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints

from processor.core.messages import SenderType
from processor.http.account_paths import PATH, AccountIs
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.forms import Form, Name, OptionalUrl, documented, form_of
from processor.http.number_records import NumberRecord, record
from processor.http.paging import PageIs, slice_of, uris_of
from processor.http.responses.numbers import (
    IncomingPhoneNumber,
    IncomingPhoneNumbers,
    ShortCode,
    ShortCodes,
    phone_number_of,
    short_code_of,
)
from processor.kafka.topics.owned_senders import a_number, numbers_of
from schemas.common import HttpMethod
from schemas.common import Number as Address
from schemas.number import Number

router = APIRouter(route_class=Known, tags=["2010-04-01 numbers"])

_NUMBERS = PATH + "/IncomingPhoneNumbers"
_SHORT_CODES = PATH + "/SMS/ShortCodes"
_PHONE = (SenderType.LONG_CODE, SenderType.TOLL_FREE)
_SHORT = (SenderType.SHORT_CODE,)
_CODES = {"PhoneNumber": 21421, "ShortCode": 21421}

_Sid = Annotated[str, Path(description="PN or SC and 32 hexadecimal digits.")]
_FriendlyName = Annotated[
    str | None, Query(alias="FriendlyName", description="The full friendly name.")
]


class NumberUpdate(Form):
    """The fields of a number that may change."""

    friendly_name: Name = Field(default="", alias="FriendlyName")
    sms_url: OptionalUrl = Field(default=None, alias="SmsUrl")
    sms_method: HttpMethod = Field(default="POST", alias="SmsMethod")
    sms_fallback_url: OptionalUrl = Field(default=None, alias="SmsFallbackUrl")
    sms_fallback_method: HttpMethod = Field(default="POST", alias="SmsFallbackMethod")
    status_callback: OptionalUrl = Field(default=None, alias="StatusCallback")

    def given(self) -> dict[str, object]:
        """The given fields, by the names of the stored record."""
        return self.model_dump(exclude_unset=True, exclude={"address"})


class PhoneNumberCreate(NumberUpdate):
    """A number that the account owns already; nothing is bought."""

    address: Address = Field(alias="PhoneNumber")


class ShortCodeCreate(NumberUpdate):
    """A short code of the account; not in Twilio's API, which knows the codes it leased."""

    address: Annotated[str, StringConstraints(pattern=r"^[0-9]{3,8}$")] = Field(alias="ShortCode")
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(
        default="US", alias="IsoCountry"
    )


@router.post(_NUMBERS + ".json", status_code=201, openapi_extra=documented(PhoneNumberCreate))
async def create(
    backend: BackendIs,
    caller: CallerIs,
    account_sid: AccountIs,
    form: Annotated[PhoneNumberCreate, Depends(form_of(PhoneNumberCreate, codes=_CODES))],
) -> IncomingPhoneNumber:
    """Record a phone number, so that services can use it."""
    number = a_number(account_sid, form.address, **form.given())
    return phone_number_of(await record(backend, caller, number))


@router.get(_NUMBERS + ".json")
async def list_(
    request: Request,
    backend: BackendIs,
    account_sid: AccountIs,
    page: PageIs,
    phone_number: Annotated[
        str, Query(alias="PhoneNumber", description="The number or a part of it.")
    ] = "",
    friendly_name: _FriendlyName = None,
) -> IncomingPhoneNumbers:
    """List the phone numbers."""
    part = phone_number.strip("*").replace(" ", "+")  # an unescaped + arrives as a space
    numbers = [
        number
        for number in _of_type(backend, account_sid, *_PHONE)
        if part in number.address and friendly_name in (None, number.friendly_name)
    ]
    found = slice_of(numbers, page, lambda number: number.sid)
    return {
        **uris_of(request, page, found),
        "incoming_phone_numbers": [phone_number_of(number) for number in found.items],
    }


@router.get(_NUMBERS + "/{sid}.json")
async def fetch(
    request: Request, backend: BackendIs, account_sid: AccountIs, sid: _Sid
) -> IncomingPhoneNumber:
    """Fetch a phone number."""
    return phone_number_of(NumberRecord(request, backend, account_sid, sid, _PHONE).now())


@router.post(_NUMBERS + "/{sid}.json", openapi_extra=documented(NumberUpdate, change=True))
async def update(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    account_sid: AccountIs,
    sid: _Sid,
    form: Annotated[NumberUpdate, Depends(form_of(NumberUpdate, codes=_CODES))],
) -> IncomingPhoneNumber:
    """Change a phone number; missing fields keep their values."""
    number = NumberRecord(request, backend, account_sid, sid, _PHONE)
    return phone_number_of(await number.change(form.given(), actor=caller.actor))


@router.delete(_NUMBERS + "/{sid}.json", status_code=204)
async def delete(
    request: Request, backend: BackendIs, caller: CallerIs, account_sid: AccountIs, sid: _Sid
) -> Response:
    """Delete a phone number; this also removes it from its service."""
    number = NumberRecord(request, backend, account_sid, sid, _PHONE)
    await number.give_up(actor=caller.actor)
    return Response(status_code=204)


@router.post(_SHORT_CODES + ".json", status_code=201, openapi_extra=documented(ShortCodeCreate))
async def create_short_code(
    backend: BackendIs,
    caller: CallerIs,
    account_sid: AccountIs,
    form: Annotated[ShortCodeCreate, Depends(form_of(ShortCodeCreate, codes=_CODES))],
) -> ShortCode:
    """Record a short code, so that services can use it."""
    number = a_number(account_sid, form.address, **{"country": "US", **form.given()})
    return short_code_of(await record(backend, caller, number))


@router.get(_SHORT_CODES + ".json")
async def list_short_codes(
    request: Request,
    backend: BackendIs,
    account_sid: AccountIs,
    page: PageIs,
    short_code: Annotated[
        str, Query(alias="ShortCode", description="The code or a part of it.")
    ] = "",
    friendly_name: _FriendlyName = None,
) -> ShortCodes:
    """List the short codes."""
    numbers = [
        number
        for number in _of_type(backend, account_sid, *_SHORT)
        if short_code.strip("*") in number.address and friendly_name in (None, number.friendly_name)
    ]
    found = slice_of(numbers, page, lambda number: number.sid)
    return {
        **uris_of(request, page, found),
        "short_codes": [short_code_of(number) for number in found.items],
    }


@router.get(_SHORT_CODES + "/{sid}.json")
async def fetch_short_code(
    request: Request, backend: BackendIs, account_sid: AccountIs, sid: _Sid
) -> ShortCode:
    """Fetch a short code."""
    return short_code_of(NumberRecord(request, backend, account_sid, sid, _SHORT).now())


@router.post(_SHORT_CODES + "/{sid}.json", openapi_extra=documented(NumberUpdate, change=True))
async def update_short_code(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    account_sid: AccountIs,
    sid: _Sid,
    form: Annotated[NumberUpdate, Depends(form_of(NumberUpdate, codes=_CODES))],
) -> ShortCode:
    """Change a short code; missing fields keep their values."""
    number = NumberRecord(request, backend, account_sid, sid, _SHORT)
    return short_code_of(await number.change(form.given(), actor=caller.actor))


def _of_type(backend: Backend, account_sid: str, *types: SenderType) -> list[Number]:
    numbers = numbers_of(backend.configuration, account_sid).values()
    found = [number for number in numbers if number.type in types]
    return sorted(found, key=lambda number: (number.created_at, number.sid), reverse=True)
