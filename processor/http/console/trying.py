"""Try it: what a message would come to under the draft and under what is in force; none is sent."""

from __future__ import annotations

import time
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from processor.core.messages import InboundMessage
from processor.http.backend import BackendIs
from processor.http.console.layers import layer_at
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.services import find
from processor.wire.countries import COUNTRIES
from processor.wire.opt_outs import Trial, try_out

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_SID = "SM" + 32 * "0"
_RECIPIENT = "+10000000000"  # nobody's; the country is the form's


class Outcome(NamedTuple):
    """What a message would come to under one configuration, and why."""

    title: str
    why: str
    trial: Trial


@router.get("/services/{sid}/try")
async def form(request: Request, backend: BackendIs, session: SessionIs, sid: str) -> Response:
    """The form, and the outcome of what was typed into it; nothing is changed."""
    service = find(request, backend, session.caller, sid).whole()
    given = request.query_params
    message = InboundMessage(
        message_sid=_SID,
        account_sid=service.account_sid,
        service_sid=service.sid,
        recipient=_RECIPIENT,
        sender=given.get("sender") or (service.senders[0].address if service.senders else "+1"),
        body=given.get("body", ""),
        from_country=given.get("country") if given.get("country") in COUNTRIES else None,
        num_media=0,
        received_at_ms=time.time_ns() // 1_000_000,
    )
    blocked = "blocked" in given
    scope = backend.settings.block_scope
    outcomes = [
        _outcome(title, try_out(service, message, blocked=blocked, draft=draft, scope=scope))
        for title, draft in (("Draft", True), ("In force", False))
    ]
    return page(
        request,
        "try",
        service=service,
        message=message,
        blocked=blocked,
        outcomes=outcomes if "body" in given else (),
        countries=sorted(COUNTRIES),
    )


def _outcome(title: str, trial: Trial) -> Outcome:
    if trial.kind:
        layer = layer_at(trial.layer or "")
        where = layer.title if layer and trial.aoo_enabled else "Default handling"
        return Outcome(title, where, trial)
    if trial.keyword:
        return Outcome(title, "YES from somebody not blocked is no keyword here.", trial)
    why = "The whole body is no keyword: an ordinary message, the application's business."
    if not trial.aoo_enabled:
        why += " Default handling knows English words, and none on short codes and WhatsApp."
    return Outcome(title, why, trial)
