"""Create a service in steps: its name, then senders, keywords, a trial, and enabling it.

The service exists from the first step on, and each step is saved. The steps *senders*, *try* and
*enable* are the pages of those names under another address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from processor.configuration.change import create_service
from processor.configuration.drafts import with_draft
from processor.configuration.languages import languages
from processor.configuration.layers import with_packs
from processor.configuration.new_services import new_service, new_sid
from processor.core.policy import standard_sets
from processor.errors import ConfigError, EditRefused, Problem
from processor.http.backend import BackendIs
from processor.http.console.acting import NO_ACCOUNT, NoAccount, caller_for
from processor.http.console.layers import Layer, fields_of
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, ShownIs
from processor.http.console.service_names import WRONG_NAME, as_name
from processor.http.console.sessions import PATH, SessionIs
from processor.wire.services import config_of
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_STANDARD = Layer(None, None)


@router.get("/services/new")
async def form(request: Request, session: SessionIs) -> Response:
    """Ask for the name of a new service."""
    return _form(request, {})


@router.post("/services/new")
async def create(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Create the service, and go on to its senders."""
    given = await request.form()
    try:
        caller = caller_for(backend, session, given.get("account"))
        name = as_name(str(given.get("name", "")).strip())
        service = new_service(new_sid(), caller.account, now=datetime.now(UTC), friendly_name=name)
        await create_service(backend.configuration, service, actor=session.actor)
    except NoAccount:
        return _form(request, given, account=NO_ACCOUNT)
    except ValidationError:
        return _form(request, given, name=WRONG_NAME)
    except EditRefused as error:
        return _form(request, given, name="; ".join(error.problems))
    return go(f"/services/{service.sid}/steps/senders", "created")


@router.get("/services/{sid}/steps/keywords")
async def keywords(request: Request, shown: ShownIs) -> Response:
    """Show the usual words, and the languages that can be added."""
    return _keywords(request, shown.now(), ())


@router.post("/services/{sid}/steps/keywords")
async def add_packs(request: Request, shown: ShownIs, sid: str) -> Response:
    """Add the starter packs of the chosen languages to the draft, and go on to the trial."""
    given = await request.form()
    chosen = [tag for tag in map(str, given.getlist("language")) if tag in languages()]

    def step(before: MessagingService) -> MessagingService:
        return with_draft(before, with_packs(before.opt_out, chosen), now=datetime.now(UTC))

    try:
        if chosen:
            await shown.change(given, step)
    except ConfigError as error:
        return _keywords(request, shown.now(), chosen, problems=error.values, status=422)
    except SavedMeanwhile:
        return _keywords(request, shown.now(), chosen, status=409)
    return go(f"/services/{sid}/steps/try")


def _form(request: Request, given: Mapping[str, object], **problems: str) -> Response:
    status = 422 if problems else 200
    return page(request, "new_service", status=status, given=given, problems=problems)


def _keywords(
    request: Request,
    service: MessagingService,
    chosen: Sequence[str],
    *,
    problems: Sequence[Problem] = (),
    status: int = 200,
) -> Response:
    return page(
        request,
        "keywords",
        status=status,
        service=service,
        layer=_STANDARD,
        fields=fields_of(_STANDARD, standard_sets(config_of(service.opt_out))),
        languages=languages().values(),
        chosen=chosen,
        problems=problems,
        meanwhile=status == 409,
    )
