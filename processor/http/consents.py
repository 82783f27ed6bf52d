"""accounts.v1 Consents and Contacts in bulk: consent that people gave outside of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from processor import clocks
from processor.core.addresses import subscriber_key
from processor.core.blocks import ACCOUNT, Place
from processor.core.consents import consent_command
from processor.core.messages import Scope
from processor.http.addresses import Recipient
from processor.http.auth import Caller, CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import wrong_parameter
from processor.http.forms import Form, documented, form_of
from processor.http.responses.accounts import Bulk, BulkItem
from processor.kafka.topics.owned_senders import owns
from processor.kafka.writing import Outgoing
from processor.wire import consent_commands
from processor.wire.json_values import to_ms
from schemas.common import CountryCode, SenderAddress, Time

router = APIRouter(route_class=Known, tags=["accounts.v1"])

MAX_ITEMS = 25
_CONSENT_ERROR, _CONTACT_ERROR = 30646, 30647

_Correlation = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Problems = list[str]


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    contact_id: Recipient
    correlation_id: _Correlation


class Consent(_Item):
    """A contact's opt-in or opt-out."""

    sender_id: SenderAddress | Annotated[str, StringConstraints(pattern=r"^MG[0-9a-fA-F]{32}$")]
    status: Literal["opt-in", "opt-out"]
    source: Literal["website", "offline", "opt-in-message", "opt-out-message", "others"]
    date_of_consent: Time | None = None


class Contact(_Item):
    """A contact's location."""

    country_iso_code: CountryCode | None = None
    zip_code: Annotated[str, StringConstraints(max_length=16)] | None = None


class Items(Form):
    """Up to 25 items, each a JSON object in its own parameter."""

    items: list[str] = Field(alias="Items", min_length=1)


@router.post("/v1/Consents/Bulk", status_code=201, openapi_extra=documented(Items))
async def consents(
    backend: BackendIs,
    caller: CallerIs,
    form: Annotated[Items, Depends(form_of(Items))],
) -> Bulk:
    """Block contacts who opted out, unblock those who opted in; an opt-in overrides a STOP."""
    records: list[Outgoing] = []

    def take(given: object) -> _Problems:
        consent = Consent.model_validate(given)
        problems = _problems_of(backend, caller, consent)
        if not problems:
            records.extend(_commands(backend, caller, consent))
        return problems

    answers = [_answer(item, take, _CONSENT_ERROR) for item in _few(form.items)]
    await backend.send(*records)
    return {"items": answers}


@router.post("/v1/Contacts/Bulk", status_code=201, openapi_extra=documented(Items))
async def contacts(caller: CallerIs, form: Annotated[Items, Depends(form_of(Items))]) -> Bulk:
    """Check the contacts' locations; they are not kept, as nothing here depends on them."""

    def take(given: object) -> _Problems:
        Contact.model_validate(given)
        return []

    return {"items": [_answer(item, take, _CONTACT_ERROR) for item in _few(form.items)]}


def _few(items: Sequence[str]) -> Sequence[str]:
    if len(items) > MAX_ITEMS:
        raise wrong_parameter(f"Items: at most {MAX_ITEMS} in a request")
    return items


def _answer(item: str, take: Callable[[object], _Problems], error_code: int) -> BulkItem:
    try:
        given = orjson.loads(item)
    except orjson.JSONDecodeError:
        given = None
    try:
        problems = take(given)
    except ValidationError as error:
        fields = [str(one["loc"][0]) if one["loc"] else "correlation_id" for one in error.errors()]
        problems = [f"INVALID_{field.upper()}" for field in dict.fromkeys(fields)]
    return {
        "correlation_id": given.get("correlation_id") if isinstance(given, dict) else None,
        "error_code": error_code if problems else 0,
        "error_messages": problems,
    }


def _problems_of(backend: Backend, caller: Caller, consent: Consent) -> _Problems:
    problems = []
    stored = backend.configuration
    if consent.sender_id.startswith("MG"):
        service = stored.services.get(consent.sender_id)
        mine = service is not None and service.head.account_sid == caller.account
    else:
        mine = owns(stored, caller.account, consent.sender_id)
    if not mine:
        problems.append("INVALID_SENDER_ID")
    if consent.date_of_consent and consent.date_of_consent > datetime.now(UTC):
        problems.append("INVALID_DATE_OF_CONSENT")
    return problems


def _commands(backend: Backend, caller: Caller, consent: Consent) -> list[Outgoing]:
    opt_out = consent.status == "opt-out"
    places = _places(backend, caller.account, consent.sender_id)
    at_ms = clocks.now_ms()
    return [
        Outgoing(
            backend.topics.consent_commands,
            subscriber_key(consent.contact_id).encode(),
            consent_commands.write(
                consent_command(
                    command_id=consent_commands.new_command_id(),
                    account_sid=caller.account,
                    recipient=consent.contact_id,
                    blocked=opt_out,
                    scope=place.scope,
                    service_sid=place.target if place.scope is Scope.SERVICE else None,
                    sender=place.target if place.scope is Scope.SENDER else None,
                    default_scope=backend.settings.block_scope,
                    source=f"consent-{consent.source}",
                    reason=f"{consent.status} by the Consents API ({consent.source})",
                    actor=caller.actor,
                    claimed_source=consent.source,
                    claimed_ms=_said_ms(consent) or at_ms,
                )
            ),
        )
        for place in (places[:1] if opt_out else places)
    ]


def _said_ms(consent: Consent) -> int | None:
    return to_ms(consent.date_of_consent) if consent.date_of_consent else None


def _places(backend: Backend, account_sid: str, sender_id: str) -> list[Place]:
    """Return the place of a consent for a sender or service, then other places that stop its sends.

    An opt-in lifts the same blocks as START to that sender (R21), so that it overrides a STOP.
    """
    services = backend.configuration.services
    if not sender_id.startswith("MG"):
        places = [Place(Scope.SENDER, sender_id), ACCOUNT]
        if holder := services.holder_of(account_sid, sender_id):
            places.append(Place(Scope.SERVICE, holder.head.sid))
        return places
    places = [Place(Scope.SERVICE, sender_id), ACCOUNT]
    stored = services.get(sender_id)
    pool = stored.head.senders if stored else []
    return places + [Place(Scope.SENDER, one.address) for one in pool]
