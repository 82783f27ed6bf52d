"""Rename, copy and delete a service, each on a page of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from processor.configuration.apply import changed
from processor.configuration.change import create_service
from processor.configuration.new_services import copy_of, new_sid
from processor.errors import EditRefused
from processor.http.backend import BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, ShownIs
from processor.http.console.service_names import MOST, WRONG_NAME, as_name
from processor.http.console.sessions import PATH, SessionIs
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_NOT_ITS_NAME = "This is not the service's name."


@router.get("/services/{sid}/rename")
async def ask_name(request: Request, shown: ShownIs) -> Response:
    """Ask for another name."""
    service = shown.now()
    return _naming(request, service, "Rename", service.friendly_name)


@router.post("/services/{sid}/rename")
async def rename(request: Request, shown: ShownIs, sid: str) -> Response:
    """Give the service another name."""
    form = await request.form()
    typed = str(form.get("name", "")).strip()
    try:
        name = as_name(typed)
        await shown.change(form, lambda before: changed(before, friendly_name=name))
    except ValidationError:
        return _naming(request, shown.now(), "Rename", typed, WRONG_NAME)
    except EditRefused as error:
        return _naming(request, shown.now(), "Rename", typed, "; ".join(error.problems))
    except SavedMeanwhile:
        return _naming(request, shown.now(), "Rename", typed, status=409)
    return go(f"/services/{sid}", "saved")


@router.get("/services/{sid}/copy")
async def ask_copy(request: Request, shown: ShownIs) -> Response:
    """Say what a copy has, and ask for its name."""
    service = shown.now()
    return _naming(request, service, "Copy", f"Copy of {service.friendly_name}"[:MOST])


@router.post("/services/{sid}/copy")
async def copy(
    request: Request, shown: ShownIs, backend: BackendIs, session: SessionIs
) -> Response:
    """Create a copy, and go on to its senders."""
    typed = str((await request.form()).get("name", "")).strip()
    try:
        made = copy_of(shown.now(), new_sid(), as_name(typed), now=datetime.now(UTC))
        await create_service(backend.configuration, made, actor=session.actor)
    except ValidationError:
        return _naming(request, shown.now(), "Copy", typed, WRONG_NAME)
    except EditRefused as error:
        return _naming(request, shown.now(), "Copy", typed, "; ".join(error.problems))
    return go(f"/services/{made.sid}/steps/senders", "created")


@router.get("/services/{sid}/delete")
async def confirm(request: Request, shown: ShownIs) -> Response:
    """Say what deleting will do."""
    return _deleting(request, shown.now())


@router.post("/services/{sid}/delete")
async def delete(request: Request, shown: ShownIs) -> Response:
    """Delete the service, if its name was typed."""
    form = await request.form()
    service = shown.now()
    if str(form.get("confirm", "")).strip() != service.friendly_name.strip():
        return _deleting(request, service, str(form.get("confirm", "")), _NOT_ITS_NAME)
    try:
        await shown.delete(form)
    except SavedMeanwhile:
        return _deleting(request, shown.now(), status=409)
    return go("/services", "deleted")


def _naming(
    request: Request,
    service: MessagingService,
    verb: str,
    name: str,
    problem: str = "",
    status: int = 200,
) -> Response:
    status = 422 if problem else status
    shown = {"service": service, "verb": verb, "name": name, "problem": problem}
    return page(request, "name_service", status=status, meanwhile=status == 409, **shown)


def _deleting(
    request: Request,
    service: MessagingService,
    typed: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    status = 422 if problem else status
    shown = {"service": service, "typed": typed, "problem": problem, "meanwhile": status == 409}
    return page(request, "delete_service", status=status, **shown)
