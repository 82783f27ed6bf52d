"""The block list as a file: export, and import after a preview that writes nothing.

The preview's form holds the file, compressed and sealed. So no server keeps it, any process can
carry it out, and a form that is sent twice changes nothing twice: its import has one id.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, UploadFile

from processor.core.messages import Scope
from processor.errors import ConfigError
from processor.http.auth import Caller
from processor.http.backend import Backend, BackendIs
from processor.http.block_exports import exported
from processor.http.block_imports import Import
from processor.http.console.acting import NO_ACCOUNT, NoAccount, caller_for
from processor.http.console.pages import Page, page
from processor.http.console.sessions import PATH, SessionIs, Sessions
from processor.http.errors import ApiError, not_found
from processor.http.limits import LOOKED_AT
from processor.json_types import JsonObject
from processor.wire.block_rows import Rows, new_import_id

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

FILE_BYTES = 1 << 20
_UPLOAD_BYTES = 8 << 20  # a file beyond the limit gets a page that says so
SIZES = {f"{PATH}/recipients/import": _UPLOAD_BYTES, f"{PATH}/recipients/import/start": 3 << 20}
"""The limits of requests that hold a file, by path."""

_SHOWN = 10  # rows, and errors
_MOST = 400  # characters of a reason
_BOM = b"\xef\xbb\xbf"
_NO_FILE = "Choose a file."
_TOO_LARGE = (
    "The file is larger than 1 MiB. Split it, or use `optout blocks import` or the API, which take"
    " files of any size."
)


@dataclass(frozen=True, slots=True)
class Staged:
    """An import that waits for a person's confirmation."""

    import_id: str
    reason: str
    content: bytes

    @property
    def rows(self) -> Rows:
        """A reader of its rows: JSON lines begin with a brace, CSV does not."""
        begins = self.content.removeprefix(_BOM).lstrip()[:1]
        return Rows(as_csv=begins != b"{", name="The file")


@dataclass(slots=True)
class Preview:
    """The effects that an import would have."""

    blocked: int = 0
    unblocked: int = 0
    unexplained: int = 0  # rows that unblock without a reason
    scopes: Counter[Scope] = field(default_factory=Counter)
    first: list[JsonObject] = field(default_factory=list)

    def add(self, command: JsonObject) -> None:
        """Count a command."""
        if command["blocked"]:
            self.blocked += 1
        else:
            self.unblocked += 1
            self.unexplained += not command.get("reason")
        self.scopes[Scope(command["scope"])] += 1
        if len(self.first) < _SHOWN:
            self.first.append(command)


@router.get("/recipients/export")
async def export(
    request: Request, backend: BackendIs, session: SessionIs, account: str = "", kind: str = "csv"
) -> Response:
    """Send every block of the account as a file that Import reads."""
    caller = _caller(request, backend, session, account)
    response = await exported(request, backend, caller, "jsonl" if kind == "jsonl" else "csv")
    name = f"blocked-{datetime.now(UTC):%Y-%m-%d}.{'jsonl' if kind == 'jsonl' else 'csv'}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@router.get("/recipients/import")
async def form(
    request: Request, backend: BackendIs, session: SessionIs, account: str = ""
) -> Response:
    """Offer the export, and ask for a file to import."""
    try:
        caller = caller_for(backend, session, account)
    except NoAccount:
        problem = NO_ACCOUNT if account else ""
        shown = {"account": account, "problem": problem, "title": "Import and export"}
        status = 422 if problem else 200
        return page(request, "ask_account", status=status, action="/recipients/import", **shown)
    return _form(request, caller)


@router.post("/recipients/import")
async def preview(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Show what the file would do; nothing is written."""
    given = await request.form()
    caller = _caller(request, backend, session, given.get("account"))
    content = await _content(given)
    if problem := _NO_FILE if not content else _TOO_LARGE if len(content) > FILE_BYTES else "":
        return _form(request, caller, given, problem)
    staged = Staged(new_import_id(), str(given.get("reason", "")).strip()[:_MOST], content)
    checked, found = Import(backend, caller, staged.import_id, reason=staged.reason or None), None
    try:
        found = await _look(checked, staged)
    except ConfigError as error:
        return _form(request, caller, given, "; ".join(error.problems))
    backend.charge(caller, LOOKED_AT * (checked.good + checked.bad))
    return page(
        request,
        "preview_import",
        account=caller.account,
        found=found,
        good=checked.good,
        bad=checked.bad,
        errors=checked.errors[:_SHOWN],
        sealed=_sealed(request, caller, staged),
    )


@router.post("/recipients/import/start")
async def carry_out(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Store the good rows as commands; the same form sent again changes nothing."""
    given = await request.form()
    caller = _caller(request, backend, session, given.get("account"))
    staged = _unsealed(request, caller, str(given.get("file", "")))
    taken = Import(backend, caller, staged.import_id, reason=staged.reason or None)
    await taken.take(staged.rows, staged.content.split(b"\n"))
    return page(request, "imported", good=taken.good, bad=taken.bad, import_id=staged.import_id)


async def _look(checked: Import, staged: Staged) -> Preview:
    found = Preview()
    for record in await checked.check(staged.rows, staged.content.split(b"\n")):
        found.add(msgspec.json.decode(record.value or b""))
    return found


async def _content(given: FormData) -> bytes:
    file = given.get("file")
    return await file.read(FILE_BYTES + 1) if isinstance(file, UploadFile) else b""


def _form(
    request: Request, caller: Caller, given: FormData | None = None, problem: str = ""
) -> Response:
    reason = str(given.get("reason", "")) if given else ""
    shown = {"account": caller.account, "reason": reason, "problem": problem}
    return page(request, "import", status=422 if problem else 200, **shown)


def _caller(request: Request, backend: Backend, session: SessionIs, typed: object) -> Caller:
    try:
        return caller_for(backend, session, typed)
    except NoAccount:
        raise not_found(request) from None


def _sealed(request: Request, caller: Caller, staged: Staged) -> str:
    sessions: Sessions = request.app.state.sessions
    packed = zlib.compress(msgspec.msgpack.encode(staged))
    return sessions.seal(urlsafe_b64encode(packed).decode(), about=_about(caller))


def _unsealed(request: Request, caller: Caller, sealed: str) -> Staged:
    """The import of a preview's form.

    Raises:
        ApiError: 400 where it is not from a preview for this account.
    """
    sessions: Sessions = request.app.state.sessions
    try:
        packed = sessions.unseal(sealed, about=_about(caller))
    except ValueError:
        packed = None
    if packed is None:
        raise ApiError(400, 20001, "The preview cannot be read any more. Choose the file again.")
    return msgspec.msgpack.decode(zlib.decompress(urlsafe_b64decode(packed)), type=Staged)


def _about(caller: Caller) -> str:
    return f"import/{caller.account}"
