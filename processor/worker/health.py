"""Whether a worker is ready, and how its lanes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from processor.kafka.lanes.supervisor import Lanes
from processor.metrics import LaneLook
from processor.wire.credentials import Unopened
from processor.worker.shared import Shared

_OLD_S = 60.0  # of the configuration
_NAMED = 10  # accounts in a reason


def unready(
    shared: Shared,
    lanes: Mapping[str, Lanes],
    redis_problem: str | None,
    audit_problem: str | None = None,
) -> list[str]:
    """Why a worker is not ready; empty where it is.

    Args:
        shared: of the worker.
        lanes: by role.
        redis_problem: the problem with Redis at the last check, if any.
        audit_problem: why the last audit failed, if it did.
    """
    return [
        *([redis_problem] if redis_problem else ()),
        *([f"audit: {audit_problem}"] if audit_problem else ()),
        *_of_views(shared),
        *_of_groups(lanes),
        *_of_tokens(shared, lanes),
        *_of_carriers(shared, lanes),
        *(f"{role}: {each.unfit}" for role, each in lanes.items() if each.unfit),
        *_of_lanes(lanes),
    ]


def looks(lanes: Mapping[str, Lanes]) -> Iterator[LaneLook]:
    """Every lane, for the metrics."""
    for role, each in lanes.items():
        for state in each.states():
            lag = each.lags.get(state.partition)
            yield LaneLook(role, state.partition, state.is_running, lag)


def _of_views(shared: Shared) -> Iterator[str]:
    if (age_s := shared.services.age_s) > _OLD_S:
        yield f"the configuration was current {age_s:.0f} s ago"
    if (age_s := shared.accounts.topic.age_s) > _OLD_S:
        yield f"the accounts were current {age_s:.0f} s ago"


def _of_groups(lanes: Mapping[str, Lanes]) -> Iterator[str]:
    for role, each in lanes.items():
        if not each.joined:
            yield f"{role}: {each.failed or 'no member'}"
        elif each.unheard:
            yield f"{role}: Kafka does not answer"


def _of_tokens(shared: Shared, lanes: Mapping[str, Lanes]) -> Iterator[str]:
    if "webhooks" in lanes and (unopened := shared.tokens.unopened()):
        yield f"webhooks: {_words_of(unopened)}"


def _of_carriers(shared: Shared, lanes: Mapping[str, Lanes]) -> Iterator[str]:
    if "carriers" in lanes and (closed := shared.carriers.closed):
        names = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in sorted(closed.items()))
        yield f"carriers: secrets that cannot be opened, so their messages wait ({names})"


def _words_of(unopened: Mapping[str, Unopened]) -> str:
    """Which accounts' webhooks wait for which keys; neither is a secret."""
    keys = sorted({one.key_id for one in unopened.values()})
    named = sorted(unopened)[:_NAMED]
    more = f" and {len(unopened) - len(named)} more" if len(unopened) > len(named) else ""
    return (
        f"OPTOUT_SECRET_KEYS opens no token of {', '.join(named)}{more}, sealed with"
        f" key {', '.join(keys)}; their deliveries wait"
    )


def _of_lanes(lanes: Mapping[str, Lanes]) -> Iterator[str]:
    for role, each in lanes.items():
        for state in each.states():
            if not state.is_running:
                yield f"{role} {state.partition}: {state.text}"
