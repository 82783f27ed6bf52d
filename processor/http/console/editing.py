"""Changing a layer of the draft, and putting it in force: nothing typed is ever lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from processor.configuration.apply import disabled, enabled
from processor.configuration.drafts import not_in_force, warnings_in_draft, with_draft
from processor.configuration.languages import tag_of
from processor.configuration.layers import kinds_at, with_sets
from processor.configuration.sender_warnings import OTHERWISE_REGISTERED
from processor.core.placeholders import filled
from processor.core.segments import segments_of
from processor.errors import ConfigError, Problem
from processor.http.console.layers import (
    Field,
    Layer,
    fields_of,
    layer_at,
    of_no_field,
    starter_fields,
    typed_fields,
    typed_sets,
)
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, ShownIs
from processor.http.console.sessions import PATH, for_operators
from processor.http.errors import not_found, wrong_parameter
from processor.wire.services import pool_of, values_of
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_NOTHING_GIVEN = "Fill in keywords and reply of one pair at least, or remove the language."
_OPERATORS = [for_operators("Only an operator may disable Advanced Opt-Out.")]


@router.get("/services/{sid}/new")
async def new(request: Request, shown: ShownIs, sid: str, language: str) -> Response:
    """On to the form of a language that is not there yet."""
    shown.now()  # or it is not there
    tag, country = tag_of(language), request.query_params.get("country", "")
    layer = layer_at((f"countries.{country}." if country else "") + f"languages.{tag}")
    if layer is None:
        raise wrong_parameter("Choose a language, and a country that is in the list.")
    pack = "?pack=1" if "pack" in request.query_params else ""
    return go(f"/services/{sid}/edit/{layer.place}{pack}")


@router.get("/services/{sid}/edit/{place}")
@router.get("/services/{sid}/steps/edit/{place}")
async def edit(request: Request, shown: ShownIs, place: str) -> Response:
    """The form of a layer; with `pack`, the language's starter pack in it."""
    service, layer = shown.now(), _layer(request, place)
    sets = kinds_at(service.opt_out, layer) or {}
    offered = "pack" in request.query_params and not sets
    fields = starter_fields(layer) if offered else fields_of(layer, sets, values_of(service))
    return _form(
        request,
        service,
        layer,
        fields,
        new=not sets,
        pack=offered,
        fallback=_fallback(service, layer),
    )


@router.post("/services/{sid}/edit/{place}")
@router.post("/services/{sid}/steps/edit/{place}")
async def save(request: Request, shown: ShownIs, sid: str, place: str) -> Response:
    """Save a layer whole, or show it again as it was typed with what is wrong beside it."""
    layer, form = _layer(request, place), await request.form()
    remove = "remove" in form
    sets = {} if remove else typed_sets(layer, form)
    fallback = "fallback" in form
    problems: Sequence[Problem] = ()

    def step(before: MessagingService) -> MessagingService:
        draft = with_sets(before.opt_out, layer, sets, fallback=fallback)
        return with_draft(before, draft, now=_now())

    if not sets and not remove and layer.language is not None:
        problems = [Problem((), "nothing_given", _NOTHING_GIVEN)]
    try:
        if not problems:
            await shown.change(form, step)
            in_steps = request.url.path.startswith(f"{PATH}/services/{sid}/steps/")
            back = f"/services/{sid}/steps/keywords" if in_steps else f"/services/{sid}"
            return go(back, "removed" if remove else "saved")
    except ConfigError as error:
        problems = error.values
    except SavedMeanwhile:
        pass  # said below, beside what was typed
    service = shown.now()
    theirs = fields_of(layer, kinds_at(service.opt_out, layer) or {}, values_of(service))
    return _form(
        request,
        service,
        layer,
        typed_fields(layer, form, problems, values_of(service)),
        status=422 if problems else 409,
        problems=of_no_field(layer, problems),
        theirs=() if problems else theirs,
        fallback=fallback,
    )


@router.get("/services/{sid}/enable")
@router.get("/services/{sid}/steps/enable")
async def confirm(request: Request, shown: ShownIs) -> Response:
    """Say what enabling will change, and for which senders."""
    return _confirmation(request, shown.now())


@router.post("/services/{sid}/enable")
async def enable(request: Request, shown: ShownIs, sid: str) -> Response:
    """Put the draft in force."""
    try:
        await shown.change(await request.form(), lambda before: enabled(before, now=_now()))
    except SavedMeanwhile:
        return _confirmation(request, shown.now(), status=409)
    return go(f"/services/{sid}", "enabled")


@router.get("/services/{sid}/disable", dependencies=_OPERATORS)
async def confirm_disabling(request: Request, shown: ShownIs) -> Response:
    """Say what disabling will do."""
    return _disabling(request, shown.now())


@router.post("/services/{sid}/disable", dependencies=_OPERATORS)
async def disable(request: Request, shown: ShownIs, sid: str) -> Response:
    """Back to default handling; the operator's alone (R5)."""
    try:
        await shown.change(await request.form(), lambda before: disabled(before, now=_now()))
    except SavedMeanwhile:
        return _disabling(request, shown.now(), status=409)
    return go(f"/services/{sid}", "disabled")


@router.post("/services/{sid}/count")
async def count(request: Request, shown: ShownIs, field: str) -> Response:
    """The cost of a reply, while it is typed, with its placeholders filled in."""
    reply = filled(str((await request.form()).get(field, "")), values_of(shown.now()))
    return page(request, "count", segments=segments_of(reply), characters=len(reply))


def _now() -> datetime:
    return datetime.now(UTC)


def _layer(request: Request, place: str) -> Layer:
    layer = layer_at(place)
    if layer is None:
        raise not_found(request)
    return layer


def _fallback(service: MessagingService, layer: Layer) -> bool:
    override = service.opt_out.countries.get(layer.country or "")
    return override.country_fallback if override else True


def _form(
    request: Request,
    service: MessagingService,
    layer: Layer,
    fields: Sequence[Field],
    *,
    status: int = 200,
    **values: object,
) -> Response:
    shown = {"new": False, "pack": False, "problems": (), "theirs": (), **values}
    return page(
        request, "edit", status=status, service=service, layer=layer, fields=fields, **shown
    )


def _disabling(request: Request, service: MessagingService, status: int = 200) -> Response:
    shown = {"service": service, "pool": service.senders, "meanwhile": status == 409}
    return page(request, "disable", status=status, **shown)


def _confirmation(request: Request, service: MessagingService, status: int = 200) -> Response:
    warnings = warnings_in_draft(service, enabled=True)
    return page(
        request,
        "enable",
        status=status,
        service=service,
        pool=pool_of(service),
        differences=not_in_force(service),
        short_codes=[one for one in warnings if one.code == OTHERWISE_REGISTERED],
        warnings=[one for one in warnings if one.code != OTHERWISE_REGISTERED],
        meanwhile=status == 409,
    )
