"""Try it: what a message would come to under the draft and under what is in force; none is sent."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from processor import clocks
from processor.configuration.trial import Trial, try_out
from processor.core.events import ReplySent
from processor.core.messages import Arrival, InboundMessage, OptOutType
from processor.http.console.layers import layer_at
from processor.http.console.pages import Page, page
from processor.http.console.saving import ShownIs
from processor.http.console.sessions import PATH
from processor.wire.countries import COUNTRIES

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_SID = "SM" + 32 * "0"
_RECIPIENT = "+10000000000"  # nobody's; the country is the form's


class Outcome(NamedTuple):
    """What a message would come to under one configuration, and why."""

    title: str
    why: str
    trial: Trial
    reply: str  # the text, or why there is none


@router.get("/services/{sid}/try")
async def form(request: Request, shown: ShownIs, sid: str) -> Response:
    """The form, and the outcome of what was typed into it; nothing is changed."""
    service = shown.now()
    given = request.query_params
    now_ms = clocks.now_ms()
    message = InboundMessage(
        message_sid=_SID,
        account_sid=service.account_sid,
        service_sid=service.sid,
        recipient=_RECIPIENT,
        sender=given.get("sender") or (service.senders[0].address if service.senders else "+1"),
        body=given.get("body", ""),
        from_country=given.get("country") if given.get("country") in COUNTRIES else None,
        num_media=0,
        received_at_ms=now_ms,
        arrival=Arrival(now_ms),
    )
    blocked = "blocked" in given
    scope = shown.backend.settings.block_scope
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
        return Outcome(title, where, trial, _reply(trial))
    if trial.keyword:
        why = "YES from somebody not blocked is no keyword here."
        return Outcome(title, why, trial, "none")
    why = "The whole body is no keyword: an ordinary message, the application's business."
    if not trial.aoo_enabled:
        why += " Default handling knows English words, and none on short codes and WhatsApp."
    return Outcome(title, why, trial, "none")


def _reply(trial: Trial) -> str:
    if trial.reply:
        return trial.reply
    if trial.reply_sent is ReplySent.CARRIER:
        return "The toll-free network's own"
    match trial.kind:
        case OptOutType.STOP:
            return "none: blocked already, it was sent then"
        case OptOutType.HELP:
            return "none: who is blocked gets none on this type of sender"
        case _:
            return "none"
