"""Try it: the result of a message under the draft and the active configuration; nothing is sent."""

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
_RECIPIENT = "+10000000000"  # an unassigned number; the form gives the country


class Outcome(NamedTuple):
    """The result of a message under a configuration, and the reason."""

    title: str
    why: str
    trial: Trial
    reply: str  # the text, or the reason for its absence


@router.get("/services/{sid}/try")
@router.get("/services/{sid}/steps/try")
async def form(request: Request, shown: ShownIs, sid: str) -> Response:
    """Show the form, and the result for its message; nothing is changed."""
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
        if trial.finding:
            where = f"Not a keyword, but {trial.finding.tier} with the policy block. {where}"
        return Outcome(title, where, trial, _reply(trial))
    if trial.keyword:
        why = "YES is not a keyword here unless the recipient is blocked."
        return Outcome(title, why, trial, "none")
    if trial.finding:
        why = f"Not a keyword, but {trial.finding.tier}: a person would review it."
        return Outcome(title, why, trial, "none")
    why = "The body as a whole is not a keyword: the message is passed to the application."
    if not trial.aoo_enabled:
        why += (
            " Default handling knows only English words, and no words on short codes and WhatsApp."
        )
    return Outcome(title, why, trial, "none")


def _reply(trial: Trial) -> str:
    if trial.reply:
        return trial.reply
    if trial.reply_sent is ReplySent.CARRIER:
        return "The toll-free network's own"
    match trial.kind:
        case OptOutType.STOP:
            return "none: the recipient was blocked already, and got the reply then"
        case OptOutType.HELP:
            return "none: blocked recipients get no reply on this type of sender"
        case _:
            return "none"
