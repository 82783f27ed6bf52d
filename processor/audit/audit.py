"""Read an installation for the checker, one partition at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing

import orjson

from processor.audit import records, values
from processor.audit.check import check, check_redis
from processor.audit.history import Pools
from processor.audit.records import packed_blocks
from processor.audit.report import Findings, Report
from processor.audit.values import Block, Partition
from processor.config import Settings
from processor.kafka.partition_facts import committed_offset, has_its_beginning, uncommitted_ends
from processor.kafka.reading import read_whole
from processor.stores.hashes import fields_of
from processor.stores.redis_client import RedisClient, redis_client

_SOURCES = {values.INBOUND: "match", values.COMMANDS: "match", values.OUTBOUND: "gate"}
_OUTPUTS = (
    values.ALLOWED,
    values.STATUSES,
    values.NOTIFICATIONS,
    values.REPLIES,
    values.CHANGES,
    values.LIST,
)
_READ = (values.LETTERS, *_OUTPUTS, *_SOURCES)
STEPS = len(_READ) + 1
# Read from the beginning, whatever the range, because a state is the sum of all changes.
_WHOLE = (values.CHANGES, values.LIST, values.COMMANDS, values.LETTERS)
_MARGIN_MS = 3_600_000  # records in the range may refer to records written before it
_LOOKS = 3  # reads of Redis, which is a moment ahead of the topic


async def audit(
    settings: Settings,
    *,
    since_ms: int | None = None,
    until_ms: int | None = None,
    with_redis: bool = True,
    skew_ms: int = 1_000,
    partitions: Iterable[int] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Report:
    """Compare the topics of an installation with each other and with Redis.

    Args:
        settings: of the installation.
        since_ms: check only records written from this time on, UTC; None: from the beginning.
        until_ms: check only records written up to this time, UTC; None: to the end.
        with_redis: whether to read Redis, too.
        skew_ms: by how much the clocks of the record writers may differ.
        partitions: partitions to check; all if None.
        on_step: called ``STEPS`` times for each partition, to show progress.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StoreUnavailable: Redis does not answer.
    """
    findings = Findings()
    pools = await _pools(settings)
    dedupe_ms = 3_600_000 * settings.dedupe_hours
    for number in range(settings.partitions) if partitions is None else partitions:
        partition = await _read(settings, number, since_ms, until_ms, findings, on_step)
        check(partition, pools, findings, skew_ms=skew_ms, dedupe_ms=dedupe_ms)
        if with_redis:
            await _hold_redis(settings, partition, findings)
        on_step()
    return Report(dict(findings.counts), tuple(findings.violations))


async def _read(
    settings: Settings,
    number: int,
    since_ms: int | None,
    until_ms: int | None,
    findings: Findings,
    on_step: Callable[[], None],
) -> Partition:
    prefix = settings.topic_prefix
    # Committed offsets first, then ends, then records, so that each step covers the step before.
    committed = {
        topic: await committed_offset(settings, f"{prefix}{role}", prefix + topic, number)
        for topic, role in _SOURCES.items()
    }
    partition = Partition(
        number,
        settings.partitions,
        committed=committed,
        settled=await _ends(settings, number, _OUTPUTS),
        since_ms=since_ms,
        until_ms=until_ms,
    )
    # Verdicts before changes, so that the changes up to every verdict's mark are read.
    for topic in _READ:
        from_ms = None if since_ms is None or topic in _WHOLE else since_ms - _MARGIN_MS
        first = True
        async with aclosing(_records(settings, topic, number, from_ms)) as found:
            async for record in found:
                if (
                    first
                    and record.offset > 0
                    and topic != values.LIST
                    and not await has_its_beginning(settings, prefix + topic, number)
                ):
                    partition.first_ms[topic] = record.timestamp
                first = False
                findings.counts[topic] += 1
                records.add(partition, topic, record)
        on_step()
    partition.letters = {
        (topic.removeprefix(prefix), offset) for topic, offset in partition.letters
    }
    return partition


def _records(
    settings: Settings, topic: str, number: int, from_ms: int | None
) -> AsyncGenerator[records.KafkaRecord, None]:
    name = settings.topic_prefix + topic
    return read_whole(settings, name, partitions=[number], since_ms=from_ms, with_unread=True)


async def _ends(settings: Settings, number: int, topics: Sequence[str]) -> dict[str, int]:
    """Read the ends of topics, open transactions included: reading waits for those."""
    names = {settings.topic_prefix + topic: topic for topic in topics}
    ends = await uncommitted_ends(settings, list(names), number)
    return {names[name]: end for name, end in ends.items()}


async def _pools(settings: Settings) -> Pools:
    """Read every service's senders from the current configuration, and when each changed last."""
    found: dict[str, list[tuple[str, str]]] = {}
    changed_ms: dict[str, int] = {}
    topic = settings.topic_prefix + values.SERVICES
    async for record in read_whole(settings, topic, partitions=[0]):
        try:
            sid = record.key.decode()
            found[sid] = _senders(record.value)
            changed_ms[sid] = record.timestamp
        except (ValueError, LookupError, TypeError, AttributeError):
            continue  # not written by the processor: the last good record is in force
    senders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sid, ones in found.items():
        for account, address in ones:
            senders[account, sid].add(address)
    services = {one: sid for sid, ones in found.items() for one in ones}
    return Pools(services, senders, changed_ms, await _ended_ms(settings))


async def _ended_ms(settings: Settings) -> dict[str, int]:
    """Read when each account was suspended or closed for the first time."""
    found: dict[str, int] = {}
    topic = settings.topic_prefix + values.CONFIGURATION
    async for record in read_whole(settings, topic, partitions=[0]):
        try:
            change = orjson.loads(record.value)
            if change.get("status_after") in ("suspended", "closed"):
                found.setdefault(str(change["sid"]), record.timestamp)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def _senders(value: bytes | None) -> list[tuple[str, str]]:
    """Read the account and the sender addresses of a service."""
    if value is None:
        return []
    service = orjson.loads(value)
    account = str(service["account_sid"])
    return [(account, str(sender["address"])) for sender in service.get("senders", ())]


async def _hold_redis(settings: Settings, partition: Partition, findings: Findings) -> None:
    """Compare with Redis, and again if they differ: Redis may have an uncommitted batch."""
    client = redis_client(settings)
    try:
        for look in range(_LOOKS):
            last = look == _LOOKS - 1
            tried = Findings()
            served = await _served(client, settings, partition.number)
            again = partition if look == 0 else await _listed(settings, partition)
            check_redis(again, served, tried)
            if not tried.violations or last:
                findings.counts.update(tried.counts)
                findings.violations += tried.violations
                return
    finally:
        await client.close()


async def _listed(settings: Settings, partition: Partition) -> Partition:
    """Read the list; entries that changed meanwhile are marked as touched."""
    again = Partition(
        partition.number, settled=await _ends(settings, partition.number, [values.LIST])
    )
    async for record in _records(settings, values.LIST, partition.number, None):
        records.add(again, values.LIST, record)
    return again


async def _served(
    client: RedisClient, settings: Settings, number: int
) -> dict[str, tuple[Block, ...]]:
    name = f"{settings.topic_prefix}{{{number}}}:entries"
    return {key.decode(): _packed(value) async for key, value in fields_of(client, name)}


def _packed(value: bytes) -> tuple[Block, ...]:
    try:
        return packed_blocks(value)
    except ValueError:
        return ()  # differs from every entry of the topic
