"""The block list of an account: who is on it, since when and why; block, unblock, check."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from processor.core import gate
from processor.core.blocks import Block, Blocks, place_for
from processor.core.events import change_id_of
from processor.core.messages import (
    ChannelGroup,
    ConsentCommand,
    OutboundSend,
    Scope,
    bare_number,
    channel_group_of,
    list_key,
)
from processor.core.partitions import partition_of
from processor.errors import RetryableError, StoreUnavailable
from processor.http import block_views
from processor.http.auth import Caller, CallerIs
from processor.http.backend import Backend, BackendIs
from processor.http.changes import Limit, Since
from processor.http.errors import ApiError, wrong_parameter
from processor.http.links import url_of
from processor.http.paging import MAX_PAGE
from processor.kafka.client import Outgoing
from processor.kafka.histories import newest
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands
from processor.wire.json_values import to_ms
from schemas.common import RecipientAddress, SenderAddress, Sid

router = APIRouter(prefix="/v1/OptOuts", tags=["block list"])

MOST_CHECKED = 1_000
_LOOK_S = 2.0  # a list that cannot be trusted by then: 503
_HINT_S = 0.5  # the gate judges all the same
_IN_FORCE_S = 5.0
_POLL_S = 0.01
_MOST_WAITING = 200  # looks at a list that cannot be trusted outlive their requests
_SCANS = 50  # of a page whose filter lets little through
_Recipient = Annotated[
    RecipientAddress, Path(description="An E.164 number; `whatsapp:` before it for WhatsApp.")
]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Check(_Given):
    """Whom one wants to write to, and as whom."""

    recipients: list[RecipientAddress] = Field(
        min_length=1, max_length=MOST_CHECKED, examples=[["+15551234567", "+15551234568"]]
    )
    sender: SenderAddress | None = Field(default=None, alias="from", examples=["+15005550006"])
    service_sid: Sid | None = None


class Change(_Given):
    """Whom to block or unblock, where, and why."""

    recipient: RecipientAddress = Field(examples=["+15551234567"])
    scope: Scope | None = Field(default=None, description="Default: OPTOUT_BLOCK_SCOPE.")
    service_sid: Sid | None = Field(default=None, description="For scope service.")
    sender: SenderAddress | None = Field(default=None, description="For scope sender.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=400)] = Field(
        examples=["asked by phone"]
    )


@router.post("/Check", response_model=block_views.Checked)
async def check(backend: BackendIs, caller: CallerIs, given: Check) -> Response:
    """Whether sends would go out now, as the gate judges, for senders that do not use Kafka."""
    account = caller.account
    service_sid = given.service_sid or _holder_of(backend, account, given.sender)
    looked = await _look(backend, [_key(one) for one in given.recipients])
    results = [
        _verdict(OutboundSend("", account, service_sid, given.sender, recipient), found)
        for recipient, found in zip(given.recipients, looked, strict=True)
    ]
    # Written here: it is asked before every send, and is what its model says.
    return Response(orjson.dumps({"results": results}), media_type="application/json")


def _holder_of(backend: Backend, account_sid: str, sender: str | None) -> str | None:
    """The service whose pool holds a sender (R1)."""
    holder = backend.configuration.services.holder_of(account_sid, sender) if sender else None
    return holder.head.sid if holder else None


async def is_refused(backend: Backend, account_sid: str, sender: str, recipient: str) -> bool:
    """Whether the gate would refuse a send now; False where the list cannot be trusted."""
    send = OutboundSend(
        "", account_sid, _holder_of(backend, account_sid, sender), sender, recipient
    )
    try:
        (found,) = await _look(backend, [_key(recipient)], within_s=_HINT_S)
    except (ApiError, RetryableError):
        return False  # the gate waits, and judges
    return isinstance(gate.judge(send, wire_blocks.unpack(found.value)), gate.Refused)


def _verdict(send: OutboundSend, found: Found) -> dict[str, Any]:
    verdict = gate.judge(send, wire_blocks.unpack(found.value))
    refused = verdict.block if isinstance(verdict, gate.Refused) else None
    return {
        "recipient": send.recipient,
        "allowed": refused is None,
        "error_code": gate.ERROR_CODE if refused else None,
        "block": wire_blocks.line_of(send.recipient, refused) if refused else None,
        "mark": str(found.mark),
    }


@router.get("/Blocks", response_model=block_views.Page)
async def list_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    scope: Annotated[Scope | None, Query(description="Only of this scope.")] = None,
    service_sid: Annotated[Sid | None, Query(description="Only of this service.")] = None,
    sender: Annotated[SenderAddress | None, Query(description="Only of this sender.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Blocked from then on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Blocked before then.")] = None,
    channel_group: Annotated[ChannelGroup | None, Query(description="Only of these.")] = None,
    carrier: Annotated[bool | None, Query(description="Only the toll-free network's own.")] = None,
    cause: Annotated[Sid | None, Query(description="Only of this message or command.")] = None,
    page_size: Annotated[int, Query(alias="PageSize", ge=1, le=MAX_PAGE)] = 50,
    page_token: Annotated[str, Query(alias="PageToken", pattern=r"^\d{1,4}-\d{1,20}$")] = "0-0",
) -> dict[str, Any]:
    """List blocks, in no order; a page holds about so many, and perhaps one of the last again.

    What kind of cause a block has (a keyword, the API, a file) the recipient's history tells.
    """
    account = caller.account
    since_ms = to_ms(since) if since else 0
    until_ms = to_ms(until) if until else None

    def wanted(key: str, block: Block) -> bool:
        return (
            block.account_sid == account
            and scope in (None, block.scope)
            and (service_sid is None or block.place[1:3] == (Scope.SERVICE, service_sid))
            and (sender is None or block.place[1:3] == (Scope.SENDER, sender))
            and block.since_ms >= since_ms
            and (until_ms is None or block.since_ms < until_ms)
            and channel_group in (None, channel_group_of(key))
            and carrier in (None, block.carrier)
            and (cause is None or block.change_id == change_id_of(cause, block.place))
        )

    partition, cursor = map(int, page_token.split("-"))
    found: list[dict[str, Any]] = []
    for _ in range(_SCANS):
        if partition >= backend.settings.partitions or len(found) >= page_size:
            break
        await refuse_partial(backend, partition)
        cursor, entries = await backend.block_list_store.scan(partition, cursor, about=page_size)
        found += [
            wire_blocks.line_of(key, block)
            for key, value in entries
            for block in wire_blocks.unpack(value)
            if wanted(key, block)
        ]
        partition += cursor == 0
    more = partition < backend.settings.partitions
    query = request.url.include_query_params(PageToken=f"{partition}-{cursor}").query
    here = url_of(request, request.url.path)
    return {
        "meta": {
            "key": "blocks",
            "page_size": page_size,
            "next_page_url": f"{here}?{query}" if more else None,
        },
        "blocks": found,
    }


async def refuse_partial(backend: Backend, partition: int) -> None:
    """Refuse to answer from a partition whose list is not whole."""
    if (await backend.block_list_store.read(partition, ())).meta.ready is None:
        raise _cannot(["the block list is not whole; its owner rebuilds it"])


@router.get("/Blocks/{recipient}", response_model=block_views.Recipient)
async def get(backend: BackendIs, caller: CallerIs, recipient: _Recipient) -> dict[str, Any]:
    """Every block of the account on one recipient, of any scope."""
    (found,) = await _look(backend, [_key(recipient)])
    return _of(caller.account, recipient, found)


@router.get("/Blocks/{recipient}/History", response_model=block_views.History)
async def history(
    backend: BackendIs,
    caller: CallerIs,
    recipient: _Recipient,
    limit: Limit = 100,
    since: Since = None,
) -> dict[str, Any]:
    """How the account's blocks on one recipient changed and why, the newest first."""
    account, number = caller.account, bare_number(recipient)
    group = channel_group_of(recipient)

    def keep(key: bytes | None, change: dict[str, Any]) -> bool:
        return (
            key == number.encode()
            and change["account_sid"] == account
            and change["channel_group"] == group
        )

    async with backend.few_readers:
        found = await newest(
            backend.settings,
            backend.topics.block_changes,
            partition_of(number.encode(), backend.settings.partitions),
            keep=keep,
            limit=limit,
            since_ms=to_ms(since) if since else None,
        )
    return {"recipient": recipient, "changes": found}


_CHANGE: dict[str, Any] = {
    "response_model": block_views.Changed,
    "response_model_exclude_unset": True,
    "responses": {
        200: {"description": "It is in force."},
        202: {
            "description": "It is stored, and will be; no worker carried it out yet.",
            "model": block_views.Changed,
        },
    },
}


@router.post("/Block", **_CHANGE)
async def block(
    response: Response, backend: BackendIs, caller: CallerIs, given: Change
) -> dict[str, Any]:
    """Put a recipient on the block list, and wait until every gate refuses it."""
    return await _change(response, backend, caller, given, blocked=True)


@router.post("/Unblock", **_CHANGE)
async def unblock(
    response: Response, backend: BackendIs, caller: CallerIs, given: Change
) -> dict[str, Any]:
    """Take a recipient off the block list; a toll-free network's own block only START lifts."""
    return await _change(response, backend, caller, given, blocked=False)


async def _change(
    response: Response, backend: Backend, caller: Caller, given: Change, *, blocked: bool
) -> dict[str, Any]:
    command = _command(backend, caller, given, blocked=blocked)
    key = command.recipient.encode()
    value = consent_commands.checked(command)
    await backend.send(Outgoing(backend.topics.consent_commands, key, value))
    found = await _in_force(backend, command)
    response.status_code = 200 if found else 202
    told = _of(command.account_sid, given.recipient, found) if found else {}
    return {"command_id": command.command_id, "in_force": found is not None, **told}


def _command(backend: Backend, caller: Caller, given: Change, *, blocked: bool) -> ConsentCommand:
    scope = given.scope or backend.settings.block_scope
    if scope is Scope.SERVICE and given.service_sid is None:
        raise wrong_parameter("service_sid: scope service needs it")
    if scope is Scope.SENDER and given.sender is None:
        raise wrong_parameter("sender: scope sender needs it")
    if given.service_sid is not None:
        stored = backend.configuration.services.get(given.service_sid)
        if stored is None or stored.head.account_sid != caller.account:
            raise wrong_parameter("service_sid: no service of this account")
    return ConsentCommand(
        command_id=f"CC{uuid.uuid4().hex}",
        account_sid=caller.account,
        scope=scope,
        service_sid=given.service_sid,
        sender=given.sender,
        recipient=bare_number(given.recipient),
        channel_group=channel_group_of(given.recipient),
        blocked=blocked,
        source="api",
        reason=f"{given.reason} (by {caller.actor})",
        at_ms=time.time_ns() // 1_000_000,
    )


async def _in_force(backend: Backend, command: ConsentCommand) -> Found | None:
    """What is on the list once it is as a command asks; None where that takes too long."""
    place = place_for(
        command.scope,
        account_sid=command.account_sid,
        service_sid=command.service_sid,
        sender=command.sender,
    )
    key = list_key(command.recipient, command.channel_group)
    try:
        async with asyncio.timeout(_IN_FORCE_S):
            while True:
                (found,) = await backend.block_list.look([key])
                places = {one.place for one in wire_blocks.unpack(found.value)}
                if (place in places) is command.blocked:
                    return found
                await asyncio.sleep(_POLL_S)
    except (TimeoutError, StoreUnavailable):
        return None


async def _look(backend: Backend, keys: Sequence[str], *, within_s: float = _LOOK_S) -> list[Found]:
    if backend.block_list.waiting > _MOST_WAITING:
        raise _cannot(backend.block_list.waits_for)
    try:
        async with asyncio.timeout(within_s):
            return await backend.block_list.look(keys)
    except TimeoutError:
        raise _cannot(backend.block_list.waits_for) from None


def _cannot(why: Sequence[str]) -> ApiError:
    return ApiError(
        503,
        20503,
        "The block list cannot be trusted now: nobody may be written to",
        detail="; ".join(why) or "it took too long",
        headers={"Retry-After": "1"},
    )


def _key(recipient: str) -> str:
    return list_key(recipient, channel_group_of(recipient))


def _of(account_sid: str, recipient: str, found: Found) -> dict[str, Any]:
    blocks: Blocks = wire_blocks.unpack(found.value)
    mine = [one for one in blocks if one.account_sid == account_sid]
    return {
        "recipient": recipient,
        "blocked": bool(mine),
        "blocks": [wire_blocks.line_of(recipient, one) for one in mine],
        "mark": str(found.mark),
    }
