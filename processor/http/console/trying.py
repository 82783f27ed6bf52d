"""Try it: what a message would come to under the draft and under what is in force; none is sent."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from processor.core.blocks import NO_MARK, Block, place_for
from processor.core.decide import Decision, decide
from processor.core.events import OptOutNotification, ReplySend
from processor.core.messages import InboundMessage, Scope
from processor.core.policy import Match
from processor.core.services import Directory, Handling
from processor.http.backend import BackendIs
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs
from processor.http.services import find
from processor.wire.countries import COUNTRIES
from processor.wire.services import service_of
from schemas.messaging_service import MessagingService

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_SID = "SM" + 32 * "0"
_RECIPIENT = "+10000000000"  # nobody's; the country is the form's


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message would come to under one configuration."""

    title: str
    why: str
    match: Match | None = None
    reply: str | None = None
    reply_sent: str = "none"
    blocked: bool = False


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
    draft = service.model_copy(update={"active": service.opt_out})
    scope = backend.settings.block_scope
    outcomes = [
        outcome("Draft", draft, message, scope, blocked=blocked),
        outcome("In force", service, message, scope, blocked=blocked),
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


def outcome(
    title: str, service: MessagingService, message: InboundMessage, scope: Scope, *, blocked: bool
) -> Outcome:
    """Decide as the match lane would.

    Args:
        title: of the configuration.
        service: what is active in it decides.
        message: as received.
        scope: of new blocks, a setting.
        blocked: whether the recipient is on the list already.
    """
    directory = Directory([service_of(service)])
    handling = directory.handling(service.account_sid, service.sid, message.sender)
    if handling.policy is None:
        why = "Default handling does nothing on short codes and WhatsApp: the application answers."
        return Outcome(title, why, blocked=blocked)
    match = handling.policy.match(message.body, message.from_country)
    if match is None:
        why = "The whole body is no keyword: an ordinary message, the application's business."
        return Outcome(title, why, blocked=blocked)
    place = place_for(
        scope,
        account_sid=service.account_sid,
        service_sid=handling.service_sid,
        sender=message.sender,
    )
    blocks = (Block(*place, since_ms=0, change_id="", mark=NO_MARK),) if blocked else ()
    decision = decide(
        message,
        match,
        handling,
        blocks,
        country=message.from_country,
        scope=scope,
        mark=NO_MARK,
    )
    return _of_decision(title, match, handling, decision)


def _of_decision(title: str, match: Match, handling: Handling, decision: Decision) -> Outcome:
    reply = next((one.body for one in decision.events if isinstance(one, ReplySend)), None)
    told = next((one for one in decision.events if isinstance(one, OptOutNotification)), None)
    return Outcome(
        title,
        _layer_of(match, handling) if told else "YES from somebody not blocked is no keyword here.",
        match if told else None,
        reply,
        told.reply_sent if told else "none",
        bool(decision.blocks),
    )


def _layer_of(match: Match, handling: Handling) -> str:
    if not handling.aoo_enabled:
        return "Default handling"
    if match.country:
        return f"Country {match.country}, language {match.language}"
    return f"Language {match.language}" if match.language else "Standard keywords"
