"""Topics with wrong settings: they are refused, waited for, reported or repaired."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete

from deploy.local import stack
from processor.config import Settings
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import BY_PRODUCER, Consequence, plans
from tests.brokers import bootstrap, three_brokers
from tests.clinic import a_send, a_text
from tests.installation import Installation, running, until
from tests.integration.conftest import Command
from tests.processes import OPTOUT, environment, started
from tests.topics import config_of, set_configs

API = (*OPTOUT[:-1], "api")
DAY_MS = 24 * 3_600_000


async def test_a_list_that_would_forget_stops_worker_and_api_and_is_mended(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}auto."})
    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", made.topic_prefix)
    topics = Installation(made).topics
    async with topic_admin._admin(made) as admin:  # as a broker with automatic topic creation does
        await admin.create_topics([NewTopic(topics.block_list, 4, 1)])
        await admin.create_topics([NewTopic(topics.messaging_services, 1, 1)])
    assert (await topic_admin.create(made)).created
    forgetful = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}
    await set_configs(made, {topics.block_list: forgetful, topics.messaging_services: forgetful})

    refused = f"{topics.block_list}: cleanup.policy is delete where compact is needed"
    assert f"error: {refused}" in (await optout("topics", "check", code=1)).stderr
    for command in (OPTOUT, API):
        async with started(command, **environment(made)) as process:
            assert await process.ends() == 2
        assert refused in process.said
        assert f"{topics.messaging_services}: cleanup.policy is delete" in process.said

    mended = await optout("topics", "create")
    assert mended.stdout == (
        f"corrected {topics.block_list}: cleanup.policy delete -> compact\n"
        f"corrected {topics.messaging_services}: cleanup.policy delete -> compact\n"
        "nothing created, 2 corrected\n"
    )
    assert f"{topics.block_list}: was not compacted; records written 7 days ago" in mended.stderr
    again = await optout("topics", "create")
    assert again.stdout == "nothing created, nothing corrected\n"
    assert "was not compacted" not in again.stderr
    async with started(OPTOUT, **environment(made)) as worker:
        await worker.says("lane.taken")


async def test_topics_that_a_broker_made_by_itself_are_mended_at_once(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}auto."})
    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", made.topic_prefix)
    async with topic_admin._admin(made) as admin:
        await admin.create_topics([NewTopic(plan.name, plan.partitions, 1) for plan in plans(made)])
    told = orjson.loads((await optout("topics", "create", "--json")).stdout)
    assert told["created"] == []
    assert {*told["mended"]} == {plan.name for plan in plans(made)}
    changes = told["mended"][Installation(made).topics.block_list]
    assert {"setting": "cleanup.policy", "before": "delete", "after": "compact"} in changes
    assert [one["consequence"] for one in told["problems"]] == ["note"]


async def test_every_setting_of_ours_is_mended(settings: Settings, optout: Command) -> None:
    topics = Installation(settings).topics
    wrong = {
        topics.inbound_messages: {
            "cleanup.policy": "compact",
            "retention.ms": "3600000",
            "retention.bytes": "1000000",
            "max.message.bytes": "1000",
            "message.timestamp.type": BY_PRODUCER,
            "unclean.leader.election.enable": "true",
        },
        topics.block_list: {
            "cleanup.policy": "compact,delete",
            "segment.ms": str(7 * DAY_MS),
            "min.cleanable.dirty.ratio": "0.5",
            "delete.retention.ms": str(DAY_MS),
        },
    }
    await set_configs(settings, wrong)
    checked = await optout("topics", "check", "--json", code=1)
    found = {
        (one["topic"], one["what"].split()[0]) for one in orjson.loads(checked.stdout)["problems"]
    }
    assert {(topic, setting) for topic, each in wrong.items() for setting in each} <= found
    told = orjson.loads((await optout("topics", "create", "--json")).stdout)
    for plan in plans(settings):
        changes = told["mended"].get(plan.name, [])
        assert {one["setting"]: one["before"] for one in changes} == wrong.get(plan.name, {})
    for topic in wrong:
        planned = next(plan.config for plan in plans(settings) if plan.name == topic)
        assert {**await config_of(settings, topic), **planned} == await config_of(settings, topic)


async def test_what_is_kept_longer_than_planned_stays_so(
    settings: Settings, optout: Command
) -> None:
    topics = Installation(settings).topics
    longer = {
        topics.inbound_messages: {"retention.ms": "-1"},
        topics.outbound_messages: {"retention.ms": str(30 * DAY_MS)},
    }
    await set_configs(settings, longer)
    assert (await optout("topics", "check")).stdout == "all topics are correct\n"
    assert (await optout("topics", "create")).stdout == "nothing created, nothing corrected\n"
    for topic, kept in longer.items():
        assert (await config_of(settings, topic))["retention.ms"] == kept["retention.ms"]


async def test_a_setting_that_is_only_warned_of_is_logged_and_the_worker_works(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    await set_configs(settings, {at.topics.block_list: {"segment.ms": str(7 * DAY_MS)}})
    warning = f"{at.topics.block_list}: segment.ms is {7 * DAY_MS} where at most 3600000 is planned"
    assert f"warning: {warning}" in (await optout("topics", "check", code=1)).stderr
    async with started(OPTOUT, **environment(settings)) as worker:
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        assert await worker.ends(signal.SIGTERM) == 0
    assert worker.said.count(warning) == 1
    assert "`optout topics create` mends it" in worker.said


async def test_r23_topics_with_producers_times_are_waited_for(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    await topic_admin.set_timestamps(settings, BY_PRODUCER)
    async with started(OPTOUT, **environment(settings)) as worker:
        await worker.says("message.timestamp.type is CreateTime where LogAppendTime is planned")
        await worker.says("`optout topics move` to here sets it at its end")
        assert "lane.taken" not in worker.said
        await optout("topics", "create")
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)


async def test_what_a_list_forgot_is_brought_back_from_redis(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at, rows = Installation(settings), str(tmp_path / "blocked.csv")
    recipients = [f"+1555000{number:04}" for number in range(12)]
    async with running(settings):
        await at.texts(*(a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in recipients))
        await at.wait_for(at.topics.reply_sends, len(recipients))
        await set_configs(settings, {at.topics.block_list: {"cleanup.policy": "delete"}})
        forgotten = [TopicPartition(at.topics.block_list, number) for number in range(4)]
        async with topic_admin._admin(settings) as admin:
            await admin.delete_records({tp: RecordsToDelete(-1) for tp in forgotten})  # to the end
        assert await at.records(at.topics.block_list) == []

        assert "A topic that forgot" in (await optout("topics", "create")).stderr
        verified = await optout("blocks", "verify", "--json", code=1)
        assert len(orjson.loads(verified.stdout)["differing"]) == len(recipients)
        await optout("blocks", "export", rows)
        await optout("blocks", "import", rows)
        await at.wait_for_no_lag("match")
        assert (await optout("blocks", "verify")).stdout.endswith(" 0 entries differ\n")
    async with running(settings):  # it compares Redis with the topic
        await at.sends(*(a_send(f"S{one[1:]}", to=one) for one in recipients))
        await at.wait_for(at.topics.message_statuses, len(recipients))
    assert await at.values(at.topics.allowed_sends) == []


@pytest.fixture
def cluster(servers: None, tmp_path: Path) -> Iterator[list[stack.Server]]:
    with three_brokers(tmp_path) as made:
        yield made


async def differing(settings: Settings, wanted: Mapping[str, str]) -> bool:
    """Whether exactly these changes are reported, each as a warning."""
    found = await topic_admin.check(settings)
    told = {one.place: str(one.change) for one in found if one.consequence is Consequence.WARN}
    return told == wanted and len(found) == len(wanted)


async def all_need_two(settings: Settings) -> bool:
    found = [await config_of(settings, plan.name) for plan in plans(settings)]
    return {one["min.insync.replicas"] for one in found} == {"2"}


@pytest.mark.needs_more
async def test_of_three_replicas_two_must_have_a_record(
    cluster: list[stack.Server],
) -> None:
    settings = Settings(
        kafka_bootstrap=bootstrap(cluster),
        topic_prefix="three.",
        partitions=4,
        session_timeout_s=2,
        roles=("match", "gate"),
    )
    at = Installation(settings)
    made = await topic_admin.create(settings)
    assert (len(made.created), made.mended) == (len(plans(settings)), {})
    # Whichever broker is asked, and however far it is behind the others.
    await until(lambda: differing(settings, {}), "topics as planned")
    await until(lambda: all_need_two(settings), "two in-sync replicas of every topic")

    await set_configs(settings, {at.topics.block_list: {"min.insync.replicas": "1"}})
    wrong = {at.topics.block_list: "min.insync.replicas 1 -> 2"}
    await until(lambda: differing(settings, wrong), "setting that is reported")

    async def mended() -> bool:
        made = await topic_admin.create(settings)
        return {name: ", ".join(map(str, each)) for name, each in made.mended.items()} == wrong

    await until(mended, "setting that is repaired")
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        cluster[0].kill()
        await at.texts(a_text("M2", "start"))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
