"""Dead letters, for operators only: list them by reason, and send them back on confirmation.

Letters go back to topics that the API's Kafka user may write; for others the page has the command.
Neither keys nor values are shown: a reason names a field, but never its content.
"""

from __future__ import annotations

import heapq
import logging
import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request, Response

from processor.http.auth import address_of
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.sessions import PATH, Session, SessionIs, for_operators
from processor.http.limits import MADE
from processor.kafka.topics.dead_letters import (
    MOST,
    Line,
    choice_of,
    letters,
    may_be_sent_to,
    reach_of,
    redrive,
)
from processor.wire.json_values import to_ms, to_text

logger = logging.getLogger(__name__)

router = APIRouter(
    prefix=PATH,
    route_class=Page,
    include_in_schema=False,
    dependencies=[for_operators("Only an operator may see dead letters.")],
)

_NAMES = ("stage", "topic", "reason", "id")
_NEWEST = 200
_MOST_GROUPS = 50
_MOST_READ = 20_000


@router.get("/dead-letters")
async def list_(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """List dead letters by reason, and the newest individually."""
    wanted = _wanted(request.query_params)
    chosen = choice_of(wanted)
    groups: Counter[tuple[str, str, str]] = Counter()
    waiting: Counter[tuple[str, str, str]] = Counter()
    newest: list[tuple[str, str, Line, bool]] = []  # a heap, oldest first
    read, since = await _read(backend, session, _asked_until(request))
    for line, is_done in read:
        if not chosen(line):
            continue
        group = (line["stage"] or "", line["topic"] or "", line["reason"] or "")
        groups[group] += 1
        waiting[group] += not is_done
        heapq.heappush(newest, (line["at"], line["id"], line, is_done))
        if len(newest) > _NEWEST:
            heapq.heappop(newest)
    return page(
        request,
        "dead_letters",
        wanted=wanted,
        since=since,
        until=_asked_until(request),
        groups=[(*one, count, waiting[one]) for one, count in groups.most_common(_MOST_GROUPS)],
        all_groups=len(groups),
        waiting=waiting.total(),
        count=groups.total(),
        newest=[(line, is_done) for *_, line, is_done in sorted(newest, reverse=True)],
    )


@router.get("/dead-letters/redrive")
async def confirm(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Show the letters that will be sent back, by topic."""
    wanted = _wanted(request.query_params)
    chosen = choice_of(wanted)
    topics: Counter[str] = Counter()
    until = ""
    read, since = await _read(backend, session, _asked_until(request))
    for line, is_done in read:
        if chosen(line) and not is_done:
            topics[line["topic"] or ""] += 1
            until = max(until, line["at"])
    may = await may_be_sent_to(backend.settings)
    return page(
        request,
        "redrive",
        wanted=wanted,
        topics=[(topic, count) for topic, count in sorted(topics.items()) if topic in may],
        others=[
            (topic, count, _command({"topic": topic} | wanted))
            for topic, count in sorted(topics.items())
            if topic not in may
        ],
        since=since,
        until=until,
    )


@router.post("/dead-letters/redrive")
async def send_back(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Send back the confirmed letters, each once, even if others send letters back too."""
    form = await request.form()
    wanted = _wanted(form)
    since, until = str(form.get("since", "")), str(form.get("until", ""))
    matches, may = choice_of(wanted), await may_be_sent_to(backend.settings)

    def chosen(line: Line) -> bool:
        is_confirmed = since <= line["at"] <= until
        return matches(line) and is_confirmed and line["topic"] in may

    # A letter selected by id goes even if it was sent back often before.
    most = None if "id" in wanted else MOST
    async with backend.redrives.of(session.caller.payer):
        done = await redrive(backend.settings, chosen, most=most, follow=False)
    extra = {"actor": session.actor, "address": address_of(request), "sent": done.sent}
    logger.info("dead_letters.redriven", extra=extra)
    in_part = done.strewn or done.gone or done.older
    return go("/dead-letters", "redriven-in-part" if in_part else "redriven")


async def _read(
    backend: Backend, session: Session, until: str
) -> tuple[list[tuple[Line, bool]], str]:
    """Read the newest letters up to a time, and whether each was sent back.

    Returns:
        Also the time since which the letters are complete; "" if there are no older letters.
    """
    before_ms = to_ms(datetime.fromisoformat(until)) if until else None
    found: list[tuple[Line, bool]] = []
    begins: dict[int, str] = {}  # by partition, when the first letter read was written
    async with backend.kafka_turns.turn(session.caller.payer):
        reach = await reach_of(backend.settings, _MOST_READ, before_ms)
        async for line, is_done in letters(backend.settings, reach):
            begins.setdefault(_partition_of(line), line["at"])
            found.append(({name: line[name] for name in _SHOWN}, is_done))
    backend.charge(session.caller, MADE * len(found))
    first = max((begins[one] for one in reach.begins_late if one in begins), default="")
    if not first:
        return found, ""
    # Letters of that millisecond may be unread: leave all to the next page, unless they fill this.
    since = to_text(to_ms(datetime.fromisoformat(first)) + 1)
    if not any(line["at"] >= since for line, _ in found):
        since = first
    return [one for one in found if one[0]["at"] >= since], since


def _partition_of(letter: Line) -> int:
    return int(letter["id"].partition(":")[0])


def _asked_until(request: Request) -> str:
    """Parse the time before which letters are wanted; "" for the newest."""
    asked = request.query_params.get("until", "")
    try:
        return to_text(max(0, to_ms(datetime.fromisoformat(asked)))) if asked else ""
    except (ValueError, OverflowError):
        return ""


_SHOWN = ("id", "at", "stage", "topic", "partition", "offset", "reason", "redrives")


def _wanted(given: Mapping[str, object]) -> dict[str, str]:
    return {name: str(given[name]) for name in _NAMES if given.get(name)}


def _command(wanted: Mapping[str, str]) -> str:
    """Make the shell command that sends letters back."""
    options = [part for name, value in wanted.items() for part in (f"--{name}", value)]
    return shlex.join(["optout", "dead-letters", "redrive", *options])
