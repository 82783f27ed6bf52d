"""A lane goes on from a committed offset only where it can be believed; people set the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.structs import OffsetAndMetadata

from processor.app import Runtime
from processor.config import Role, Settings
from processor.core.partitions import partition_of
from processor.errors import BrokerUnavailable
from processor.kafka.client import committed_of, group_view
from processor.kafka.lanes.position_rules import Position, position_of
from processor.kafka.topics import topic_admin
from tests.builders import RECIPIENT
from tests.installation import Installation, by_sid, running, until
from tests.integration.conftest import Command
from tests.integration.test_flow import a_send, a_text

Break = Callable[["Worked"], Awaitable[None]]


class Worked:
    """An installation whose match and gate have handled something, and are stopped."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.at = Installation(settings)
        self.partition = partition_of(RECIPIENT.encode(), settings.partitions)

    def source(self, role: str) -> TopicPartition:
        """The first source of a role, where the recipient's records are."""
        return TopicPartition(self.at.topics.sources(role)[0], self.partition)

    async def committed(self, role: str) -> OffsetAndMetadata:
        """The role's committed offset there."""
        async with group_view(self.settings, f"{self.settings.topic_prefix}{role}") as view:
            return (await committed_of(view, [self.source(role)]))[self.source(role)]

    async def commit(self, role: str, offset: int, note: str) -> None:
        """Have the role's group be somewhere else, as a restored backup would."""
        async with group_view(self.settings, f"{self.settings.topic_prefix}{role}") as group:
            group.assign([self.source(role)])
            await group.commit({self.source(role): OffsetAndMetadata(offset, note)})


async def beyond_the_end(worked: Worked) -> None:
    for role in ("match", "gate"):
        one = await worked.committed(role)
        await worked.commit(role, one.offset + 100, one.metadata)


async def below_the_start(worked: Worked) -> None:
    async with topic_admin._admin(worked.settings) as admin:
        for role in ("match", "gate"):
            note = (await worked.committed(role)).metadata
            await admin.delete_records({worked.source(role): RecordsToDelete(before_offset=2)})
            await worked.commit(role, 1, note)


async def without_offsets(worked: Worked) -> None:
    for role in ("match", "gate"):
        group = f"{worked.settings.topic_prefix}{role}"
        async with group_view(worked.settings, group) as view:
            await view._coordinator.ensure_coordinator_known()
            answer = await view._coordinator._send_req(DeleteGroupsRequest([group]))
        assert answer.results == [(group, 0)]


async def with_topics_made_anew(worked: Worked) -> None:
    before = {role: await worked.committed(role) for role in ("match", "gate")}
    await make_topics_anew(worked)
    for role, one in before.items():  # Kafka forgets them with the topic, a backup may not
        await worked.commit(role, 1, one.metadata)


async def make_topics_anew(worked: Worked) -> None:
    async with topic_admin._admin(worked.settings) as admin:
        names = [worked.source(role).topic for role in ("match", "gate")]
        await admin.delete_topics(names)
        await until(lambda: _are_gone(admin, names), "topics that are gone")
    await topic_admin.create(worked.settings)
    await worked.at.texts(*THE_PAST)
    await worked.at.sends(*(a_send(f"S{number}") for number in range(3)))


async def _are_gone(admin: object, names: list[str]) -> bool:
    return not set(names) & set(await admin.list_topics())  # type: ignore[attr-defined]


async def under_a_leader_that_was_deposed(worked: Worked) -> None:
    for role in ("match", "gate"):
        one = await worked.committed(role)
        position = position_of(one.offset, one.metadata)
        epoch = (position.leader_epoch or 0) + 7
        told = Position(one.offset, position.topic_id, epoch, position.stage_note)
        await worked.commit(role, one.offset, told.note)


EVERY_BREAK = [
    beyond_the_end,
    below_the_start,
    without_offsets,
    with_topics_made_anew,
    under_a_leader_that_was_deposed,
]
THE_PAST = [a_text("M0", "stop"), a_text("M1", "start"), a_text("M2", "stop")]


@pytest.fixture
async def worked(settings: Settings) -> Worked:
    """Three sends went out; then the recipient texted STOP, START and STOP."""
    made = Worked(settings)
    at = made.at
    async with running(settings):
        await at.sends(*(a_send(f"S{number}") for number in range(3)))
        await at.wait_for(at.topics.allowed_sends, 3)
        for count, text in enumerate(THE_PAST, 1):
            await at.texts(text)
            await at.wait_for(at.topics.block_changes, count)
        await at.wait_for_no_lag("match", "gate")
    return made


@asynccontextmanager
async def refusing(worked: Worked) -> AsyncIterator[Runtime]:
    """A worker whose lanes of the partition have refused their positions."""
    async with running(worked.settings) as runtime:

        async def refused() -> bool:
            doing = {
                role: state.doing
                for role, states in runtime.states().items()
                for state in states
                if state.partition == worked.partition
            }
            return len(doing) == 2 and all("optout offsets" in one for one in doing.values())

        await until(refused, "lanes that refuse their positions")
        yield runtime


@pytest.mark.parametrize("breaks", EVERY_BREAK)
async def test_nothing_is_sent_a_second_time_and_no_old_start_is_applied(
    worked: Worked, breaks: Break, optout: Command, written: list[str]
) -> None:
    at = worked.at
    await breaks(worked)
    async with refusing(worked) as runtime:
        logged = [one for one in written if "lane.failed" in one and "optout offsets" in one]
        assert all("ERROR" in one for one in logged)
        assert {role for role in ("match", "gate") if any(role in one for one in logged)} == {
            "match",
            "gate",
        }
        unready = " ".join(runtime.unready())
        assert f"match {worked.partition}: " in unready
        assert f"gate {worked.partition}: " in unready
        metrics = runtime.metrics.text().decode()
        for role in ("match", "gate"):
            assert (
                f'optout_lane_works{{partition="{worked.partition}",role="{role}"}} 0.0' in metrics
            )
            assert f'reason="PositionRefused",role="{role}"' in metrics
            # Every other worker would refuse them as well.
            assert not [
                state
                for state in await runtime.lanes[role].stuck(0.0, redis_since=0.0)
                if state.partition == worked.partition
            ]
        shown = await optout("offsets", "show", "match", "gate", code=1)
        assert shown.output.count("refused: ") >= 2
        for role in ("match", "gate"):
            await optout("offsets", "set", role, "--to", "latest", "--yes")

        async def works() -> bool:
            return runtime.unready() == []

        await until(works, "worker that is ready again")
        await optout("offsets", "show", "match", "gate")
        await at.texts(a_text("M3", "help"))
        await at.wait_for_no_lag("match")
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.message_statuses, 1)
    # One by one and once: the reader of a list would not see what came twice.
    assert sorted(by_sid(await at.values(at.topics.allowed_sends))) == ["S0", "S1", "S2"]
    assert list(by_sid(await at.values(at.topics.message_statuses))) == ["S3"]
    causes = [one["cause"] for one in await at.values(at.topics.block_changes)]
    assert len(causes) == 3


async def test_a_lane_notices_that_its_topic_was_made_anew_while_it_works(worked: Worked) -> None:
    is_being_made = asyncio.Event()

    def at_step(step: str) -> None:
        # In a topic that is empty there is nothing to refuse.
        if step == "claim" and is_being_made.is_set():
            raise BrokerUnavailable("not before the past is written")

    async with running(worked.settings, at_step) as runtime:

        async def works() -> bool:
            return runtime.unready() == []

        await until(works, "worker that is ready")
        gate = runtime.lanes["gate"]
        is_being_made.set()
        await make_topics_anew(worked)
        is_being_made.clear()

        async def refused() -> bool:
            await gate.stuck(60, redis_since=0.0)
            return any("gate" in one and "optout offsets" in one for one in runtime.unready())

        await until(refused, "lane that refuses its position")
    assert sorted(by_sid(await worked.at.values(worked.at.topics.allowed_sends))) == [
        "S0",
        "S1",
        "S2",
    ]


async def test_a_group_that_is_new_begins_at_the_beginning(settings: Settings) -> None:
    at = Installation(settings)
    await at.texts(a_text("M0", "stop"))
    await at.sends(a_send("S0"))
    async with running(settings):
        await at.wait_for(at.topics.block_changes, 1)
        await at.wait_for_no_lag("match", "gate")


async def test_a_source_that_never_had_a_record_is_committed_with_the_others(
    worked: Worked, settings: Settings
) -> None:
    # Nobody has written a command. Were its offset missing, one written now would not be believed.
    role: Role = "match"
    commands = TopicPartition(worked.at.topics.consent_commands, worked.partition)
    async with group_view(settings, f"{settings.topic_prefix}{role}") as view:
        assert (await committed_of(view, [commands]))[commands].offset == 0


async def test_an_offset_is_set_by_time_by_number_and_only_where_it_is_wanted(
    worked: Worked, optout: Command
) -> None:
    source = worked.source("gate")
    all_is_well = await optout("offsets", "set", "gate", "--to", "earliest", "--yes")
    assert "no such position is refused" in all_is_well.output
    where = ["--topic", source.topic, "--partition", str(source.partition)]
    asked = ["offsets", "set", "gate", *where, "--all", "--yes", "--to"]
    refused = await optout(*asked, "4000", code=2)
    assert "the log has offsets 0 to " in refused.output
    refused = await optout("offsets", "set", "gate", "--all", "--yes", "--to", "1", code=2)
    assert "an offset needs one --topic and one --partition" in refused.output
    refused = await optout(*asked, "yesterday", code=2)
    assert "is not earliest" in refused.output
    end = (await worked.committed("gate")).offset
    for to, offset in (("2", 2), ("1999-12-31", 0), ("2999-12-31", end), ("latest", end)):
        await optout(*asked, to)
        one = await worked.committed("gate")
        assert (one.offset, position_of(offset, one.metadata).leader_epoch) == (offset, None)
    await optout(*asked[:-2], "--to", "earliest", code=1)  # it asks, and nobody answers
    assert (await worked.committed("gate")).offset == end
