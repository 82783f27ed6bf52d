"""What one partition's records must say together, by a small model of each recipient's history."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from processor.audit.records import (
    ALLOWED,
    CHANGES,
    INBOUND,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    REPLIES,
    STATUSES,
    Block,
    Change,
    Mark,
    Notification,
    Partition,
    Place,
    Record,
    Verdict,
)
from processor.audit.report import Findings

Pools = Mapping[tuple[str, str], str]  # account and sender to the service whose pool holds it
State = dict[Place, Change]
_NOTHING: State = {}
_ANSWERED = ("aoo", "default")


class History:
    """How a recipient's blocks came about: the state before and after every change."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.states: list[State] = [{}]
        for change in changes:
            state = dict(self.states[-1])
            state.pop(change.place, None)
            if change.blocked:
                state[change.place] = change
            self.states.append(state)
        self._marks = [change.mark for change in changes]

    def at(self, mark: Mark) -> State:
        """The blocks as of a mark."""
        return self.states[bisect_right(self._marks, mark)]


def check(partition: Partition, pools: Pools, findings: Findings, *, skew_ms: int) -> None:
    """Hold a partition's records against each other.

    Args:
        partition: with all records read.
        pools: of the services as they are now.
        findings: where violations and counts go.
        skew_ms: by how much the clocks of those who write sends may differ from ours.
    """
    of_key: dict[str, list[Change]] = defaultdict(list)
    for change in partition.changes:
        of_key[change.key].append(change)
    histories = {key: History(changes) for key, changes in of_key.items()}
    _unreadable(partition, findings)
    _twice(partition, findings)
    _matches(partition, findings)
    _replies(partition, findings)
    _changes(partition, histories, findings)
    _effects(partition, histories, pools, findings)
    _list(partition, histories, findings)
    _sends(partition, findings)
    _verdicts(partition, histories, pools, findings, skew_ms)


def check_redis(
    partition: Partition, served: Mapping[str, Sequence[Block]], findings: Findings
) -> None:
    """Hold what Redis serves against the compacted topic; recipients written meanwhile are left."""
    for key in served.keys() | partition.entries.keys():
        if key in partition.touched:
            continue
        findings.counts["redis_entries_checked"] += 1
        offset, blocks = partition.entries.get(key, (-1, ()))
        if set(served.get(key, ())) != set(blocks):
            ids = sorted({block.change_id for block in (*blocks, *served.get(key, ()))})
            where = f"{LIST}[{partition.number}]@{offset} {', '.join(ids)}"
            findings.add("differs", where, "Redis serves other blocks than block-list holds")


def _unreadable(partition: Partition, findings: Findings) -> None:
    for topic, offset, at_ms in partition.unreadable:
        bad_input = (topic, offset) in partition.letters
        ours = topic in partition.settled
        if ours and not bad_input and partition.is_checked(topic, offset, at_ms):
            where = f"{topic}[{partition.number}]@{offset}"
            findings.add("contradictory", where, "is no value of its topic")


def _twice(partition: Partition, findings: Findings) -> None:
    topics: tuple[tuple[str, str, Sequence[Record]], ...] = (
        (NOTIFICATIONS, "a notification", partition.notifications),
        (REPLIES, "a reply", partition.replies),
        (CHANGES, "a change", partition.changes),
    )
    for topic, what, records in topics:
        seen: set[str] = set()
        for record in records:
            if record.id in seen:
                findings.add("duplicated", partition.where(topic, record), f"has {what} already")
            seen.add(record.id)
            findings.counts["events_checked"] += 1


def _matches(partition: Partition, findings: Findings) -> None:
    """Every bare `stop` that was passed by has its notification; all follow the inbound order."""
    notified = {one.id for one in partition.notifications}
    order: dict[str, int] = {}
    for message in partition.messages:
        if (INBOUND, message.offset) in partition.letters:
            continue
        order.setdefault(message.id, message.offset)
        if not message.is_stop:
            continue
        if message.offset >= partition.committed.get(INBOUND, 0):
            findings.counts["messages_not_matched_yet"] += 1
        elif not partition.has_all_after(NOTIFICATIONS, message.at_ms):
            findings.counts["not_checked"] += 1
        elif message.id not in notified:
            findings.add("lost", partition.where(INBOUND, message), "no notification of this STOP")
    last: dict[str, int] = {}
    for one in partition.notifications:
        if one.id not in order:
            if partition.has_beginning(INBOUND):
                where = partition.where(NOTIFICATIONS, one)
                findings.add("contradictory", where, "no inbound message has this sid")
            continue
        if order[one.id] < last.get(one.key, -1):
            where = partition.where(NOTIFICATIONS, one)
            findings.add("reordered", where, "stands behind that of a later message")
        last[one.key] = max(order[one.id], last.get(one.key, -1))


def _replies(partition: Partition, findings: Findings) -> None:
    by_id = {one.id: one for one in partition.notifications}
    replied = {reply.id for reply in partition.replies}
    for one in partition.notifications:
        where = partition.where(NOTIFICATIONS, one)
        if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms):
            continue
        if one.reply_sent in _ANSWERED and one.id not in replied:
            if partition.has_all_after(REPLIES, one.at_ms):
                findings.add("lost", where, "says that a reply was sent; there is none")
        elif one.reply_sent not in _ANSWERED and one.id in replied:
            findings.add("contradictory", where, "says that no reply was sent; there is one")
    for reply in partition.replies:
        known = by_id.get(reply.id)
        if known is None and partition.is_checked(REPLIES, reply.offset, reply.at_ms):
            if partition.has_all_after(NOTIFICATIONS, reply.at_ms):
                where = partition.where(REPLIES, reply)
                findings.add("contradictory", where, "answers a message that has no notification")
        elif known is not None and known.kind != reply.kind:
            where = partition.where(REPLIES, reply)
            findings.add("contradictory", where, "is of another kind than its notification")


def _changes(partition: Partition, histories: Mapping[str, History], findings: Findings) -> None:
    causes = {one.id for one in partition.notifications} | {one.id for one in partition.commands}
    last = Mark(0, 0)
    for change in partition.changes:
        where = partition.where(CHANGES, change)
        if change.mark < last:
            findings.add("reordered", where, "its mark is lower than the one before it")
        last = max(last, change.mark)
        if (
            change.cause not in causes
            and not change.moved
            and partition.has_beginning(NOTIFICATIONS)
            and partition.is_checked(CHANGES, change.offset, change.at_ms)
        ):
            findings.add("contradictory", where, "neither a match nor a command is its cause")
    if CHANGES in partition.first_ms:
        return
    for history in histories.values():
        for before, change in zip(history.states, history.changes, strict=False):
            if (change.place in before) == change.blocked or change.previous == change.blocked:
                where = partition.where(CHANGES, change)
                findings.add("contradictory", where, "changes nothing: the list was like that")


def _effects(
    partition: Partition, histories: Mapping[str, History], pools: Pools, findings: Findings
) -> None:
    """An effective STOP leaves a block that stops its sender, an effective START leaves none."""
    if CHANGES in partition.first_ms:
        findings.counts["not_checked"] += len(partition.notifications)
        return
    spans: dict[str, tuple[int, int]] = {}
    for history in histories.values():
        for index, change in enumerate(history.changes, 1):
            spans[change.cause] = (spans.get(change.cause, (index, index))[0], index)
    of_key: dict[str, list[Notification]] = defaultdict(list)
    for one in partition.notifications:
        of_key[one.key].append(one)
    for key, notifications in of_key.items():
        history = histories.get(key) or History(())
        # One that changed nothing saw some state between its neighbours' that did: a command's
        # changes may lie there, too.
        low, following = 0, len(history.changes)
        highs = []
        for one in reversed(notifications):
            highs.append(following)
            following = spans.get(one.id, (following + 1, 0))[0] - 1
        for one, high in zip(notifications, reversed(highs), strict=True):
            if one.id in spans:
                low = high = spans[one.id][1]
            states = history.states[low : high + 1]
            if not partition.is_checked(NOTIFICATIONS, one.offset, one.at_ms) or not one.effective:
                continue
            blocked = [
                _stops(state, one.account, _service(one, pools), one.sender) for state in states
            ]
            wrong = {"STOP": not any(blocked), "START": all(blocked)}.get(one.kind, one.id in spans)
            if wrong:
                what = "is effective, but the list is not as it asks"
                findings.add("contradictory", partition.where(NOTIFICATIONS, one), what)


def _list(partition: Partition, histories: Mapping[str, History], findings: Findings) -> None:
    if CHANGES in partition.first_ms:
        return
    for key in histories.keys() | partition.entries.keys():
        if key in partition.touched:
            continue
        findings.counts["entries_checked"] += 1
        state = histories[key].states[-1] if key in histories else _NOTHING
        offset, blocks = partition.entries.get(key, (-1, ()))
        wanted = {Block(place, one.since_ms, one.id, one.mark) for place, one in state.items()}
        if wanted != set(blocks):
            ids = sorted({block.change_id for block in (*blocks, *wanted)})
            where = f"{LIST}[{partition.number}]@{offset} {', '.join(ids)}"
            findings.add("differs", where, "the entry is not what block-changes comes to")


def _sends(partition: Partition, findings: Findings) -> None:
    """Every send that was passed by has one verdict, in the order of the sends."""
    verdicts = Counter(one.id for one in partition.verdicts)
    sends: Counter[str] = Counter()
    order: dict[str, list[int]] = defaultdict(list)
    for send in partition.sends:
        if (OUTBOUND, send.offset) in partition.letters:
            continue
        sends[send.id] += 1
        order[send.id].append(send.offset)
        if send.offset >= partition.committed.get(OUTBOUND, 0):
            findings.counts["sends_not_judged_yet"] += 1
        elif not partition.has_all_after(ALLOWED, send.at_ms):
            findings.counts["not_checked"] += 1
        elif sends[send.id] > verdicts[send.id]:
            findings.add("lost", partition.where(OUTBOUND, send), "no verdict on this send")
    last = {ALLOWED: -1, STATUSES: -1}
    judged: Counter[str] = Counter()
    for verdict in partition.verdicts:
        where, number = partition.where(verdict.topic, verdict), judged[verdict.id]
        judged[verdict.id] += 1
        if number >= sends[verdict.id]:
            if sends[verdict.id]:
                findings.add("duplicated", where, "has a verdict already")
            elif partition.has_beginning(OUTBOUND):
                findings.add("contradictory", where, "no send has this sid")
            continue
        offset = order[verdict.id][number]
        # Two sends of one sid may be judged in two topics: which is whose cannot be told.
        if offset < last[verdict.topic] and sends[verdict.id] == 1:
            findings.add("reordered", where, "stands behind that of a later send")
        last[verdict.topic] = max(last[verdict.topic], offset)


def _verdicts(
    partition: Partition,
    histories: Mapping[str, History],
    pools: Pools,
    findings: Findings,
    skew_ms: int,
) -> None:
    written = {send.id: send.at_ms for send in partition.sends}
    committed = sorted({change.mark for change in partition.changes})
    for one in partition.verdicts:
        if not partition.is_checked(one.topic, one.offset, one.at_ms):
            continue
        where = partition.where(one.topic, one)
        if one.mark is None:
            findings.add("contradictory", where, "carries no mark")
            continue
        if CHANGES in partition.first_ms:
            findings.counts["not_checked"] += 1
            continue
        findings.counts["verdicts_checked"] += 1
        history = histories.get(one.key) or History(())
        states = [history.at(one.mark)]
        after = bisect_right(committed, one.mark)
        if (after == 0 or committed[after - 1] != one.mark) and after < len(committed):
            # No committed change has this mark: it may be of a batch that died and was repeated,
            # with the next mark, after the gate had read it (or of one that changed nothing).
            states.append(history.at(committed[after]))
        if not any(_right(one, state, pools) for state in states):
            kind, what = ("contradictory", "names a block that did not stand at its mark")
            if one.refused_by is None:
                kind, what = ("leak", "was allowed at a mark at which a block stood")
            findings.add(kind, where, what)  # type: ignore[arg-type]
        if one.refused_by is None:
            _late(one, where, history, pools, written.get(one.id), findings, skew_ms)


def _late(
    one: Verdict,
    where: str,
    history: History,
    pools: Pools,
    written_ms: int | None,
    findings: Findings,
    skew_ms: int,
) -> None:
    """A send that came after a confirmation was visible must be judged at or past it (R25)."""
    assert one.mark is not None
    if one.after is not None:
        if one.mark < one.after:
            findings.add("leak", where, "was judged before a confirmation its writer had seen")
        return
    for change in history.changes:
        if (
            change.blocked
            and change.mark > one.mark
            and written_ms is not None
            and change.at_ms + skew_ms < written_ms
            and _covers(change.place, one.account, _service(one, pools), one.sender)
        ):
            findings.add("leak", where, f"was judged before {change.id}, which is older")
            return


def _right(one: Verdict, state: State, pools: Pools) -> bool:
    service = _service(one, pools)
    if one.refused_by is None:
        return not _stops(state, one.account, service, one.sender)
    return any(
        (change.id, place.scope) == (one.refused_by.change_id, one.refused_by.scope)
        and _covers(place, one.account, service, one.sender)
        for place, change in state.items()
    )


def _service(one: Verdict | Notification, pools: Pools) -> str | None:
    return one.service or pools.get((one.account, one.sender or ""))


def _stops(places: Iterable[Place], account: str, service: str | None, sender: str | None) -> bool:
    return any(_covers(place, account, service, sender) for place in places)


def _covers(place: Place, account: str, service: str | None, sender: str | None) -> bool:
    if place.account != account:
        return False
    if place.scope == "account":
        return True
    return place.target == (service if place.scope == "service" else sender)
