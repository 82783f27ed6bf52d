"""The numbers and short codes of an account: list, add, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from processor.core.messages import SenderType, sender_type_of
from processor.errors import EditRefused
from processor.http.auth import Caller
from processor.http.backend import Backend, BackendIs
from processor.http.console.acting import NO_ACCOUNT, NoAccount, caller_for
from processor.http.console.pages import Page, asked_page, go, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.errors import ApiError, not_found
from processor.http.number_records import NumberRecord, record
from processor.kafka.topics.configuration_writer import Configuration
from processor.kafka.topics.holdings import can_be_owned
from processor.kafka.topics.owned_senders import a_number, in_pool
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import reasons
from schemas.common import SenderAddress
from schemas.messaging_service import MessagingService
from schemas.number import Number

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_PAGE = 50
_MOST = 64  # characters of a name
_OWNED = tuple(one for one in SenderType if one is not SenderType.ALPHANUMERIC)
_NAME = "A name such as Clinic has no owner and needs no record. Add it to a service."
_address = TypeAdapter(SenderAddress).validate_python


class Row(NamedTuple):
    """A number, and the service that has it in its pool."""

    number: Number
    service: MessagingService | None


@router.get("/numbers")
async def list_(
    request: Request, backend: BackendIs, session: SessionIs, account: str = "", named: str = ""
) -> Response:
    """List the numbers of the account, with their services; a search narrows them."""
    try:
        caller = caller_for(backend, session, account)
    except NoAccount:
        problem = NO_ACCOUNT if account else ""
        shown = {"account": account, "problem": problem, "title": "Numbers"}
        status = 422 if problem else 200
        return page(request, "ask_account", status=status, action="/numbers", **shown)
    return _list(request, backend, caller, named, {})


@router.post("/numbers")
async def add(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Record a number for the account, or show beside the field why that failed."""
    form = await request.form()
    caller = _caller(request, backend, session, form.get("account"))
    try:
        await record(backend, caller, _number(caller.account, form))
        return _go(session.caller, caller, "added")
    except ValidationError as error:
        problem = "; ".join(reasons(error))
    except ApiError as error:
        problem = error.message
    except EditRefused as error:
        problem = "; ".join(error.problems)
    return _list(request, backend, caller, "", form, problem)


@router.get("/numbers/{sid}/remove")
async def confirm(
    request: Request, backend: BackendIs, session: SessionIs, sid: str, account: str = ""
) -> Response:
    """Show the effects of removing a number."""
    caller = _caller(request, backend, session, account)
    number = NumberRecord(request, backend, caller.account, sid, _OWNED).now()
    holder = backend.configuration.services.holder_of(caller.account, number.address)
    service = holder.head if holder else None
    return page(request, "remove_number", number=number, service=service)


@router.post("/numbers/{sid}/remove")
async def remove(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """Take a number from the account and from its service."""
    caller = _caller(request, backend, session, (await request.form()).get("account"))
    number = NumberRecord(request, backend, caller.account, sid, _OWNED)
    await number.give_up(actor=session.actor)
    return _go(session.caller, caller, "removed")


def _caller(request: Request, backend: Backend, session: SessionIs, typed: object) -> Caller:
    try:
        return caller_for(backend, session, typed)
    except NoAccount:
        raise not_found(request) from None


def _go(signed_in: Caller, caller: Caller, said: str) -> Response:
    """Redirect to the list; an operator's list has the account in its address."""
    if signed_in.account_sid is None:
        return go(f"/numbers?account={caller.account}&said={said}")
    return go("/numbers", said)


def _number(account_sid: str, form: Mapping[str, object]) -> Number:
    """The number that a form asks for.

    Raises:
        ApiError: 400 for a sender that belongs to no account.
        ValidationError: where a field is wrong.
    """
    address = _address(str(form.get("address", "")).strip())
    sender_type = sender_type_of(address)
    if sender_type is SenderType.ALPHANUMERIC:
        raise ApiError(400, 20001, _NAME)
    fields = {}
    if sender_type is SenderType.SHORT_CODE:
        fields["country"] = form.get("country") or "US"
    if name := str(form.get("name", "")).strip()[:_MOST]:
        fields["friendly_name"] = name
    return a_number(account_sid, address, **fields)


def _list(
    request: Request,
    backend: Backend,
    caller: Caller,
    named: str,
    typed: Mapping[str, object],
    problem: str = "",
) -> Response:
    stored = backend.configuration
    held = _held(stored, caller.account)
    found = [address for address in sorted(held) if _matches(stored, address, named)]
    first = _PAGE * asked_page(request)
    return page(
        request,
        "numbers",
        status=422 if problem else 200,
        account=caller.account,
        rows=[_row(stored, one, held[one]) for one in found[first : first + _PAGE]],
        every=len(held),
        found=len(found),
        first=first,
        size=_PAGE,
        named=named,
        typed=typed,
        problem=problem,
        countries=sorted(COUNTRIES),
    )


def _held(stored: Configuration, account_sid: str) -> dict[str, MessagingService | None]:
    """The addresses of an account, each with the service that has it in its pool."""
    recorded = {one.address: None for one in stored.numbers.of_account(account_sid)}
    return recorded | {
        sender.address: held.head
        for held in stored.services.of_account(account_sid)
        for sender in held.head.senders
        if can_be_owned(sender.address)
    }


def _matches(stored: Configuration, address: str, named: str) -> bool:
    part = named.strip().casefold()
    recorded = stored.numbers.at(address) if part else None
    return part in address or bool(recorded and part in recorded.friendly_name.casefold())


def _row(stored: Configuration, address: str, service: MessagingService | None) -> Row:
    if service is None:
        number = stored.numbers.at(address)
        assert number is not None  # listed because it is recorded
        return Row(number, None)
    [sender] = [one for one in service.senders if one.address == address]
    return Row(in_pool(stored, service, sender), service)
