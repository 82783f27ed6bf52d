"""The block list of an account: list, look up, block, unblock, check."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, Field

from processor.core.blocks import Block
from processor.core.identity import cause_of
from processor.core.messages import (
    ChannelGroup,
    OutboundSend,
    Scope,
    channel_group_of,
    entry_of,
)
from processor.http.addresses import Recipient
from processor.http.auth import Caller, CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.history_pages import Below, Limit, Since, meta_of_changes
from processor.http.limits import LOOKED_AT
from processor.http.links import url_of
from processor.http.long_responses import written
from processor.http.paging import MAX_PAGE
from processor.http.recipients import (
    Change,
    Given,
    carry_out,
    changes_of,
    command_of,
    look,
)
from processor.http.responses.blocks import (
    BlocksPage,
    Changed,
    Checked,
    History,
    RecipientBlocks,
    Verdict,
    blocks_on,
    verdict_of,
)
from processor.http.scanning import Scan, refuse_partial
from processor.http.send_checks import holder_of
from processor.wire import blocks as wire_blocks
from processor.wire.blocks import BlockLine
from processor.wire.json_values import to_ms
from schemas.common import SenderAddress, Sid

router = APIRouter(route_class=Known, prefix="/v1/OptOuts", tags=["block list"])

MOST_CHECKED = 1_000
_SLICE = 100  # recipients that are judged before others are served
_MOST_LOOKED_AT = 20_000  # entries, everybody's, of a page whose filter lets little through
_Recipient = Annotated[
    Recipient,
    Path(description="An E.164 number, `whatsapp:` before it for WhatsApp; or a user id there."),
]


class Check(Given):
    """The recipients to check, and the sender or service that would write to them."""

    recipients: list[Recipient] = Field(
        min_length=1, max_length=MOST_CHECKED, examples=[["+15551234567", "+15551234568"]]
    )
    sender: SenderAddress | None = Field(default=None, alias="from", examples=["+15005550006"])
    service_sid: Sid | None = None


@router.post("/Check", response_model=Checked)
async def check(backend: BackendIs, caller: CallerIs, given: Check) -> Response:
    """Check, as the gate would, whether sends would go out now; for callers without Kafka."""
    account = caller.account
    service_sid = given.service_sid or holder_of(backend, account, given.sender)
    looked = await look(backend, [entry_of(account, one) for one in given.recipients])
    backend.charge(caller, LOOKED_AT * len(given.recipients))
    results: list[Verdict] = []
    for at in range(0, len(looked), _SLICE):
        if at:
            await asyncio.sleep(0)  # let other requests run
        results += [
            verdict_of(
                OutboundSend("", account, service_sid, given.sender, recipient),
                found,
                () if given.sender else _pool_for(backend, account, service_sid, recipient),
            )
            for recipient, found in zip(
                given.recipients[at : at + _SLICE], looked[at : at + _SLICE], strict=True
            )
        ]
    checked: Checked = {"results": results}
    return written(checked)


def _pool_for(
    backend: Backend, account_sid: str, service_sid: str | None, recipient: str
) -> list[str]:
    """Find the addresses of a service's senders that can reach a recipient."""
    stored = backend.configuration.services.get(service_sid) if service_sid else None
    if stored is None or stored.head.account_sid != account_sid:
        return []
    group = channel_group_of(recipient)
    return [one.address for one in stored.head.senders if channel_group_of(one.address) is group]


@router.get("/Blocks", response_model=BlocksPage)
async def list_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    scope: Annotated[Scope | None, Query(description="Only blocks of this scope.")] = None,
    service_sid: Annotated[Sid | None, Query(description="Only blocks of this service.")] = None,
    sender: Annotated[
        SenderAddress | None, Query(description="Only blocks of this sender.")
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only blocks made at or after this time.")
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(description="Only blocks made before this time.")
    ] = None,
    channel_group: Annotated[
        ChannelGroup | None, Query(description="Only blocks of this channel group.")
    ] = None,
    carrier: Annotated[
        bool | None, Query(description="Only the toll-free network's own blocks.")
    ] = None,
    cause: Annotated[
        Sid | None, Query(description="Only blocks by this message or command.")
    ] = None,
    page_size: Annotated[
        int, Query(alias="PageSize", ge=1, le=MAX_PAGE, description="Approximate number of blocks.")
    ] = 50,
    page_token: Annotated[
        str,
        Query(
            alias="PageToken",
            pattern=r"^\d{1,4}-\d{1,20}$",
            description="Copied from a page's link.",
        ),
    ] = "0-0",
) -> Response:
    """List blocks in no particular order; a page may repeat a block of the page before.

    A page may be short or empty and still have a next page, as each page reads a limited number of
    entries. The recipient's history shows the kind of cause: a keyword, the API, a file.
    """
    since_ms = to_ms(since) if since else 0
    until_ms = to_ms(until) if until else None

    def wanted(key: str, block: Block) -> bool:
        return (
            scope in (None, block.scope)
            and (service_sid is None or block.place[:2] == (Scope.SERVICE, service_sid))
            and (sender is None or block.place[:2] == (Scope.SENDER, sender))
            and block.since_ms >= since_ms
            and (until_ms is None or block.since_ms < until_ms)
            and channel_group in (None, channel_group_of(key))
            and carrier in (None, block.carrier)
            and (
                cause is None
                or any(cause_of(source.change_id) == cause for source in block.sources)
            )
        )

    partition, cursor = map(int, page_token.split("-"))
    scan = Scan(
        backend,
        caller,
        lambda key, value: [
            wire_blocks.line_of(key, block)
            for block in wire_blocks.listed(value)
            if wanted(key, block)
        ],
        few=page_size,
    )
    found: list[BlockLine] = []
    whole = -1  # the last partition found to be whole
    async with backend.redis_turns.turn(caller.payer):
        while partition < backend.settings.partitions and len(found) < page_size:
            if partition != whole:
                await refuse_partial(backend, partition)
                whole = partition
            cursor, lines = await scan.some(partition, cursor)
            found += lines
            partition += cursor == 0
            if scan.looked_at >= _MOST_LOOKED_AT:
                break
    backend.charge(caller, scan.cost)
    more = partition < backend.settings.partitions
    query = request.url.include_query_params(PageToken=f"{partition}-{cursor}").query
    here = url_of(request, request.url.path)
    answer: BlocksPage = {
        "meta": {
            "key": "blocks",
            "page_size": page_size,
            "next_page_url": f"{here}?{query}" if more else None,
        },
        "blocks": found,
    }
    return written(answer)


@router.get("/Blocks/{recipient}")
async def get(backend: BackendIs, caller: CallerIs, recipient: _Recipient) -> RecipientBlocks:
    """Show every block of the account on a recipient, of any scope."""
    (found,) = await look(backend, [entry_of(caller.account, recipient)])
    return blocks_on(caller.account, recipient, found)


@router.get("/Blocks/{recipient}/History", response_model=History)
async def history(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    recipient: _Recipient,
    limit: Limit = 100,
    since: Since = None,
    below: Below = None,
) -> Response:
    """Show how the account's blocks on a recipient changed and why, newest first."""
    found = await changes_of(
        backend,
        caller,
        caller.account,
        recipient,
        channel_group_of(recipient),
        limit=limit,
        since_ms=to_ms(since) if since else None,
        below=below,
    )
    answer: History = {
        "meta": meta_of_changes(request, limit, found.below),
        "recipient": recipient,
        "changes": found.values,
    }
    return written(answer)


_CHANGE: dict[int | str, dict[str, object]] = {
    200: {"description": "The change is in force."},
    202: {
        "description": "The change is stored, and a worker will carry it out.",
        "model": Changed,
    },
}


@router.post("/Block", responses=_CHANGE)
async def block(response: Response, backend: BackendIs, caller: CallerIs, given: Change) -> Changed:
    """Put a recipient on the block list, and wait until every gate refuses it."""
    return await _change(response, backend, caller, given, blocked=True)


@router.post("/Unblock", responses=_CHANGE)
async def unblock(
    response: Response, backend: BackendIs, caller: CallerIs, given: Change
) -> Changed:
    """Take a recipient off the block list; only START lifts a toll-free network's own block."""
    return await _change(response, backend, caller, given, blocked=False)


async def _change(
    response: Response, backend: Backend, caller: Caller, given: Change, *, blocked: bool
) -> Changed:
    command = command_of(backend, caller, given, blocked=blocked, source="api")
    found = await carry_out(backend, command)
    if found is None:
        response.status_code = 202
        return {"command_id": command.command_id, "in_force": False}
    now = blocks_on(command.account_sid, given.recipient, found)
    return {"command_id": command.command_id, "in_force": True, **now}
