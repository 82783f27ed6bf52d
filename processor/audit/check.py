"""Compare one partition's records with each other and with the entries in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from processor.audit.gate_checks import check_sends, check_verdicts
from processor.audit.history import NO_HISTORY, History, Pools, histories_of
from processor.audit.match_checks import (
    check_changes,
    check_effects,
    check_matches,
    check_replies,
)
from processor.audit.report import Findings
from processor.audit.values import (
    CHANGES,
    LIST,
    NOTIFICATIONS,
    REPLIES,
    Block,
    Partition,
    Record,
    Ref,
)


def check(
    partition: Partition, pools: Pools, findings: Findings, *, skew_ms: int, dedupe_ms: float
) -> None:
    """Compare a partition's records with each other.

    Args:
        partition: with all its records.
        pools: of the services now.
        findings: collects violations and counts.
        skew_ms: by how much the clocks of the record writers may differ.
        dedupe_ms: how long a message that is delivered again has no effect (R22).
    """
    histories = histories_of(partition)
    _unreadable(partition, findings)
    _twice(partition, findings, dedupe_ms)
    check_matches(partition, findings)
    check_replies(partition, findings)
    check_changes(partition, histories, findings)
    check_effects(partition, histories, pools, findings)
    _list(partition, histories, findings)
    check_sends(partition, findings)
    check_verdicts(partition, histories, pools, findings, skew_ms=skew_ms)


def check_redis(
    partition: Partition, served: Mapping[str, Sequence[Block]], findings: Findings
) -> None:
    """Compare the entries in Redis with the compacted topic, except those written meanwhile."""
    for key in served.keys() | partition.entries.keys():
        if key in partition.touched:
            continue
        findings.counts["redis_entries_checked"] += 1
        offset, blocks = partition.entries.get(key, (-1, ()))
        if set(served.get(key, ())) != set(blocks):
            ids = _ids_of((*blocks, *served.get(key, ())))
            where = f"{LIST}[{partition.number}]@{offset} {', '.join(ids)}"
            findings.add("differs", where, "the blocks in Redis differ from those in block-list")


def _unreadable(partition: Partition, findings: Findings) -> None:
    for topic, offset, at_ms in partition.unreadable:
        bad_input = (topic, offset) in partition.letters
        ours = topic in partition.settled
        if ours and not bad_input and partition.is_checked(topic, offset, at_ms):
            where = f"{topic}[{partition.number}]@{offset}"
            findings.add("contradictory", where, "is not a valid value of its topic")


def _twice(partition: Partition, findings: Findings, dedupe_ms: float) -> None:
    topics: tuple[tuple[str, str, Sequence[Record]], ...] = (
        (NOTIFICATIONS, "a notification", partition.notifications),
        (REPLIES, "a reply", partition.replies),
        (CHANGES, "a change", partition.changes),
    )
    for topic, what, records in topics:
        seen: dict[object, int] = {}
        of_id: dict[str, Ref] = {}
        for record in records:
            if topic == CHANGES and of_id.setdefault(record.id, record.ref) != record.ref:
                where = partition.where(topic, record)
                findings.add("contradictory", where, "has the id of a change with another cause")
            known = record.id if topic == CHANGES else record.ref
            if known in seen and record.at_ms - seen[known] < dedupe_ms:
                findings.add("duplicated", partition.where(topic, record), f"has {what} already")
            seen[known] = record.at_ms
            findings.counts["events_checked"] += 1


def _list(partition: Partition, histories: Mapping[str, History], findings: Findings) -> None:
    if CHANGES in partition.first_ms:
        return
    for key in histories.keys() | partition.entries.keys():
        if key in partition.touched:
            continue
        findings.counts["entries_checked"] += 1
        state = histories.get(key, NO_HISTORY).states[-1]
        offset, blocks = partition.entries.get(key, (-1, ()))
        wanted = {
            Block(place, one.standing, one.mark) for place, one in state.items() if one.standing
        }
        if wanted != {block._replace(lasts=frozenset()) for block in blocks}:
            ids = _ids_of((*blocks, *wanted))
            where = f"{LIST}[{partition.number}]@{offset} {', '.join(ids)}"
            findings.add("differs", where, "the entry is not the result of block-changes")


def _ids_of(blocks: Sequence[Block]) -> list[str]:
    return sorted({source.change_id for block in blocks for source in block.standing.sources})
