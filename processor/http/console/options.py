"""The options of a draft: how a service's keywords are matched and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from processor.configuration.drafts import with_draft
from processor.core.messages import SenderType
from processor.core.placeholders import PLACEHOLDERS
from processor.errors import ConfigError, Problem
from processor.http.console.pages import Page, go, page
from processor.http.console.saving import SavedMeanwhile, ShownIs
from processor.http.console.sessions import PATH
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)


@router.get("/services/{sid}/options")
async def edit(request: Request, shown: ShownIs) -> Response:
    """Show the form."""
    service = shown.now()
    return _form(request, service, service.opt_out.model_dump(), service.model_dump())


@router.post("/services/{sid}/options")
async def save(request: Request, shown: ShownIs, sid: str) -> Response:
    """Save the options; if the service is enabled, they take effect at once."""
    form = await request.form()
    typed = _typed(form)
    texts = {name: str(form.get(name, "")).strip() or None for name in PLACEHOLDERS}
    problems: Sequence[Problem] = ()

    def step(before: MessagingService) -> MessagingService:
        draft = before.opt_out.model_dump(mode="json") | typed
        return with_draft(before, draft, now=datetime.now(UTC), **texts)

    try:
        await shown.change(form, step)
        return go(f"/services/{sid}", "saved")
    except ConfigError as error:
        problems = error.values
    except SavedMeanwhile:
        pass  # the page shows it beside the choices
    service = shown.now()
    return _form(
        request,
        service,
        typed,
        texts,
        status=422 if problems else 409,
        problems=problems,
        meanwhile=not problems,
    )


def _typed(form: FormData) -> dict[str, object]:
    return {
        "match": form.get("match", ""),
        "repeat_reply": form.get("repeat_reply", ""),
        "yes_only_when_blocked": "yes_only_when_blocked" in form,
        "help_when_blocked": form.getlist("help_when_blocked"),
        "stop_when_blocked": form.getlist("stop_when_blocked"),
        "reply_limit": form.get("reply_limit", ""),
        "late_reply": form.get("late_reply", ""),
        **{name: form.get(name) or None for name in ("phrases", "suspected", "overdue")},
    }


def _form(
    request: Request,
    service: MessagingService,
    chosen: Mapping[str, object],
    texts: Mapping[str, object],
    *,
    status: int = 200,
    **values: object,
) -> Response:
    shown = {"problems": (), "meanwhile": False, "types": list(SenderType), **values}
    shown["texts"] = {name: texts[name] or "" for name in PLACEHOLDERS}
    return page(request, "options", status=status, service=service, chosen=chosen, **shown)
