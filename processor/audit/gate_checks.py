"""Check that each send has one verdict, correct at its mark; anything else may be a leak."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from processor.audit.history import (
    NO_HISTORY,
    History,
    Pools,
    State,
    covers,
    service_of,
    stops,
)
from processor.audit.report import Findings
from processor.audit.values import (
    ALLOWED,
    CHANGES,
    OUTBOUND,
    STATUSES,
    Mark,
    Partition,
    Ref,
    Send,
    Verdict,
)


def check_sends(partition: Partition, findings: Findings) -> None:
    """Check that every judged send has one verdict, in order, and that its bytes are unaltered."""
    verdicts = Counter(one.ref for one in partition.verdicts)
    sends: dict[Ref, list[Send]] = defaultdict(list)
    for send in partition.sends:
        if (OUTBOUND, send.offset) in partition.letters:
            continue
        sends[send.ref].append(send)
        if not partition.is_checked(OUTBOUND, send.offset, send.at_ms):
            continue
        if send.offset >= partition.committed.get(OUTBOUND, 0):
            findings.counts["sends_not_judged_yet"] += 1
        elif not all(partition.has_all_after(topic, send.at_ms) for topic in (ALLOWED, STATUSES)):
            findings.counts["not_checked"] += 1
        elif len(sends[send.ref]) > verdicts[send.ref]:
            findings.add("lost", partition.where(OUTBOUND, send), "no verdict on this send")
    last = {ALLOWED: -1, STATUSES: -1}
    judged: Counter[Ref] = Counter()
    for verdict in partition.verdicts:
        where, number = partition.where(verdict.topic, verdict), judged[verdict.ref]
        judged[verdict.ref] += 1
        its = sends.get(verdict.ref, [])
        if number >= len(its):
            if its:
                findings.add("duplicated", where, "has a verdict already")
            elif partition.has_beginning(OUTBOUND):
                findings.add("contradictory", where, "belongs to no send")
            continue
        if verdict.value is not None and verdict.value not in {send.value for send in its}:
            findings.add("contradictory", where, "differs from the send in its bytes")
        offset = its[number].offset
        # Two sends with the same sid may have verdicts in two topics; their order is unknown.
        if offset < last[verdict.topic] and len(its) == 1:
            findings.add("reordered", where, "comes after the verdict on a later send")
        last[verdict.topic] = max(last[verdict.topic], offset)


def check_verdicts(
    partition: Partition,
    histories: Mapping[str, History],
    pools: Pools,
    findings: Findings,
    *,
    skew_ms: int,
) -> None:
    """Check that each verdict follows from the history at its mark, and that the mark is recent."""
    written = {send.ref: send.at_ms for send in partition.sends}
    caused = _Caused(partition)
    for one in partition.verdicts:
        if not partition.is_checked(one.topic, one.offset, one.at_ms):
            continue
        where = partition.where(one.topic, one)
        if one.mark is None:
            findings.add("contradictory", where, "has no mark")
            continue
        if CHANGES in partition.first_ms:
            findings.counts["not_checked"] += 1
            continue
        findings.counts["verdicts_checked"] += 1
        if one.suspended:
            if one.at_ms + skew_ms < pools.ended_ms.get(one.account, one.at_ms + skew_ms + 1):
                what = "failed as if the account were suspended, but it was active"
                findings.add("contradictory", where, what)
            continue
        history = histories.get(one.key, NO_HISTORY)
        states = list(caused.states_at(one.mark, history, one.at_ms + skew_ms))
        if not any(_is_right(one, state, pools) for state in states):
            if one.refused_by is None:
                findings.add("leak", where, "was allowed at a mark at which a block was in force")
            else:
                what = "names a block that was not in force at its mark"
                findings.add("contradictory", where, what)
        if one.refused_by is None:
            _late(one, where, history, pools, written.get(one.ref), findings, skew_ms)


class _Caused:
    """Finds the states that a mark can mean."""

    def __init__(self, partition: Partition) -> None:
        self._committed = sorted({change.mark for change in partition.changes})
        asked = (*partition.messages, *partition.commands)
        self._asked_ms = {one.ref: one.at_ms for one in asked}

    def states_at(self, mark: Mark, history: History, by_ms: int) -> Iterable[State]:
        """Yield the state at a mark, and later states if the mark's batch may have died.

        A batch that died uncommitted was repeated under a later epoch, perhaps split differently.
        Its mark can then mean some of the later changes, if their causes existed at the time.

        Args:
            mark: of a verdict.
            history: of the verdict's recipient.
            by_ms: latest time of the verdict.
        """
        count = history.until(mark)
        yield history.states[count]
        place = bisect_right(self._committed, mark)
        if place and self._committed[place - 1] == mark:
            return  # committed
        if place < len(self._committed) and self._committed[place].epoch == mark.epoch:
            return  # its batch changed nothing and lived, as a dying batch ends its epoch
        for change, state in zip(history.changes[count:], history.states[count + 1 :], strict=True):
            if self._asked_ms.get(change.ref, by_ms) > by_ms:
                return
            yield state


def _is_right(one: Verdict, state: State, pools: Pools) -> bool:
    service = service_of(one, pools)
    senders = {place.target for place in state if place.scope == "sender"}
    pool = pools.of(one.account, service, one.at_ms, one.key) if one.sender is None else set()
    if one.refused_by is None:
        if stops(state, service, one.sender) or (pool and pool <= senders):
            return False
        return one.sender is not None or senders <= one.except_from
    every_one = pool is None or (bool(pool) and pool <= senders)
    return any(
        change.standing is not None
        and (change.standing.first.change_id, place.scope)
        == (one.refused_by.change_id, one.refused_by.scope)
        and (covers(place, service, one.sender) or (every_one and place.scope == "sender"))
        for place, change in state.items()
    )


def _late(
    one: Verdict,
    where: str,
    history: History,
    pools: Pools,
    written_ms: int | None,
    findings: Findings,
    skew_ms: int,
) -> None:
    """Check that a send after a visible confirmation is judged at or past its mark (R25)."""
    assert one.mark is not None
    if one.after is not None:
        if one.mark < one.after:
            findings.add(
                "leak", where, "was judged without a confirmation that its writer had seen"
            )
        return
    if written_ms is None:
        return
    for change in history.changes[history.until(one.mark) :]:
        if (
            change.standing is not None
            and not change.previous
            and change.at_ms + skew_ms < written_ms
            and covers(change.place, service_of(one, pools), one.sender)
        ):
            findings.add("leak", where, f"was judged without {change.id}, which is older")
            return
