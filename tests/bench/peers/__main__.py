"""`make bench-peers`: the same jobs here and on Kafka Streams, alternating, on one broker."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import click
from aiokafka.errors import KafkaError
from pydantic import BaseModel, ValidationError
from redis.exceptions import RedisError

from processor import config
from processor.config import Settings
from processor.errors import ConfigError, RetryableError
from processor.kafka.reading import reader
from processor.wire.json_values import reason
from processor.wire.topics import Topics
from schemas.block_change import BlockChange
from schemas.message_status import MessageStatus
from schemas.opt_out_notification import OptOutNotification
from schemas.reply_send import ReplySend
from tests.bench import block_list, installations, jobs, load
from tests.bench.installations import INPUTS, OUTPUTS, Input, Installations
from tests.bench.jobs import Job
from tests.bench.latency import RATES, Exchange, Replies, Verdicts, latency
from tests.bench.peers import kafka_streams, report
from tests.bench.peers.kafka_streams import PeerJob, PeerRole
from tests.bench.peers.report import ROLES, SIDES, Run
from tests.bench.programs import Broken
from tests.bench.report import Environment, versions

_INPUT_OF: dict[PeerRole, Input] = {"match": "inbound", "gate": "outbound"}
_MODELS: dict[str, type[BaseModel]] = {
    "reply_sends": ReplySend,
    "opt_out_notifications": OptOutNotification,
    "block_changes": BlockChange,
    "message_statuses": MessageStatus,
}
_MOST_CHECKED = 1_000
_WARM_UP = 0  # the number of the warm-up run, before run 1
_LIST = "list"  # the installation whose topic has the list of the peer's gate
_LATENCY_BLOCKED = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    messages: int
    repeats: int
    blocked: int
    latency_s: float  # 0: do not measure
    roles: Sequence[PeerRole]
    sides: Sequence[str]


@click.command()
@click.option("--messages", type=click.IntRange(10_000), default=4_000_000, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--blocked", type=click.IntRange(1_000, 10_000_000), default=1_000_000, show_default=True
)
@click.option("--latency/--no-latency", "with_latency", default=True, show_default=True)
@click.option("--lane", "roles", type=click.Choice(ROLES), multiple=True, default=ROLES)
@click.option("--side", "sides", type=click.Choice(SIDES), multiple=True, default=SIDES)
def main(
    messages: int,
    repeats: int,
    blocked: int,
    with_latency: bool,
    roles: tuple[PeerRole, ...],
    sides: tuple[str, ...],
) -> None:
    """Measure match and gate beside the same jobs on Kafka Streams, at its defaults and tuned.

    Exit 1 only if something broke; a missed target is reported like any other figure.
    """
    plan = Plan(messages, repeats, blocked, 20.0 if with_latency else 0.0, roles, sides)
    logging.basicConfig(level=logging.WARNING)
    try:
        kafka_streams.build()
        figures = asyncio.run(_run(config.load(), plan))
    except (Broken, ConfigError, RetryableError, KafkaError, RedisError) as error:
        print(f"broken: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    print(report.text(figures))


async def _run(settings: Settings, plan: Plan) -> report.Figures:
    known = await versions(settings) | kafka_streams.versions()
    del known["faust-streaming"]  # it takes no part
    figures = report.Figures(Environment(known), plan.blocked)
    async with installations.installations(settings) as made:
        bench = _Bench(plan, figures, made)
        await bench.prepare()
        for role in plan.roles:
            for side in plan.sides:
                await bench.measure(role, side, _WARM_UP)
            for number in range(1, plan.repeats + 1):
                for side in plan.sides if number % 2 else reversed(plan.sides):
                    await bench.measure(role, side, number)
        for role in plan.roles:
            for rate in RATES if plan.latency_s else ():
                for number in range(1, plan.repeats + 1):
                    for side in plan.sides if number % 2 else reversed(plan.sides):
                        await bench.latency(role, rate, side, number)
    return figures


class _Bench:
    """Each run has a process, a group and an installation of its own."""

    def __init__(self, plan: Plan, figures: report.Figures, made: Installations) -> None:
        self._plan = plan
        self._figures = figures
        self._made = made
        self._expected: dict[PeerRole, load.Counts] = {}

    async def prepare(self) -> None:
        """Create the topics, and write the input."""
        plan, made = self._plan, self._made
        _say("making topics")
        for role in plan.roles:
            await made.add(role, INPUTS[_INPUT_OF[role]])
            for side in plan.sides:
                for number in range(_WARM_UP, plan.repeats + 1):
                    await made.add(_name(role, side, number), _outputs(role, side))
                topics = tuple(dict.fromkeys((*INPUTS[_INPUT_OF[role]], *_outputs(role, side))))
                for rate in RATES if plan.latency_s else ():
                    for number in range(1, plan.repeats + 1):
                        await made.add(_name(role, side, number, rate), topics)
        if "gate" in plan.roles:
            await made.add(_LIST, ("block_list",))
        await made.wait_ready()
        for role in plan.roles:
            await self._fill(role)

    async def _fill(self, role: PeerRole) -> None:
        plan, settings = self._plan, self._made.settings_of(role)
        _say(f"writing {plan.messages:,} records for {role}")
        match role:
            case "match":
                self._expected[role] = await load.write_inbound(settings, plan.messages)
            case "gate":
                written = load.write_sends(settings, plan.messages, blocked=plan.blocked)
                self._expected[role] = await written
                _say(f"blocking {plan.blocked:,} recipients")
                await block_list.fill(settings, plan.blocked)
                await block_list.write_topic(self._made.settings_of(_LIST), plan.blocked)

    async def measure(self, role: PeerRole, side: str, number: int) -> None:
        """Do one run, then check its outputs; a warm-up run is not counted.

        Raises:
            Broken: the outputs do not add up, or are not as their schemas say.
        """
        _say(f"run {number}: {role}, {side}")
        place = self._made.settings_of(_name(role, side, number))
        source = self._made.settings_of(role).topic_prefix
        peer = self._peer(role, side, place, source, self._plan.messages)
        if peer:
            found = await kafka_streams.measure(peer)
            run = Run(found.whole, found.warm_cpu_seconds)
        else:
            measured = await jobs.measure(
                Job(role, place.topic_prefix, source, self._plan.messages)
            )
            run = Run(measured, measured.cpu_seconds / 4)  # Python has no JIT that warms up
        _say(f"  {run.measured.per_second:,.0f} a second, CPU {run.cpu_us:.1f} us each")
        problems = await installations.problems(place, self._expected[role])
        if problems:
            raise Broken(f"{role}, {side}: {'; '.join(problems)}")
        if number == _WARM_UP:
            await _check(place, self._expected[role])
        else:
            self._figures.runs.setdefault((role, side), []).append(run)

    async def latency(self, role: PeerRole, rate: int, side: str, number: int) -> None:
        """Measure how long answers take at one load."""
        _say(f"run {number}: latency of {role} at {rate:,} a second, {side}")
        place = self._made.settings_of(_name(role, side, number, rate))
        if role == "gate":
            await block_list.fill(place, _LATENCY_BLOCKED)
        topics = Topics.under(place.topic_prefix)
        exchange: Exchange = (
            Replies(topics)
            if role == "match"
            else Verdicts(topics, block_list.recipients_of(_LATENCY_BLOCKED))
        )
        async with self._live(role, side, place):
            found = await latency(place, rate, self._plan.latency_s, exchange)
        _say(f"  p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms")
        self._figures.latencies.setdefault((role, rate, side), []).append(found)

    def _live(
        self, role: PeerRole, side: str, place: Settings
    ) -> AbstractAsyncContextManager[None]:
        peer = self._peer(role, side, place, place.topic_prefix, 0)
        if peer:
            return kafka_streams.live(peer)
        return jobs.live(Job(role, place.topic_prefix, place.topic_prefix, 0))

    def _peer(
        self, role: PeerRole, side: str, place: Settings, source: str, records: int
    ) -> PeerJob | None:
        if side == SIDES[0]:
            return None
        listed = self._made.settings_of(_LIST).topic_prefix
        return PeerJob(role, place, source, listed, records, tuned=side == SIDES[2])


def _outputs(role: PeerRole, side: str) -> tuple[str, ...]:
    return OUTPUTS[role] if side == SIDES[0] else kafka_streams.OUTPUTS[role]


async def _check(place: Settings, expected: load.Counts) -> None:
    """See that the first outputs are as their schemas say.

    Raises:
        Broken: one is not.
    """
    for name in _MODELS.keys() & {one for one, count in expected.items() if count}:
        topic = getattr(Topics.under(place.topic_prefix), name)
        async with reader(place, [topic], at_end=False) as consumer:
            found = await consumer.getmany(timeout_ms=10_000, max_records=_MOST_CHECKED)
        for record in (one for records in found.values() for one in records):
            try:
                _MODELS[name].model_validate_json(record.value)
            except ValidationError as error:
                raise Broken(f"{name}: {reason(error)}") from None


def _name(role: PeerRole, side: str, number: int, rate: int = 0) -> str:
    return f"{role}-{SIDES.index(side)}-{number}-{rate}"


_BEGAN = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
