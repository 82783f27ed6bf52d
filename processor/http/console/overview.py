"""The overview: blocked recipients, today's opt-outs and sends, and everything a person should see.

Every figure is read from what this process keeps, or from a few hashes in Redis. It says as of when
it is, or that it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from processor.core.messages import OptOutType
from processor.errors import RetryableError
from processor.http.backend import Backend, BackendIs
from processor.http.console.carrier_states import CarrierNow, carriers_of
from processor.http.console.figures import added, alarms_of
from processor.http.console.naming import visible
from processor.http.console.pages import Page, page
from processor.http.console.series import Counts, counts_of
from processor.http.console.sessions import PATH, SessionIs
from processor.http.overdue import SOON_MS
from processor.kafka.topics.dead_letter_counts import DAYS, MOST
from processor.statistics.hourly import ALL, KEPT_HOURS
from processor.statistics.hourly import Counts as Hours
from processor.statistics.sums import Bucket
from processor.statistics.usual_range import Usual, usual_until_now
from processor.stores.suspected_texts import Counts as TextCounts
from processor.wire.json_values import to_ms

router = APIRouter(prefix=PATH, route_class=Page, include_in_schema=False)

_SHOWN = 5  # services with warnings
_DAY_HOURS = 24
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class _Today:
    """The sums of today and of this month, if they are known."""

    today: Counts
    month: Counts
    as_of: datetime
    whole: bool


@router.get("/overview")
async def overview(request: Request, backend: BackendIs, session: SessionIs) -> Response:
    """Show the state of the account, or of the installation for an operator."""
    account = session.caller.account_sid
    services, now_ms = visible(backend, session.caller), backend.counts.clock_ms()
    stored = backend.configuration.services
    warned, unseen = backend.warnings.of(
        stored.every() if account is None else stored.of_account(account)
    )
    alarms = sum(1 for _ in alarms_of(backend.counts.hourly, services, now_ms))
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    return page(
        request,
        "overview",
        services=len(services),
        blocked=backend.blocked.of(account),
        why_not=backend.blocked.why_not,
        today=await _today(backend, account or ALL, now),
        usual=_usual(backend, account, now_ms),
        until=f"{(now.hour + 1) % _DAY_HOURS:02}:00",
        alarms=alarms if backend.counts.loaded else None,
        warned=sorted(warned, key=lambda one: -one.warnings)[:_SHOWN],
        all_warned=len(warned),
        unseen=unseen,
        letters=backend.letters.of(account) if backend.letters.loaded else None,
        most_letters=MOST,
        days=DAYS,
        roles=backend.health.roles(),
        health_age=backend.health.age_s,
        texts=await _texts(backend, account),
        is_operator=account is None,
        carriers=_ill(backend) if account is None else [],
    )


def _ill(backend: Backend) -> list[CarrierNow]:
    """The carriers that need a person; none while the figures are not known."""
    if not backend.carrier_figures.loaded:
        return []
    return [one for one in carriers_of(backend) if one.needs_a_person]


async def _today(backend: Backend, account_sid: str, now: datetime) -> _Today | None:
    """Read today's sums; None if Redis does not answer."""
    periods = (f"{now:%Y-%m-%d}", f"{now:%Y-%m}")
    try:
        answer = await backend.sums.read([Bucket(account_sid, ALL, one) for one in periods])
    except RetryableError:
        return None
    today, month = map(counts_of, answer.sums)
    return _Today(today, month, answer.as_of, answer.whole)


async def _texts(backend: Backend, account_sid: str | None) -> TextCounts | None:
    """Count the texts to review; None if they are not known."""
    if not backend.overdue.loaded:
        return None
    try:
        return await backend.reviews.texts.counts(account_sid, soon_ms=SOON_MS)
    except RetryableError:
        return None


def _usual(backend: Backend, account_sid: str | None, now_ms: int) -> Usual | None:
    """The usual range of today's opt-outs until the end of this hour, from the last days."""
    counts, accounts = backend.counts, backend.configuration.accounts
    account = accounts.get(account_sid) if account_sid else None
    began = [one.created_at for one in ([account] if account else accounts.all())]
    if not counts.loaded or not began:
        return None
    counts.hourly.move(now_ms)
    known = min(KEPT_HOURS, (now_ms - to_ms(min(began))) // _HOUR_MS)
    hours = added(counts.hourly.of(account_sid or ALL, ALL), OptOutType.STOP)
    return usual_until_now(earlier_days(hours, now_ms, known))


def earlier_days(hours: Hours, now_ms: int, known: int) -> Sequence[int]:
    """The opt-outs of each earlier day until the present hour, the oldest day first.

    Args:
        hours: of the kept hours, the current hour last.
        now_ms: since 1970, UTC.
        known: the last hours for which there are counts.
    """
    of_today = now_ms // _HOUR_MS % _DAY_HOURS + 1
    days = range(min(known, len(hours)) // _DAY_HOURS, 0, -1)
    ends = [(len(hours) - _DAY_HOURS * day, day) for day in days]
    return [sum(hours[end - of_today : end]) for end, _ in ends if end >= of_today]
