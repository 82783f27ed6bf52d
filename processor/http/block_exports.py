"""Send an account's block list as a file, while it is read."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Literal

import orjson
from fastapi import Request
from fastapi.responses import StreamingResponse

from processor.core.blocks import Block
from processor.http.auth import Caller, address_of
from processor.http.backend import Backend
from processor.http.scanning import Scan, refuse_partial
from processor.wire import blocks as wire_blocks
from processor.wire.block_rows import COLUMNS, row_of

logger = logging.getLogger(__name__)

TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_PAUSE = 3  # exports are not urgent: they get a quarter of the time


async def exported(
    request: Request, backend: Backend, caller: Caller, kind: Literal["csv", "jsonl"]
) -> StreamingResponse:
    """Begin to send an account's block list; the log says who got it.

    Raises:
        ApiError: 429 while another export of the account runs; 503 where a part of the list is
            being rebuilt.
    """
    lines = _lines(backend, caller, kind)
    begins = await anext(lines, b"")  # refusals must come before the response starts
    extra = {"account": caller.account, "actor": caller.actor, "address": address_of(request)}
    logger.info("blocks.exported", extra=extra)
    return StreamingResponse(_all_of(begins, lines), media_type=TYPES[kind])


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
        lambda key, value: [_line(key, block, kind) for block in wire_blocks.listed(value)],
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
