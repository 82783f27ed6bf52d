"""Export an account's block list to a file, and import a file row by row."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.block_exports import TYPES, exported
from processor.http.block_imports import Import, lines_of
from processor.http.errors import ApiError
from processor.http.responses.blocks import Imported
from processor.wire.block_rows import (
    Rows,
    new_import_id,
)
from schemas.common import CountryCode, Sid

router = APIRouter(route_class=Known, tags=["block list"])

IMPORT = "/v1/OptOuts/Import"
_TEXT: dict[str, object] = {"schema": {"type": "string"}}
_AS_TEXT = dict.fromkeys(TYPES.values(), _TEXT)
_EXAMPLES = {
    "csv": "recipient,scope,sender\r\n+15551234567,sender,+15005550006\r\n",
    "jsonl": '{"recipient": "+15551234567", "blocked": false}\n',
}
_BODIES = {
    TYPES[kind]: {**_AS_TEXT[TYPES[kind]], "example": one} for kind, one in _EXAMPLES.items()
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
    return await exported(request, backend, caller, kind)


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
    country: Annotated[
        CountryCode | None,
        Query(alias="Country", description="Country of numbers without a country's code."),
    ] = None,
) -> Imported:
    """Block (or unblock, by a field `blocked`) every row of a CSV or JSON lines body.

    The body is read line by line, up to OPTOUT_API_IMPORT_MAX_BYTES. Good rows are stored as
    commands at once; bad rows are named by their number and left out.

    Spaces, dots, dashes and brackets in a number do not count. A number with two readings is
    refused, and so is one without a country's code if neither `Country` nor a column `country`
    names the country. If rows block and unblock one recipient, the block counts.

    Each import has an id, and the same rows in another import take effect again. Choose an
    `ImportId` to be able to repeat an import after an error. If you send the whole file again under
    that id within OPTOUT_DEDUPE_HOURS, no change is made twice.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in TYPES.values():
        raise ApiError(415, 20001, f"The body must be one of {', '.join(TYPES.values())}")
    rows = Rows(as_csv=given == TYPES["csv"], name="body")
    taken = Import(backend, caller, import_id or new_import_id(), country=country)
    async for lines in lines_of(request.stream()):
        await taken.take(rows, lines)
    return {
        "import_id": taken.import_id,
        "accepted": taken.good,
        "refused": taken.bad,
        "errors": taken.errors,
    }
