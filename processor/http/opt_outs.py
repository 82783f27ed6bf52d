"""Advanced Opt-Out configurations, in the names of Twilio's unreleased messaging.v3 OptOuts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from processor.configuration import drafts
from processor.configuration.apply import disabled, enabled
from processor.configuration.trial import try_out
from processor.core.messages import Arrival, InboundMessage
from processor.errors import ConfigError
from processor.http.addresses import Recipient
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.errors import ApiError, problem_body
from processor.http.opt_out_drafts import (
    TAGGED,
    Draft,
    IfMatch,
    OptOutSid,
    etag,
    stored,
)
from processor.http.paging import PageIs, meta_of, slice_of
from processor.http.responses.documented import Documented
from processor.http.responses.opt_outs import (
    Configuration,
    Configurations,
    Diff,
    Trial,
    Trials,
    Validated,
    head_of,
    trial_of,
    whole_of,
)
from processor.http.responses.services import created_at
from schemas.common import Body as MessageBody
from schemas.common import CountryCode, SenderAddress
from schemas.messaging_service import MessagingService, OptOut

router = APIRouter(route_class=Known, prefix="/v3/OptOuts", tags=["opt-out configurations"])

_Document = Annotated[
    dict[str, object],
    Documented(OptOut),
    Body(
        description="A configuration as `opt_out` of services.yaml.",
        examples=[{"standard": {"STOP": {"keywords": ["stop", "end"], "reply": "You are out."}}}],
    ),
]


class Try(BaseModel):
    """A message as it would arrive."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    body: MessageBody = Field(examples=["Stop!"])
    recipient: Recipient = Field(default="+15550100000", description="Who texts.")
    country: CountryCode | None = Field(default=None, description="The recipient's, if not told.")
    sender: SenderAddress | None = Field(default=None, description="Default: the pool's first.")
    blocked: bool = Field(default=False, description="Whether the recipient is blocked before.")


@router.get("")
async def list_(
    request: Request, backend: BackendIs, caller: CallerIs, page: PageIs
) -> Configurations:
    """List the configurations, the newest first."""
    stored = backend.configuration.services.of_account(caller.account)
    heads = sorted((one.head for one in stored), key=lambda one: (created_at(one), one.sid))
    found = slice_of(heads[::-1], page, lambda service: service.sid)
    return {
        "meta": meta_of(request, page, "opt_outs", found),
        "opt_outs": [head_of(service) for service in found.items],
    }


@router.get("/{sid}", responses=TAGGED)
async def fetch(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: OptOutSid
) -> Configuration:
    """Read a configuration whole: its draft, and what is in force."""
    return _whole(response, stored(request, backend, caller, sid))


@router.put("/{sid}", responses=TAGGED)
async def replace(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    document: _Document,
    if_match: IfMatch = None,
) -> Configuration:
    """Replace the draft; where Advanced Opt-Out is enabled, it is in force at once."""
    at = Draft(request, backend, caller, sid, if_match)
    return _whole(response, await at.save(lambda service: document))


@router.post("/{sid}/Validate")
async def validate(
    request: Request, backend: BackendIs, caller: CallerIs, sid: OptOutSid, document: _Document
) -> Validated:
    """Say what is wrong with a draft (errors, which refuse it) and what to look at (warnings)."""
    service = stored(request, backend, caller, sid)
    try:
        after = drafts.with_draft(service, document, now=datetime.now(UTC))
    except ConfigError as error:
        return {"errors": [problem_body(problem) for problem in error.values], "warnings": []}
    warnings = [problem_body(warning) for warning in drafts.warnings_in_draft(after)]
    return {"errors": [], "warnings": warnings}


@router.get("/{sid}/Diff", responses=TAGGED)
async def diff(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: OptOutSid
) -> Diff:
    """How the draft differs from what is in force, or from default handling."""
    service = stored(request, backend, caller, sid)
    response.headers["ETag"] = etag(service)
    differing = [str(difference) for difference in drafts.not_in_force(service)]
    return {"differences": differing, "enabled": service.active is not None}


@router.post("/{sid}/Enable", responses=TAGGED)
async def enable(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    if_match: IfMatch = None,
) -> Configuration:
    """Put the draft in force; only an operator can undo it."""
    at = Draft(request, backend, caller, sid, if_match)
    after = await at.change(lambda service: enabled(service, now=datetime.now(UTC)))
    return _whole(response, after)


@router.post(
    "/{sid}/Disable", responses={**TAGGED, 403: {"description": "Not the operator (20403)."}}
)
async def disable(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    if_match: IfMatch = None,
) -> Configuration:
    """Back to default handling; the operator's alone."""
    if not caller.operator:
        raise ApiError(403, 20403, "Only an operator may disable Advanced Opt-Out")
    at = Draft(request, backend, caller, sid, if_match)
    after = await at.change(lambda service: disabled(service, now=datetime.now(UTC)))
    return _whole(response, after)


@router.post("/{sid}/Try")
async def try_(
    request: Request, backend: BackendIs, caller: CallerIs, sid: OptOutSid, given: Try
) -> Trials:
    """The outcome of a message under the draft and under the configuration in force, and why."""
    service = stored(request, backend, caller, sid)
    senders = [one.address for one in service.senders]
    message = InboundMessage(
        message_sid="SMtry",
        account_sid=service.account_sid,
        service_sid=service.sid,
        recipient=given.recipient,
        sender=given.sender or next(iter(senders), "+15550100001"),
        body=given.body,
        from_country=given.country,
        num_media=0,
        received_at_ms=0,
        arrival=Arrival(0),
    )
    scope = backend.settings.block_scope

    def tried(*, draft: bool) -> Trial:
        return trial_of(try_out(service, message, blocked=given.blocked, draft=draft, scope=scope))

    return {"draft": tried(draft=True), "active": tried(draft=False)}


def _whole(response: Response, service: MessagingService) -> Configuration:
    response.headers["ETag"] = etag(service)
    return whole_of(service)
