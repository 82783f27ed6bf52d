"""Review: texts that may be opt-outs, by due time, and the decisions on them (R30).

Decisions are buttons of one form, for the texts that are ticked or for one text. So the page works
without scripts; with them, keys move and decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from processor import clocks
from processor.core.due import DAY_MS
from processor.core.reviews import Act, State
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.sessions import PATH, Session, SessionIs
from processor.http.errors import wrong_parameter
from processor.http.limits import LOOKED_AT
from processor.reviews import Made, is_overdue
from processor.stores.suspected_texts import ReviewedText
from processor.wire.json_values import to_ms

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

MOST = 50  # texts of a page
_MOST_LOOKED_AT = 1_000  # texts, of a page whose filter lets little through
_ACTS = {Act.CONFIRM.value: Act.CONFIRM, Act.DISMISS.value: Act.DISMISS, Act.UNDO.value: Act.UNDO}
_TIERS = ("phrase", "suspected")


@dataclass(frozen=True, slots=True)
class Row:
    """A text, as the page shows it."""

    one: ReviewedText
    service: str  # its name, or sid
    is_overdue: bool
    days: int | None  # until it is due

    @property
    def acts(self) -> Sequence[Act]:
        """The decisions that can be made."""
        match self.one.state:
            case State.OPEN:
                return Act.CONFIRM, Act.DISMISS
            case State.UNDONE:
                return (Act.CONFIRM,)
            case State.CONFIRMED | State.DISMISSED:
                return (Act.UNDO,)
            case _:
                return Act.CONFIRM, Act.UNDO


@router.get("/review")
async def show(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """List texts by due time, or decisions, the latest first."""
    wanted = _wanted(request.query_params)
    start = _number(request.query_params.get("start", ""))
    rows, following = await _rows(backend, session, wanted, start)
    undo = request.query_params.get("undo", "").split(",")
    return page(
        request,
        "review",
        rows=rows,
        wanted=wanted,
        start=start,
        following=following,
        tiers=_TIERS,
        undo=[one for one in undo if one][:MOST],
        is_operator=session.caller.account_sid is None,
    )


@router.post("/review")
async def decide(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Decide on the ticked texts, or on one."""
    form = await request.form()
    act, _, one = str(form.get("act", "")).partition(" ")
    if act not in _ACTS:
        raise wrong_parameter("act: unknown")
    text_ids = [one] if one else [str(each) for each in form.getlist("text")][:MOST]
    made = [
        text_id
        for text_id in dict.fromkeys(text_ids)
        if isinstance(
            await backend.reviews.decide(
                text_id, _ACTS[act], actor=session.actor, account_sid=session.caller.account_sid
            ),
            Made,
        )
    ]
    query = _wanted(form)
    if made and act == Act.DISMISS.value:
        query["undo"] = ",".join(made)
    query["said"] = _said(act, len(text_ids), len(made))
    return go(f"/review?{urlencode(query)}")


def _said(act: str, asked: int, made: int) -> str:
    if not asked:
        return "none-ticked"
    return f"review-{act}" if made == asked else "review-in-part"


def _wanted(given: Mapping[str, object]) -> dict[str, str]:
    found = {name: str(given.get(name) or "").strip() for name in ("show", "tier", "service")}
    return {name: value for name, value in found.items() if value}


def _number(asked: str) -> int:
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0


async def _rows(
    backend: Backend, session: Session, wanted: Mapping[str, str], start: int
) -> tuple[list[Row], int | None]:
    """Find a page's texts, and where the next page begins."""
    rows: list[Row] = []
    at: int | None = start
    while at is not None and len(rows) < MOST and at - start < _MOST_LOOKED_AT:
        found = await backend.reviews.texts.page(
            session.caller.account_sid,
            is_open=wanted.get("show") != "decided",
            start=at,
            size=MOST - len(rows),
        )
        backend.charge(session.caller, LOOKED_AT * MOST)
        shown = (_row(backend, one) for one in found.texts)
        rows += [row for row in shown if _is_wanted(row, wanted)]
        at = found.next
    return rows, at


def _row(backend: Backend, one: ReviewedText) -> Row:
    text, now_ms = one.text, clocks.now_ms()
    sid = text.messaging_service_sid
    stored = backend.configuration.services.get(sid) if sid else None
    name = stored.head.friendly_name if stored else sid or "no service"
    days = (to_ms(text.due_at) - now_ms) // DAY_MS if text.due_at else None
    return Row(one, name, is_overdue(text, now_ms), days)


def _is_wanted(row: Row, wanted: Mapping[str, str]) -> bool:
    text = row.one.text
    return wanted.get("tier") in (None, text.suspected.tier) and wanted.get("service") in (
        None,
        text.messaging_service_sid,
        row.service,
    )
