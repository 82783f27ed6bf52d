"""The block list of an account as files: export, and import row by row."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from processor.core.blocks import Block
from processor.http.auth import CallerIs
from processor.http.backend import Backend, BackendIs
from processor.http.blocks import refuse_partial
from processor.http.errors import ApiError
from processor.kafka.client import Outgoing
from processor.wire import blocks as wire_blocks
from processor.wire.block_rows import COLUMNS, command_of, csv_rows, json_rows
from processor.wire.json_values import reason

router = APIRouter(prefix="/v1/OptOuts", tags=["block list"])

_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_BATCH = 500
_MOST_NAMED = 1_000  # bad rows; the others are counted
_BODIES = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TYPES.values()}


@router.get("/Export", response_class=StreamingResponse)
async def export(
    backend: BackendIs,
    caller: CallerIs,
    kind: Annotated[Literal["csv", "jsonl"], Query(alias="Format")] = "jsonl",
) -> StreamingResponse:
    """Every block of the account, as Import takes it."""
    for partition in range(backend.settings.partitions):
        await refuse_partial(backend, partition)
    return StreamingResponse(_lines(backend, caller.account, kind), media_type=_TYPES[kind])


async def _lines(backend: Backend, account_sid: str, kind: str) -> AsyncIterator[bytes]:
    if kind == "csv":
        yield ",".join(COLUMNS).encode() + b"\r\n"
    for partition in range(backend.settings.partitions):
        async for key, value in backend.block_list_store.entries(partition):
            for block in wire_blocks.unpack(value):
                if block.account_sid == account_sid:
                    yield _line(key, block, kind)


def _line(key: str, block: Block, kind: str) -> bytes:
    line = wire_blocks.line_of(key, block)
    if kind == "jsonl":
        return orjson.dumps(line) + b"\n"
    out = io.StringIO()
    csv.DictWriter(out, COLUMNS).writerow(line)
    return out.getvalue().encode()


@router.post("/Import", status_code=202, openapi_extra={"requestBody": {"content": _BODIES}})
async def import_(request: Request, backend: BackendIs, caller: CallerIs) -> dict[str, Any]:
    """Block (or unblock, by a field `blocked`) every row of a CSV or JSON lines body.

    Good rows are stored as commands, bad ones named by their number and left out. The same row
    again changes nothing within OPTOUT_DEDUPE_HOURS.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _TYPES.values():
        raise ApiError(415, 20001, f"The body must be one of {', '.join(_TYPES.values())}")
    account = caller.account
    defaults: dict[str, str | None] = {
        "account_sid": account,
        "scope": backend.settings.block_scope.value,
        "source": "api",
        "reason": f"imported by {caller.actor}",
    }
    lines = (await request.body()).splitlines(keepends=True)
    rows = csv_rows(iter(lines), name="body") if given == _TYPES["csv"] else json_rows(lines)
    good, bad, errors, batch = 0, 0, [], []
    for number, row in rows:
        try:
            if isinstance(row, dict) and row.get("account_sid") not in (None, "", account):
                raise ValueError("account_sid: is another account's")
            key, value = command_of(row, defaults)
        except ValueError as error:
            bad += 1
            why = reason(error) if isinstance(error, ValidationError) else str(error)
            if bad <= _MOST_NAMED:
                errors.append({"row": number, "error": why})
            continue
        good += 1
        batch.append(Outgoing(backend.topics.consent_commands, key, value))
        if len(batch) >= _BATCH:
            await backend.send(*batch)
            batch = []
            await asyncio.sleep(0)  # others are served meanwhile
    await backend.send(*batch)
    return {"accepted": good, "refused": bad, "errors": errors}
