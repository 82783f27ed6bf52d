"""Kafka and Redis: whether they answer, their versions, their clocks."""

from __future__ import annotations

import platform
from importlib.metadata import version

from processor import clocks
from processor.doctor.examination import Examination
from processor.doctor.findings import count, some_of
from processor.kafka import codecs
from processor.kafka.cluster import cluster_of, written_after
from processor.kafka.topics.topic_plan import TIMESTAMPS, plans
from processor.stores.block_list import FORMAT
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_facts import facts_of

TOLERATED_MS = 1_000  # R23: within a second of each other, the block holds
_SET_CLOCKS = "let NTP set the clock of every machine"


async def kafka(at: Examination) -> str:
    """See that brokers answer and that no partition of ours lacks a leader or a replica."""
    found = await cluster_of(at.settings)
    start_brokers = "start the broker that is down, and read its log"
    if found.leaderless:
        named = some_of(found.leaderless)
        at.wrong(f"without a leader, so records wait: {named}", start_brokers)
    if found.behind:
        at.wrong(f"replicas are behind: {some_of(found.behind)}", start_brokers)
    return f"{count(len(found.brokers), 'broker')}: {some_of(found.brokers)}"


async def redis(at: Examination) -> str:
    """See that Redis answers, keeps what it is given, and has the replicas that are asked for."""
    await at.redis.check()
    return (await facts_of(at.redis, at.settings.topic_prefix)).version


async def versions(at: Examination) -> str:
    """See that this version can read every record, and the list that Redis serves."""
    codecs.check()
    if at.role not in ("webhooks", "rates", "topics"):  # they may not read the list
        await _list(at)
    return f"optout {version('optout')}, Python {platform.python_version()}"


async def _list(at: Examination) -> None:
    partitions = at.settings.partitions
    store = block_list_store(at.settings, at.redis)
    found = await store.read_many(dict.fromkeys(range(partitions), ()))
    metas = {one: snapshot.meta for one, snapshot in found.items()}
    newer = [str(one) for one, meta in metas.items() if meta.format.least > FORMAT.written]
    other = [str(one) for one, meta in metas.items() if meta.partitions not in (None, partitions)]
    if newer:
        what = f"a newer version wrote the block list of {_parts(newer)}"
        at.wrong(what, "run that version here, too (deploy/upgrade.md)")
    if other:
        what = f"the block list was built for another number of partitions: {_parts(other)}"
        at.wrong(what, "set OPTOUT_PARTITIONS to the number that all topics have")
    if waiting := [str(one) for one, meta in metas.items() if meta.ready is None]:
        what = f"Redis does not have the whole block list of {_parts(waiting)}, so the gate waits"
        at.note(what, "a worker with the role match builds it; start one, or wait for it")


async def clocks_(at: Examination) -> str:
    """Compare this machine's clock with Redis's, and with the newest records of the topics."""
    prefix, began_ms = at.settings.topic_prefix, clocks.now_ms()
    facts = await facts_of(at.redis, prefix)
    now_ms = clocks.now_ms()
    apart_ms = max(began_ms - facts.time_ms, facts.time_ms - now_ms, 0)
    if apart_ms > TOLERATED_MS:
        what = f"the clocks of this machine and of Redis are {apart_ms / 1000:,.1f} s apart"
        at.wrong(what, _SET_CLOCKS)
    timed = [one.name for one in plans(at.settings) if TIMESTAMPS in one.config]
    if ahead := await written_after(at.settings, timed, clocks.now_ms() + TOLERATED_MS):
        what = f"brokers wrote records in this machine's future: {some_of(ahead)}"
        at.wrong(what, _SET_CLOCKS)
    return f"within {TOLERATED_MS / 1000:g} s of Redis; no record is from the future"


def _parts(partitions: list[str]) -> str:
    return f"partition {partitions[0]}" if len(partitions) == 1 else f"{len(partitions)} partitions"
