"""A rebalance affects only lanes that move, and no rebalance is needless.

Takes are counted by the lane's log line, generations by the coordinator's records.
"""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from processor.config import Role, Settings
from processor.core.services import Directory
from processor.kafka.lanes.shared_transactions import fence_writers
from processor.kafka.lanes.supervisor import Lanes
from processor.kafka.lanes.transactional_producers import fence
from processor.stages.hearing import Ear
from processor.wire.screening import Glances
from processor.worker.runtime import Runtime
from tests.clinic import a_send, a_text
from tests.crash.sharing import patient, ready, shared
from tests.groups import generation
from tests.installation import Installation, running, until
from tests.raw_log import entries
from tests.victim import numbers_in
from tests.worker_process import Place, WorkerProcess, settled, stopped_at_the_end

pytestmark = pytest.mark.crash

ROLES: Sequence[Role] = ("match", "gate")


@pytest.fixture(autouse=True)
def _log_takes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="processor")


def takes(caplog: pytest.LogCaptureFixture) -> Counter[Place]:
    """How often each partition was taken, by all workers of this process."""
    return Counter(
        (vars(record)["group"].rpartition(".")[2], vars(record)["partition"])
        for record in caplog.records
        if record.getMessage() == "lane.taken"
    )


def places(worker: Runtime) -> set[Place]:
    return {(role, one.partition) for role, of in worker.states().items() for one in of}


async def write_everywhere(at: Installation, number: int) -> None:
    """Write a STOP and a send in every partition, and wait for the results."""
    partitions = at.settings.partitions
    texts, sends = [], []
    for partition in range(partitions):
        one, other = islice(numbers_in(partition, partitions, start=2 * number * 1_000), 2)
        texts.append(a_text(f"M{number}x{partition}", "stop", **{"from": one}))
        sends.append(a_send(f"S{number}x{partition}", to=other))
    await at.texts(*texts)
    await at.sends(*sends)
    await at.wait_for(at.topics.reply_sends, (number + 1) * partitions)
    await at.wait_for(at.topics.allowed_sends, (number + 1) * partitions)


async def producers(at: Installation) -> dict[Place, list[int]]:
    """Ids of the producers that wrote into each partition, in the order of their batches."""
    found: dict[Place, list[int]] = {}
    for role, topic in (("match", at.topics.reply_sends), ("gate", at.topics.allowed_sends)):
        async for entry in entries(at.settings, topic):
            if entry.producer and not entry.mark:
                found.setdefault((role, entry.tp.partition), []).append(entry.producer[0])
    return found


async def test_a_partition_that_stays_is_not_taken_again_when_a_worker_joins_and_leaves(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = patient(settings)
    at = Installation(settings)
    async with running(settings) as first:
        await shared(first)
        await ready(first)
        everywhere = places(first)
        await write_everywhere(at, 0)
        async with running(settings) as second:
            await shared(first, second)
            await ready(first, second)
            stayed = places(first)
            await write_everywhere(at, 1)
        await shared(first)
        await ready(first)
        await write_everywhere(at, 2)
    assert takes(caplog) == {place: 1 if place in stayed else 3 for place in everywhere}
    wrote = await producers(at)
    for own, *others in (wrote[place] for place in stayed):
        # Its own producer wrote the first batch, and the two of the relay all others.
        assert own not in others
        assert len(set(others)) in (1, 2)


async def test_no_partition_waits_for_what_can_be_done_before_it_comes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_for: list[Directory] = []
    prepared: list[tuple[bool, bool]] = []
    glance, assign = Ear.glance, Lanes.assign

    def noted_glance(ear: Ear, directory: Directory) -> Glances:
        made_for.append(directory)
        return glance(ear, directory)

    def noted(lanes: Lanes, assigned: Iterable[TopicPartition]) -> None:
        is_match = lanes._group.endswith("match")
        prepared.append((lanes._shared._relay is not None, not is_match or bool(made_for)))
        assign(lanes, assigned)

    monkeypatch.setattr(Ear, "glance", noted_glance)
    monkeypatch.setattr(Lanes, "assign", noted)
    async with running(settings) as one:
        await ready(one)
    assert len(prepared) >= len(ROLES)
    assert set(prepared) == {(True, True)}


@asynccontextmanager
async def two_workers(
    settings: Settings, home: Path
) -> AsyncIterator[tuple[WorkerProcess, WorkerProcess]]:
    """Processes that have shared the partitions; stopped at the end."""
    first, second = (WorkerProcess(settings, home / name) for name in ("first", "second"))
    async with stopped_at_the_end((first, second)):
        await first.launch()
        await second.launch()
        await settled((first, second), settings)
        yield first, second


async def test_partitions_of_a_worker_that_was_not_terminated_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    async with two_workers(settings, tmp_path) as (first, second):
        stayed, moved = await first.works_at(), await second.works_at()
        before = len(first.takes())
        await second.stop()
        await settled([first], settings)
        assert await first.works_at() == stayed | moved
        assert Counter(take.place for take in first.takes()[before:]) == Counter(moved)


async def test_a_frozen_worker_that_wakes_costs_one_rebalance(
    settings: Settings, tmp_path: Path
) -> None:
    async with two_workers(settings, tmp_path) as (first, second):
        second.signal(signal.SIGSTOP)
        await settled([first], settings)
        before = await generations_of(settings)
        second.signal(signal.SIGCONT)
        await settled((first, second), settings)
        assert await generations_of(settings) == {role: before[role] + 1 for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
async def test_fenced_lanes_whose_partitions_are_still_their_own_take_them_without_a_rebalance(
    settings: Settings, caplog: pytest.LogCaptureFixture, role: Role
) -> None:
    at, partition, group = Installation(settings), 2, f"{settings.topic_prefix}{role}"
    async with running(settings) as worker:
        await shared(worker)
        await ready(worker)
        await write_everywhere(at, 0)
        before, taken = await generations_of(settings), takes(caplog)
        sources = [TopicPartition(topic, partition) for topic in at.topics.sources(role)]
        await fence(settings, f"{group}-{partition}")
        await fence_writers(settings, group, sources)
        await write_everywhere(at, 1)

        async def are_taken() -> bool:
            return (takes(caplog) - taken).total() == settings.partitions

        await until(are_taken, "lanes that took their partitions again")
        await shared(worker)
        await ready(worker)
        assert await generations_of(settings) == before
        # They had one producer, which the note of each partition names.
        assert takes(caplog) - taken == {(role, one): 1 for one in range(settings.partitions)}


async def generations_of(settings: Settings) -> dict[Role, int]:
    return {role: await generation(settings, f"{settings.topic_prefix}{role}") for role in ROLES}
