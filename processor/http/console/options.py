"""How a service's keywords are matched and answered: the options of the draft beside its words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from processor.core.messages import SenderType
from processor.errors import ConfigError
from processor.http.backend import BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, update
from processor.http.console.sessions import PATH, SessionIs
from processor.http.services import find
from processor.wire.opt_outs import with_draft

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@router.get("/services/{sid}/options")
async def edit(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """The form."""
    service = find(request, backend, session.caller, sid).whole()
    return _form(request, service, service.opt_out.model_dump())


@router.post("/services/{sid}/options")
async def save(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """Save the options; once enabled, they are in force at once."""
    form = await request.form()
    typed = _typed(form)
    problems: list[str] = []
    try:
        await update(
            request,
            backend,
            session,
            sid,
            form,
            lambda before: with_draft(
                before, before.opt_out.model_dump(mode="json") | typed, now=datetime.now(UTC)
            ),
        )
        return go(f"/services/{sid}", "saved")
    except ConfigError as error:
        problems = error.problems
    except SavedMeanwhile:
        pass  # said beside what was chosen
    service = find(request, backend, session.caller, sid).whole()
    return _form(
        request,
        service,
        typed,
        status=422 if problems else 409,
        problems=problems,
        meanwhile=not problems,
    )


def _typed(form: FormData) -> dict[str, Any]:
    return {
        "match": form.get("match", ""),
        "repeat_reply": form.get("repeat_reply", ""),
        "yes_only_when_blocked": "yes_only_when_blocked" in form,
        "help_when_blocked": form.getlist("help_when_blocked"),
    }


def _form(
    request: Request, service: Any, chosen: dict[str, Any], *, status: int = 200, **values: Any
) -> Response:
    shown = {"problems": (), "meanwhile": False, "types": list(SenderType), **values}
    return page(request, "options", status=status, service=service, chosen=chosen, **shown)
