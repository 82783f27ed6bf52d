"""The settings that every topic should have, and the consequence where a topic differs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib.resources import files
from typing import Literal, NotRequired, TypedDict

from processor.config import Settings

LANES = (
    "match",
    "gate",
    "webhooks",
    "carriers",
)  # roles that must not lose or double what they read
TIMESTAMPS = "message.timestamp.type"
# The broker's clock counts (R41), so that no producer's clock can hold a record up.
BY_BROKER, BY_PRODUCER = "LogAppendTime", "CreateTime"
PROOF_DAYS = 730  # records kept for years are proof; statistics are kept for thirteen months
_SAFE_REPLICAS = 3
_POLICY = "cleanup.policy"
_RETENTION, _RETENTION_BYTES = "retention.ms", "retention.bytes"
_LARGEST = "max.message.bytes"
_UNCLEAN = "unclean.leader.election.enable"
_IN_SYNC = "min.insync.replicas"

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_MOST_BYTES = 1 << 20  # of a batch as it is written; the lanes expect no more
# Compacted soon, and tombstones kept longer than any worker is away: a rebuild reads the whole log.
_COMPACTED = {
    _POLICY: "compact",
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(7 * _DAY_MS),
}
# Faust's changelogs of the tables in `stages/opt_out_rates.py`, under the names that it gives them.
# Each has its retention (as long as a table keeps a window, and two windows) and age of a segment.
# Faust would create them while its agent already reads, and fail over partitions that are not there
# yet.
_CHANGELOGS_MS = {
    "rates-hours-changelog": (26 * _HOUR_MS, 24 * _HOUR_MS),
    "rates-minutes-changelog": (62 * _MINUTE_MS, _HOUR_MS),
}
_MENDED = "`optout topics create` mends it"
_MOVED = f"`optout topics move` to here sets it at its end; where none is under way, {_MENDED}"
_OTHER_COUNT = (
    "set OPTOUT_PARTITIONS to what all topics have; another number goes by `optout topics "
    "move` (deploy/upgrade.md): recipients are spread by it"
)
_OTHER_COUNT_OF_CHANGELOG = (
    "stop workers with the role rates, delete it, and create it again with `optout "
    "topics create`; lost is what /opt-out-rates counted in it, a day at most, and no "
    "block (deploy/runbook.md)"
)


class DescribedTopic(TypedDict):
    """A topic in `schemas/topics.toml`, by that file's names."""

    partitions: int | Literal["all"]
    readers: list[str]
    read_back_by: NotRequired[list[str]]
    retention_days: NotRequired[int]
    max_message_bytes: NotRequired[int]
    moves: NotRequired[bool]
    replaces: NotRequired[str]


class Consequence(Enum):
    """The consequence of a problem."""

    WAIT = "wait"  # worker and API wait until it is over
    REFUSE = "refuse"  # worker and API do not start
    WARN = "warn"  # they start, and say so
    NOTE = "note"  # worth knowing; where it is meant, all is well


class Code(Enum):
    """The kind of a problem; programs go by it, and never by the words."""

    MISSING = "missing"
    OLDER_VERSION = "older_version"
    PARTITIONS_UNKNOWN = "partitions_unknown"
    PARTITION_COUNT = "partition_count"
    SETTING = "setting"
    SETTINGS_HIDDEN = "settings_hidden"
    FEW_REPLICAS = "few_replicas"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The settings that a topic should have."""

    name: str
    partitions: int
    config: Mapping[str, str]
    needed: Mapping[str, str] = field(default_factory=dict)  # settings no worker starts without
    replaces: str | None = None  # the same of an older version, whose records move over
    other_count: str = _OTHER_COUNT  # the remedy for another number of partitions

    def settings(self, replicas: int) -> dict[str, str]:
        """Its configuration where it has so many replicas: of three, two must have a record."""
        in_sync = {_IN_SYNC: "2"} if replicas >= _SAFE_REPLICAS else {}
        return {**self.config, **in_sync}


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the brokers describe it."""

    partitions: int  # 0: the broker that was asked does not know them yet
    replicas: int  # of the partition with the fewest
    config: Mapping[str, str] | None  # in force, defaults too; None: this user may not read it
    led: bool = True  # every partition has a leader


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is not as it should be."""

    setting: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.setting} {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """A problem of a topic: its kind, its place, and its remedy."""

    code: Code
    place: str
    what: str
    remedy: str
    consequence: Consequence
    change: Change | None = None  # that would mend it; None of what no setting mends

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.remedy}"


def _same(found: str, wanted: str) -> bool:
    return set(found.split(",")) == set(wanted.split(","))


def _at_least(found: str, wanted: str) -> bool:
    return _number(found) >= _number(wanted)


def _at_most(found: str, wanted: str) -> bool:
    return _number(found) <= _number(wanted)


def _number(value: str) -> float:
    return float("inf") if value == "-1" else float(value)  # -1: without a limit


_Suits = Callable[[str, str], bool]  # found, wanted


@dataclass(frozen=True, slots=True)
class _Rule:
    """When a setting will do, and what happens where it will not."""

    suits: _Suits
    otherwise: str
    consequence: Consequence = Consequence.WARN  # REFUSE where it falls short of what is needed
    remedy: str = _MENDED


# Keeping more, or longer, than planned is not a problem: there may be reasons to.
_RULES = {
    _POLICY: _Rule(_same, "records that are needed are deleted"),
    _RETENTION: _Rule(_at_least, "records are deleted too early"),
    _RETENTION_BYTES: _Rule(_at_least, "a busy hour deletes records that are needed"),
    _LARGEST: _Rule(_at_least, "a record may be refused for its size, for ever"),
    # A worker that waits begins by itself once a move is over, or `topics create` was given.
    TIMESTAMPS: _Rule(
        _same,
        "producers' clocks would decide which of STOP and START came first",
        Consequence.WAIT,
        _MOVED,
    ),
    _IN_SYNC: _Rule(_at_least, "a record that counts as written may be on one disk only"),
    _UNCLEAN: _Rule(_same, "a broker that missed records may lead, and then they are lost"),
    "segment.ms": _Rule(_at_most, "outdated records stay longer"),
    "min.cleanable.dirty.ratio": _Rule(_at_most, "outdated records stay longer"),
    "delete.retention.ms": _Rule(_at_least, "a reader that was away may miss what was deleted"),
}
SETTINGS = tuple(_RULES)
_LIMITS: dict[_Suits, str] = {_at_least: "at least ", _at_most: "at most "}


def plans(settings: Settings) -> list[TopicPlan]:
    """Every topic, under the installation's prefix."""
    described = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
    made = [_plan(settings, name, topic) for name, topic in described.items()]
    for name, (retention_ms, segment_ms) in _CHANGELOGS_MS.items():
        config = {
            _POLICY: "compact,delete",
            _RETENTION: str(retention_ms),
            "segment.ms": str(segment_ms),
            _UNCLEAN: "false",
        }
        made.append(
            TopicPlan(
                settings.topic_prefix + name,
                settings.partitions,
                config,
                other_count=_OTHER_COUNT_OF_CHANGELOG,
            )
        )
    return made


def _plan(settings: Settings, name: str, topic: DescribedTopic) -> TopicPlan:
    partitions = partitions_of(topic, settings)
    days = topic.get("retention_days")
    kept = {_RETENTION: str(days * _DAY_MS), _RETENTION_BYTES: "-1"} if days else {}
    config = {
        **({_POLICY: "delete"} if days else _COMPACTED),
        **kept,
        _LARGEST: str(topic.get("max_message_bytes", _MOST_BYTES)),
        TIMESTAMPS: BY_BROKER,
        _UNCLEAN: "false",
    }
    needed = {one: config[one] for one in (_POLICY, _LARGEST)}
    if days and (days >= PROOF_DAYS or _is_read_by_lanes(topic)):
        needed[_RETENTION_BYTES] = config[_RETENTION_BYTES]
    if days and _is_read_by_lanes(topic):
        needed[_RETENTION] = str(_needed_ms(settings))
    before = topic.get("replaces")
    return TopicPlan(
        settings.topic_prefix + name,
        partitions,
        config,
        needed,
        settings.topic_prefix + before if before else None,
    )


def partitions_of(topic: DescribedTopic, settings: Settings) -> int:
    """How many partitions a topic has in an installation."""
    count = topic["partitions"]
    return settings.partitions if count == "all" else count


def _is_read_by_lanes(topic: DescribedTopic) -> bool:
    return not {*LANES}.isdisjoint([*topic["readers"], *topic.get("read_back_by", ())])


def _needed_ms(settings: Settings) -> int:
    """How long a record is needed: handled ids are read back, and a retry waits."""
    handled_ms = settings.dedupe_hours * _HOUR_MS
    delay_s = max(settings.webhook_longest_delay_s, settings.carrier_longest_delay_s)
    return round(max(handled_ms, delay_s * 1_000))


def older_of(wanted: Sequence[TopicPlan], there: Mapping[str, object]) -> list[TopicPlan]:
    """Those whose older version is there."""
    return [plan for plan in wanted if plan.replaces in there]


def judge(wanted: Sequence[TopicPlan], there: Mapping[str, Found]) -> list[TopicProblem]:
    """Find problems of the topics that are there, and the topics that are missing.

    Args:
        wanted: every topic of the installation.
        there: those of them, and of their older versions, that the brokers have.
    """
    problems = []
    for plan in wanted:
        found = there.get(plan.name)
        if plan.replaces in there:
            problems.append(of_older(plan))
        elif found is None:
            create = "create it with `optout topics create`"
            problems.append(
                TopicProblem(Code.MISSING, plan.name, "missing", create, Consequence.WAIT)
            )
        if found is not None:
            problems += _of_partitions(plan, found)
            problems += _of_settings(plan, found)
    ours = {plan.name: there[plan.name] for plan in wanted if plan.name in there}
    return [*problems, *_of_rights(ours), *_of_replicas(ours)]


def of_older(plan: TopicPlan) -> TopicProblem:
    """The problem of a topic of an older version in this one's place."""
    return TopicProblem(
        Code.OLDER_VERSION,
        str(plan.replaces),
        f"is of an older version, {plan.name} takes its place",
        "carry everything over to a new prefix with `optout topics move` (deploy/upgrade.md)",
        Consequence.REFUSE,
    )


def _of_partitions(plan: TopicPlan, found: Found) -> Iterator[TopicProblem]:
    if not found.partitions:
        what, remedy = "the brokers do not know its partitions yet", "they will in a moment"
        yield TopicProblem(Code.PARTITIONS_UNKNOWN, plan.name, what, remedy, Consequence.WAIT)
    elif found.partitions != plan.partitions:
        what = f"{found.partitions} partitions where {plan.partitions} are expected"
        yield TopicProblem(
            Code.PARTITION_COUNT, plan.name, what, plan.other_count, Consequence.REFUSE
        )


def _of_settings(plan: TopicPlan, found: Found) -> Iterator[TopicProblem]:
    for setting, planned in plan.settings(found.replicas).items():
        rule, is_now = _RULES[setting], (found.config or {}).get(setting)
        if is_now is None or rule.suits(is_now, planned):
            continue
        needed = plan.needed.get(setting)
        refused = needed is not None and not rule.suits(is_now, needed)
        wanted = f"{needed} is needed" if refused else f"{planned} is planned"
        yield TopicProblem(
            Code.SETTING,
            plan.name,
            f"{setting} is {is_now} where {_LIMITS.get(rule.suits, '')}{wanted}: {rule.otherwise}",
            rule.remedy,
            Consequence.REFUSE if refused else rule.consequence,
            Change(setting, is_now, planned),
        )


def _of_rights(ours: Mapping[str, Found]) -> Iterator[TopicProblem]:
    if hidden := [name for name, found in ours.items() if found.config is None]:
        yield TopicProblem(
            Code.SETTINGS_HIDDEN,
            _all_of(hidden),
            "this user may not read the settings, so it is unknown whether an opt-out is kept",
            "give it DescribeConfigs on them (deploy/acls.toml)",
            Consequence.WARN,
        )


def _of_replicas(ours: Mapping[str, Found]) -> Iterator[TopicProblem]:
    few = [name for name, found in ours.items() if 0 < found.replicas < _SAFE_REPLICAS]
    if few:
        yield TopicProblem(
            Code.FEW_REPLICAS,
            _all_of(few),
            f"fewer than {_SAFE_REPLICAS} replicas: a lost disk may be a lost opt-out",
            "on three brokers or more, give them three (kafka-reassign-partitions.sh)",
            Consequence.NOTE,
        )


def _all_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"


def lost_before(name: str, changes: Sequence[Change], found: Found) -> str | None:
    """The loss that a topic may have had under another clean-up policy; None if none."""
    after = next((one.after for one in changes if one.setting == _POLICY), None)
    config = found.config or {}
    limits = [config.get(one, "-1") for one in (_RETENTION, _RETENTION_BYTES)]
    if after == "delete":
        return (
            f"{name}: was compacted; all but the last record of a key may be gone. `optout audit` "
            "finds what is missing"
        )
    if after != "compact" or limits == ["-1", "-1"]:
        return None
    age = "long ago" if limits[0] == "-1" else f"{int(limits[0]) / _DAY_MS:.3g} days ago or earlier"
    return (
        f"{name}: was not compacted; records written {age} may be gone. Restart and rebuild "
        "nothing before you have read 'A topic that forgot' in deploy/runbook.md"
    )
