"""Which settings of a topic stop a worker, which are reported, and which are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processor.config import Settings
from processor.kafka.topics.topic_plan import (
    BY_PRODUCER,
    TIMESTAMPS,
    Change,
    Code,
    Consequence,
    Found,
    TopicProblem,
    judge,
    lost_before,
    plans,
)

DAY_MS = 24 * 3_600_000
SETTINGS = Settings(topic_prefix="t.", partitions=4)
PLANS = {plan.name.removeprefix("t."): plan for plan in plans(SETTINGS)}
REFUSE, WARN, WAIT, NOTE = (
    Consequence.REFUSE,
    Consequence.WARN,
    Consequence.WAIT,
    Consequence.NOTE,
)
SOURCE, LIST, HISTORY = "inbound-messages.v1", "block-list.v2", "block-changes.v1"


def all_well(replicas: int = 3) -> dict[str, Found]:
    return {
        plan.name: Found(plan.partitions, replicas, plan.settings(replicas))
        for plan in PLANS.values()
    }


def problems(there: Mapping[str, Found]) -> list[TopicProblem]:
    return judge(list(PLANS.values()), there)


def with_setting(topic: str, setting: str, value: str, replicas: int = 3) -> list[TopicProblem]:
    """The problems where one setting of one topic has another value."""
    there = all_well(replicas)
    plan = PLANS[topic]
    config = {**plan.settings(replicas), setting: value}
    return problems({**there, plan.name: Found(plan.partitions, replicas, config)})


def without(topic: str) -> dict[str, Found]:
    return {name: found for name, found in all_well().items() if name != f"t.{topic}"}


def test_topics_as_planned_are_well() -> None:
    assert problems(all_well()) == []


@pytest.mark.parametrize(
    ("topic", "setting", "value", "consequence"),
    [
        # It would forget opt-outs, services, accounts.
        (LIST, "cleanup.policy", "delete", REFUSE),
        (LIST, "cleanup.policy", "compact,delete", REFUSE),
        ("messaging-services.v1", "cleanup.policy", "delete", REFUSE),
        ("accounts.v1", "cleanup.policy", "compact,delete", REFUSE),
        # It would keep the last message of a recipient only.
        (SOURCE, "cleanup.policy", "compact", REFUSE),
        (HISTORY, "cleanup.policy", "compact,delete", REFUSE),
        ("allowed-sends.v1", "cleanup.policy", "compact", REFUSE),
        # The records that match reads, first and again, must be kept for OPTOUT_DEDUPE_HOURS (24).
        (SOURCE, "retention.ms", str(DAY_MS - 1), REFUSE),
        (SOURCE, "retention.ms", str(DAY_MS), WARN),
        ("opt-out-notifications.v1", "retention.ms", str(DAY_MS - 1), REFUSE),
        ("dead-letters.v1", "retention.ms", str(DAY_MS - 1), REFUSE),
        ("allowed-sends.v1", "retention.ms", str(DAY_MS - 1), REFUSE),
        (HISTORY, "retention.ms", str(365 * DAY_MS), WARN),
        (SOURCE, "retention.bytes", str(1 << 40), REFUSE),
        (HISTORY, "retention.bytes", str(1 << 40), REFUSE),
        ("opt-out-counts.v1", "retention.bytes", str(1 << 40), WARN),
        (LIST, "max.message.bytes", "1000", REFUSE),
        ("dead-letters.v1", "max.message.bytes", "1048588", REFUSE),
        (SOURCE, TIMESTAMPS, BY_PRODUCER, WAIT),
        (LIST, TIMESTAMPS, BY_PRODUCER, WAIT),
        (LIST, "min.insync.replicas", "1", WARN),
        (SOURCE, "unclean.leader.election.enable", "true", WARN),
        (LIST, "segment.ms", str(7 * DAY_MS), WARN),
        (LIST, "min.cleanable.dirty.ratio", "0.5", WARN),
        (LIST, "delete.retention.ms", str(DAY_MS), WARN),
        # Only the counts of /opt-out-rates would be lost.
        ("rates-hours-changelog", "cleanup.policy", "delete", WARN),
        ("rates-hours-changelog", "retention.ms", str(DAY_MS), WARN),
    ],
)
def test_a_setting_that_differs(
    topic: str, setting: str, value: str, consequence: Consequence
) -> None:
    [problem] = with_setting(topic, setting, value)
    assert problem.code is Code.SETTING
    assert (problem.place, problem.consequence) == (f"t.{topic}", consequence)
    planned = PLANS[topic].settings(3)[setting]
    assert problem.change == Change(setting, value, planned)
    assert f"{setting} is {value} where " in problem.what
    assert "`optout topics create` mends it" in problem.remedy


@pytest.mark.parametrize(
    ("topic", "setting", "value"),
    [
        (SOURCE, "retention.ms", str(30 * DAY_MS)),
        (SOURCE, "retention.ms", "-1"),
        ("dead-letters.v1", "max.message.bytes", str(1 << 23)),
        ("rates-hours-changelog", "cleanup.policy", "delete,compact"),
        (LIST, "min.insync.replicas", "3"),
        (LIST, "segment.ms", "60000"),
        (LIST, "min.cleanable.dirty.ratio", "0.10"),
        (LIST, "delete.retention.ms", str(30 * DAY_MS)),
        (LIST, "retention.ms", "1"),  # a compacted topic ignores it
        (SOURCE, "compression.type", "zstd"),
    ],
)
def test_what_keeps_more_or_as_much_is_well(topic: str, setting: str, value: str) -> None:
    assert with_setting(topic, setting, value) == []


def test_a_broker_that_does_not_know_a_setting_is_not_blamed_for_it() -> None:
    there = all_well()
    there["t." + LIST] = Found(4, 3, {"cleanup.policy": "compact"})
    assert problems(there) == []


@pytest.mark.parametrize(
    ("hours", "longest_delay_s", "needed_hours"), [(48, 3_600, 48), (0.5, 3_600, 1)]
)
def test_what_is_needed_is_what_is_remembered_and_the_longest_delay(
    hours: float, longest_delay_s: float, needed_hours: int
) -> None:
    settings: Any = {"dedupe_hours": hours, "webhook_longest_delay_s": longest_delay_s}
    made = plans(Settings(topic_prefix="t.", partitions=4, **settings))
    needed = {plan.name: plan.needed.get("retention.ms") for plan in made}
    for name in ("inbound-messages.v1", "webhook-retries-4.v1", "opt-out-notifications.v1"):
        assert needed[f"t.{name}"] == str(needed_hours * 3_600_000)
    assert needed["t.block-changes.v1"] is None


def test_two_in_sync_replicas_are_wanted_of_three_and_of_no_fewer() -> None:
    for replicas in (1, 2):
        found = with_setting(LIST, "min.insync.replicas", "1", replicas)
        assert {one.consequence for one in found} == {NOTE}


def test_few_replicas_are_one_note() -> None:
    [note] = problems(all_well(replicas=1))
    assert (note.code, note.consequence) == (Code.FEW_REPLICAS, NOTE)
    assert note.place == f"t.{SOURCE} and {len(PLANS) - 1} others"


def test_settings_that_may_not_be_read_are_one_warning() -> None:
    there = {name: Found(found.partitions, 3, None) for name, found in all_well().items()}
    [problem] = problems(there)
    assert (problem.code, problem.consequence) == (Code.SETTINGS_HIDDEN, WARN)
    assert "DescribeConfigs" in problem.remedy


def test_a_missing_topic_is_waited_for() -> None:
    assert [str(one) for one in problems(without(LIST))] == [
        f"t.{LIST}: missing; create it with `optout topics create`"
    ]
    assert problems(without(LIST))[0].consequence is WAIT
    assert problems(without(LIST))[0].code is Code.MISSING


def test_a_topic_whose_partitions_are_not_known_yet_is_waited_for() -> None:
    [problem] = problems({**all_well(), f"t.{LIST}": Found(0, 0, {})})
    assert problem.code is Code.PARTITIONS_UNKNOWN
    assert (problem.place, problem.consequence) == (f"t.{LIST}", WAIT)


def test_another_number_of_partitions_is_refused() -> None:
    plan = PLANS[LIST]
    [problem] = problems({**all_well(), plan.name: Found(6, 3, plan.settings(3))})
    assert (problem.code, problem.consequence) == (Code.PARTITION_COUNT, REFUSE)
    assert str(problem).startswith(f"t.{LIST}: 6 partitions where 4 are expected; set OPTOUT_")
    assert problem.change is None


def test_a_list_of_an_older_version_is_refused_and_its_successor_not_missed() -> None:
    there = {**without(LIST), "t.block-list.v1": Found(4, 3, {})}
    [problem] = problems(there)
    assert problem.code is Code.OLDER_VERSION
    assert (problem.place, problem.consequence) == ("t.block-list.v1", REFUSE)


def lost(before: str, after: str, **limits: str) -> str | None:
    config = {name.replace("_", "."): value for name, value in limits.items()}
    change = Change("cleanup.policy", before, after)
    return lost_before("t.topic", [change], Found(4, 3, config))


def test_what_a_topic_may_have_lost_is_told() -> None:
    week = str(7 * DAY_MS)
    for before in ("delete", "compact,delete"):
        told = lost(before, "compact", retention_ms=week)
        assert told is not None
        assert "7 days ago or earlier" in told
        assert "'A topic that forgot' in deploy/runbook.md" in told
    by_size = lost("delete", "compact", retention_ms="-1", retention_bytes="1000")
    assert by_size is not None
    assert "long ago" in by_size
    assert "`optout audit`" in str(lost("compact", "delete", retention_ms=week))


def test_where_nothing_can_be_lost_nothing_is_told() -> None:
    assert lost("delete", "compact", retention_ms="-1", retention_bytes="-1") is None
    assert lost("delete", "compact,delete", retention_ms="1000") is None
    other = Change("segment.ms", "1", "2")
    assert lost_before("t.topic", [other], Found(4, 3, {"retention.ms": "1000"})) is None
