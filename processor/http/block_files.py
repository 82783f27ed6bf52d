"""Export an account's block list to a file, and import a file row by row."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from processor.core.blocks import Block
from processor.http.auth import Caller, CallerIs, address_of
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import ApiError
from processor.http.limits import MADE
from processor.http.responses.blocks import BadRow, Imported
from processor.http.scanning import Scan, refuse_partial
from processor.kafka.writing import Outgoing
from processor.wire import blocks as wire_blocks
from processor.wire.block_rows import (
    COLUMNS,
    LONGEST_LINE,
    Rows,
    command_of,
    new_import_id,
    row_of,
)
from processor.wire.json_values import reason
from schemas.common import Sid

logger = logging.getLogger(__name__)

router = APIRouter(route_class=Known, tags=["block list"])

IMPORT = "/v1/OptOuts/Import"
_PAUSE = 3  # exports are not urgent: they get a quarter of the time
_TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_AT_ONCE = 200  # rows stored together
_SLICE = 50  # rows read in a slice
_MOST_NAMED = 1_000  # bad rows; further bad rows are only counted
_TEXT: dict[str, object] = {"schema": {"type": "string"}}
_AS_TEXT = dict.fromkeys(_TYPES.values(), _TEXT)
_EXAMPLES = {
    "csv": "recipient,scope,sender\r\n+15551234567,sender,+15005550006\r\n",
    "jsonl": '{"recipient": "+15551234567", "blocked": false}\n',
}
_BODIES = {
    _TYPES[kind]: {**_AS_TEXT[_TYPES[kind]], "example": one} for kind, one in _EXAMPLES.items()
}


@router.get(
    "/v1/OptOuts/Export",
    response_class=StreamingResponse,
    responses={200: {"content": _AS_TEXT, "description": "The file, sent while it is read."}},
)
async def export(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    kind: Annotated[
        Literal["csv", "jsonl"],
        Query(alias="Format", description="Comma-separated, or JSON lines."),
    ] = "jsonl",
) -> StreamingResponse:
    """Export every block of the account for Import; one export at a time, at the account's rate."""
    lines = _lines(backend, caller, kind)
    begins = await anext(lines, b"")  # refusals must come before the response starts
    extra = {"account": caller.account, "actor": caller.actor, "address": address_of(request)}
    logger.info("blocks.exported", extra=extra)
    return StreamingResponse(_all_of(begins, lines), media_type=_TYPES[kind])


async def _all_of(begins: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield begins
        async for chunk in rest:
            yield chunk


async def _lines(backend: Backend, caller: Caller, kind: str) -> AsyncGenerator[bytes, None]:
    """Yield the file in pieces of several lines."""
    scan = Scan(
        backend,
        caller,
        lambda key, value: [_line(key, block, kind) for block in wire_blocks.readable(value)],
        pause=_PAUSE,
    )
    async with backend.exports.of(caller.payer):
        for partition in range(backend.settings.partitions):
            await refuse_partial(backend, partition)
        yield ",".join(COLUMNS).encode() + b"\r\n" if kind == "csv" else b""
        for partition in range(backend.settings.partitions):
            cursor, is_begun = 0, False
            while cursor or not is_begun:
                cursor, lines = await scan.some(partition, cursor)
                is_begun = True
                if lines:
                    yield b"".join(lines)
                await scan.pay()


def _line(key: str, block: Block, kind: str) -> bytes:
    line = wire_blocks.line_of(key, block)
    if kind == "jsonl":
        return orjson.dumps(line) + b"\n"
    out = io.StringIO()
    csv.DictWriter(out, COLUMNS).writerow(row_of(line))
    return out.getvalue().encode()


@router.post(
    IMPORT,
    status_code=202,
    openapi_extra={"requestBody": {"content": _BODIES, "required": True}},
)
async def import_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    import_id: Annotated[
        Sid | None,
        Query(
            alias="ImportId", description="Id of this import, chosen by you; generated if absent."
        ),
    ] = None,
) -> Imported:
    """Block (or unblock, by a field `blocked`) every row of a CSV or JSON lines body.

    The body is read line by line, up to OPTOUT_API_IMPORT_MAX_BYTES. Good rows are stored as
    commands at once; bad rows are named by their number and left out.

    Each import has an id, and the same rows in another import take effect again. Choose an
    `ImportId` to be able to repeat an import after an error. If you send the whole file again under
    that id within OPTOUT_DEDUPE_HOURS, no change is made twice.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _TYPES.values():
        raise ApiError(415, 20001, f"The body must be one of {', '.join(_TYPES.values())}")
    rows = Rows(as_csv=given == _TYPES["csv"], name="body")
    taken = _Import(backend, caller, import_id or new_import_id())
    async for lines in _lines_of(request.stream()):
        for at in range(0, len(lines), _AT_ONCE):
            await taken.take(rows, lines[at : at + _AT_ONCE])
    return {
        "import_id": taken.import_id,
        "accepted": taken.good,
        "refused": taken.bad,
        "errors": taken.errors,
    }


async def _lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body while it arrives; cut an overlong line just above the limit."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: LONGEST_LINE + 1]
        yield lines
    if rest:
        yield [rest]


class _Import:
    """Results of the rows so far."""

    def __init__(self, backend: Backend, caller: Caller, import_id: str) -> None:
        self._backend = backend
        self._caller = caller
        self.import_id = import_id
        self._account = caller.account
        self._defaults: dict[str, str | None] = {
            "account_sid": caller.account,
            "scope": backend.settings.block_scope.value,
            "actor": caller.actor,
        }
        self.good = self.bad = 0
        self.errors: list[BadRow] = []

    async def take(self, rows: Rows, lines: Sequence[bytes]) -> None:
        """Store the good rows of some lines, then wait until the rate allows more."""
        records: list[Outgoing] = []
        for at in range(0, len(lines), _SLICE):
            async with self._backend.slices.one():
                records += self._records(rows.of(lines[at : at + _SLICE]))
        await self._backend.send(*records)
        self.good += len(records)
        await self._backend.credentials.limit.afford(self._caller.payer, MADE * len(lines))

    def _records(self, rows: Iterable[tuple[int, object]]) -> Iterator[Outgoing]:
        for number, row in rows:
            try:
                yield self._record(row)
            except ValueError as error:
                self.bad += 1
                why = reason(error) if isinstance(error, ValidationError) else str(error)
                if self.bad <= _MOST_NAMED:
                    self.errors.append({"row": number, "error": why})

    def _record(self, row: object) -> Outgoing:
        if isinstance(row, dict) and row.get("account_sid") not in (None, "", self._account):
            raise ValueError("account_sid: belongs to another account")
        if isinstance(row, dict):
            row.pop("actor", None)  # the actor is the sender of the file
            for column in ("messaging_service_sid", "service_sid"):
                # A deleted service may be named: its blocks remain.
                service = self._backend.configuration.services.get(str(row.get(column)))
                if service and service.head.account_sid != self._account:
                    raise ValueError(f"{column}: no service of this account")
        key, value = command_of(row, self._defaults, import_id=self.import_id)
        return Outgoing(self._backend.topics.consent_commands, key, value)
