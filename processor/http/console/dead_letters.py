"""Dead letters, the operator's alone: what was refused and why, sent back after a confirmation.

Letters go back where the API's Kafka user may write; for the others the page has the command.
Neither keys nor values are shown: a reason names the field and never what stood in it.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import shlex
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from processor.errors import BrokerUnavailable
from processor.http.auth import address_of
from processor.http.backend import Backend, BackendIs
from processor.http.console.pages import Page, go, page
from processor.http.console.sessions import PATH, SessionIs, for_operators
from processor.kafka.dead_letters import (
    MOST,
    Line,
    choice_of,
    letters,
    may_be_sent_to,
    redrive,
)

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
_DEADLINE_S = 20.0


@router.get("/dead-letters")
async def list_(request: Request, backend: BackendIs) -> Response:
    """Dead letters by reason, and the newest one by one."""
    wanted = _wanted(request.query_params)
    chosen = choice_of(wanted)
    groups: Counter[tuple[str, str, str]] = Counter()
    waiting: Counter[tuple[str, str, str]] = Counter()
    newest: list[tuple[str, str, Line, bool]] = []  # a heap, the oldest first
    async for line, is_done in _all(backend):
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
        groups=[(*one, count, waiting[one]) for one, count in groups.most_common(_MOST_GROUPS)],
        all_groups=len(groups),
        waiting=waiting.total(),
        count=groups.total(),
        newest=[(line, is_done) for *_, line, is_done in sorted(newest, reverse=True)],
    )


@router.get("/dead-letters/redrive")
async def confirm(request: Request, backend: BackendIs) -> Response:
    """Say what will be sent back, and where."""
    wanted = _wanted(request.query_params)
    chosen = choice_of(wanted)
    topics: Counter[str] = Counter()
    until = ""
    async for line, is_done in _all(backend):
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
        until=until,
    )


@router.post("/dead-letters/redrive")
async def send_back(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Send back what was confirmed, each letter once, whoever else sends some."""
    form = await request.form()
    wanted, until = _wanted(form), str(form.get("until", ""))
    matches, may = choice_of(wanted), await may_be_sent_to(backend.settings)

    def chosen(line: Line) -> bool:
        # What comes later was not confirmed.
        return matches(line) and line["at"] <= until and line["topic"] in may

    # One that a person names goes however often it was sent back already.
    most = None if "id" in wanted else MOST
    async with backend.few_readers:
        done = await redrive(backend.settings, chosen, most=most, follow=False)
    extra = {"actor": session.actor, "address": address_of(request), "sent": done.sent}
    logger.info("dead_letters.redriven", extra=extra)
    in_part = done.strewn or done.gone or done.older
    return go("/dead-letters", "redriven-in-part" if in_part else "redriven")


async def _all(backend: Backend) -> AsyncIterator[tuple[Line, bool]]:
    """What is shown of every letter, and whether it was sent back."""
    try:
        async with backend.few_readers, asyncio.timeout(_DEADLINE_S):
            async for line, is_done in letters(backend.settings):
                yield {name: line[name] for name in _SHOWN}, is_done
    except TimeoutError:
        raise BrokerUnavailable("Kafka: the dead letters were not read in time") from None


_SHOWN = ("id", "at", "stage", "topic", "partition", "offset", "reason", "redrives")


def _wanted(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given[name]) for name in _NAMES if given.get(name)}


def _command(wanted: Mapping[str, str]) -> str:
    """What sends letters back from a shell."""
    options = [part for name, value in wanted.items() for part in (f"--{name}", value)]
    return shlex.join(["optout", "dead-letters", "redrive", *options])
