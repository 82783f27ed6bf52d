"""Compare what the carriers were handed with what match and gate wrote for them (R22, R25)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.carrier import Handed, Times
from tests.chaos.model import places_of
from tests.chaos.seen import Carried, Key, Seen, key_of, place_of
from tests.chaos.world import CARRIED, way

_GRACE_S = 3.0  # between the last look and the request, on a busy machine
_STOPPED = ("failed", 21610)

Spans = Sequence[tuple[float, float]]
"""Begin and end of each, monotonic seconds."""


@dataclass(slots=True)
class Visible:
    """When each change of a block was seen by a reader, monotonic seconds."""

    changes: dict[Key, list[tuple[float, str, bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(
        self,
        key: Key,
        fields: Mapping[str, str],
        at_s: float,
        *,
        blocked: bool,
        asked_s: float = math.inf,
    ) -> None:
        """Note a change that has just become visible.

        Args:
            key: of its entry.
            fields: of the change.
            at_s: when it became visible.
            blocked: whether it blocks.
            asked_s: when its cause came. The list is free from then on, at the earliest, though a
                broker that is away may delay the change.
        """
        place = place_of(
            fields["scope"],
            fields["messaging_service_sid"],
            fields["sender"],
            carrier=bool(fields["carrier"]),
        )
        self.changes[key].append((at_s if blocked else min(at_s, asked_s), place, blocked))

    def blocked_s(self, key: Key, places: Iterable[str], at_s: float) -> float | None:
        """For how long a block was visible that stopped these places; None if none surely did."""
        since: dict[str, float] = {}
        for seen_s, place, blocked in self.changes.get(key, ()):
            if seen_s > at_s + _GRACE_S:
                continue
            if not blocked:
                since.pop(place, None)  # a lane may have known that earlier
            else:
                since.setdefault(place, seen_s)
        found = [since[place] for place in places if place in since]
        return at_s - min(found) if found and min(found) < at_s - _GRACE_S else None


def wrong_hand_overs(
    seen: Seen, handed: Mapping[Handed, Times], visible: Visible, still: Spans
) -> tuple[list[str], int]:
    """The messages that were lost, invented, doubled or sent after a STOP.

    Args:
        seen: contents of the topics.
        handed: requests of the carriers.
        visible: when blocks were.
        still: times in which a worker may have stood still, between its look and its request.

    Returns:
        Each deviation, and how many messages were compared.
    """
    by_key: dict[tuple[str, str], list[Handed]] = defaultdict(list)
    for one in handed:
        by_key[one.account, one.key].append(one)
    due = {key: one for key, one in seen.to_carry.items() if senders_of(one)}
    wrong = [
        f"{len(ones)} messages have the idempotency key {key} of {account}"
        for (account, key), ones in by_key.items()
        if len(ones) > 1
    ]
    for (account, sid, to), its in due.items():
        ones = [one for one in by_key.get((account, sid), ()) if one.to == to]
        wrong += _wrong_with(seen, its, [(one, handed[one]) for one in ones])
    known = {(account, sid, to) for account, sid, to in due}
    for one, times in handed.items():
        if (one.account, one.key, one.to) not in known:
            wrong.append(f"{_named(one)} was handed over, and is none that was to be")
            continue
        if due[one.account, one.key, one.to].kind not in ("STOP", "HELP"):
            wrong += _too_late(one, times, visible, still)
    return wrong, len(due)


def senders_of(one: Carried) -> frozenset[str]:
    """The senders with a carrier that a message may go out from."""
    carried = CARRIED[one.account]
    if one.sender:
        return frozenset({one.sender}.intersection(carried))
    pool = {sender for sender in carried if way(one.account, sender).service == one.service}
    is_on_whatsapp = one.to.startswith("whatsapp:")
    fitting = {sender for sender in pool if sender.startswith("whatsapp:") is is_on_whatsapp}
    return frozenset(fitting - one.excepted)


def _wrong_with(seen: Seen, its: Carried, ones: Sequence[tuple[Handed, Times]]) -> Iterable[str]:
    name = f"{its.kind} {its.sid} of {its.account}"
    for one, _ in ones:
        if one.sender not in senders_of(its) or one.body != its.body:
            yield f"{name} was handed over with another sender or text"
    outcomes = seen.outcomes.get((its.account, its.sid, its.to), ())
    is_taken = any(times.taken for _, times in ones)
    was_blocked = any(change[3] for change in seen.changes.get(key_of_(its), ()))
    if _STOPPED in outcomes and not was_blocked:
        yield f"{name} was stopped, and its account never blocked its recipient"
    if not outcomes and not (its.kind == "START" and was_blocked):
        yield f"{name} was lost: it has no status of its carrier"
    if ("sent", None) in outcomes and not is_taken:
        yield f"{name} was lost: its carrier has not taken it"
    if its.parts < 2 and (left := set(outcomes) - {_STOPPED, ("sent", None)}):
        yield f"{name} failed: {sorted(map(str, left))}"


def key_of_(its: Carried) -> Key:
    """The entry of a message's recipient."""
    return key_of({"account_sid": its.account}, its.to)


def _too_late(one: Handed, times: Times, visible: Visible, still: Spans) -> Iterable[str]:
    """A message that came to the carrier after its recipient's block was visible (R25)."""
    key = key_of({"account_sid": one.account}, one.to)
    places = places_of(way(one.account, one.sender), one.sender)
    for at_s in times.asked:
        excused = any(begin < at_s < end + _GRACE_S for begin, end in still)
        if not excused and (late_s := visible.blocked_s(key, places, at_s)):
            tries = f"try {times.asked.index(at_s) + 1} of {len(times.asked)}"
            what = f"{late_s:.1f} s after a block was visible (R25)"
            yield f"{_named(one)} was handed over {what}; {tries}"


def _named(one: Handed) -> str:
    return f"message {one.key} of {one.account}"
