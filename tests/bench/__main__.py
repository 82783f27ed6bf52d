"""The benchmark: every lane in turn, several times, on one broker; then memory and latency."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from processor import config
from processor.config import Settings
from processor.errors import ConfigError, RetryableError
from processor.wire.topics import Topics
from tests.bench import block_list, installations, load, report, services
from tests.bench.installations import INPUTS, OUTPUTS, Input, Installations
from tests.bench.jobs import ROLES, Job, Role, live, measure, prepare
from tests.bench.latency import RATES, Replies, latency
from tests.bench.programs import Broken
from tests.bench.stages import source_of

_FEWER_FOR_FAUST = 20
_WARM_UP = 0  # the number of the warm-up run, before run 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    messages: int
    repeats: int
    blocked: int
    services: int
    latency_s: float  # 0: do not measure
    roles: Sequence[Role]
    against: Path | None  # a checkout of another version


@click.command()
@click.option(
    "--messages",
    type=click.IntRange(10_000),
    default=1_000_000,
    show_default=True,
    help="A run of a lane; Faust's agent gets a twentieth.",
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--blocked",
    type=click.IntRange(1_000, 10_000_000),
    default=1_000_000,
    show_default=True,
    help="Recipients on the block list.",
)
@click.option(
    "--services",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Each of 41 languages and 50 countries; 86 KB in its topic.",
)
@click.option("--latency/--no-latency", "with_latency", default=True, show_default=True)
@click.option("--quick", is_flag=True, help="A small run, to see that it works.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option(
    "--lane",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    default=ROLES,
    help="Only this one; may be given several times. Default: all.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="A checkout of another version, with its .venv: it does every run as well, in turn.",
)
@click.option("--profile", type=click.Choice(ROLES), help="Only profile one run of this lane.")
def main(
    messages: int,
    repeats: int,
    blocked: int,
    services: int,
    with_latency: bool,
    quick: bool,
    json_file: Path | None,
    roles: tuple[Role, ...],
    against: Path | None,
    profile: Role | None,
) -> None:
    """Measure throughput, memory and latency on this machine.

    Exit 1 only if something broke; a missed goal is reported like any other figure.
    """
    plan = Plan(messages, repeats, blocked, services, 20.0 if with_latency else 0.0, roles, against)
    if quick:
        plan = Plan(
            messages=min(messages, 100_000),
            repeats=1,
            blocked=min(blocked, 50_000),
            services=min(services, 500),
            latency_s=12.0 if with_latency else 0.0,
            roles=roles,
            against=against,
        )
    if against and "faust" in roles:
        raise click.UsageError("--against: name the lanes, without faust")
    try:
        figures = asyncio.run(_run(config.load(), plan, profile))
    except (Broken, ConfigError, RetryableError, KafkaError, RedisError) as error:
        print(f"broken: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
    if not profile:
        print(report.text(figures))
    if json_file:
        json_file.write_bytes(figures.as_json())


async def _run(settings: Settings, plan: Plan, profile: Role | None) -> report.Figures:
    logging.basicConfig(level=logging.WARNING)
    figures = report.Figures(
        report.Environment(await report.versions(settings)),
        plan.blocked,
        plan.messages,
        plan.services,
    )
    async with installations.installations(settings) as made:
        bench = _Bench(plan, figures, made)
        if profile:
            await bench.prepare((profile,), repeats=1, rates=())
            await bench.measure(profile, 1, profile=True)
            return figures
        rates = RATES if plan.latency_s else ()
        await bench.prepare(plan.roles, repeats=plan.repeats, rates=rates)
        await bench.measure(plan.roles[0], _WARM_UP, counted=False)
        for number in range(1, plan.repeats + 1):
            for role in plan.roles:
                # Alternate who goes first, because the machine's speed changes, too.
                for theirs in (False, True) if number % 2 else (True, False):
                    if not theirs or plan.against:
                        await bench.measure(role, number, theirs=theirs)
        for rate in rates:
            await bench.latency(rate)
    return figures


@dataclass(frozen=True, slots=True)
class _Load:
    """A lane's input, and its required output."""

    prefix: str  # of its installation
    records: int
    expected: load.Counts


class _Bench:
    """Every lane with its load, each run in its own process, group and installation."""

    def __init__(self, plan: Plan, figures: report.Figures, made: Installations) -> None:
        self._plan = plan
        self._figures = figures
        self._made = made
        self._loads: dict[Role, _Load] = {}
        self._their_loads: dict[Role, _Load] = {}
        # By repeat, or by rate for latency; negative numbers are the other version's.
        self._places: dict[tuple[Role, int], Settings] = {}

    async def prepare(self, roles: Sequence[Role], *, repeats: int, rates: Sequence[int]) -> None:
        """Create all topics, and write the lanes' input."""
        _say("making topics")
        inputs = {name: await self._made.add(name, INPUTS[name]) for name in _inputs_of(roles)}
        for role in roles:
            for number in range(1, repeats + 1):
                self._places[role, number] = await self._made.add(f"{role}{number}", OUTPUTS[role])
        self._places[roles[0], _WARM_UP] = await self._made.add("warm-up", OUTPUTS[roles[0]])
        for rate in rates:
            topics = ("messaging_services", "inbound_messages", *OUTPUTS["match"])
            self._places["match", rate] = await self._made.add(f"latency{rate}", topics)
        await self._made.wait_ready()
        for name, settings in inputs.items():
            await self._fill(name, settings)
        if self._plan.against:
            await self._prepare_theirs(self._plan.against, roles, repeats)

    async def _prepare_theirs(self, checkout: Path, roles: Sequence[Role], repeats: int) -> None:
        """Let the other version create its topics and write its input, as formats differ."""
        _say("the other version makes its topics and writes its load")
        inputs = {name: f"{name}-theirs" for name in _inputs_of(roles)}
        topics = {inputs[name]: INPUTS[name] for name in inputs}
        for role in roles:
            for number in range(1, repeats + 1):
                name = f"{role}{number}-theirs"
                topics[name] = OUTPUTS[role]
                place = self._made.settings_of(name)
                self._places[role, -number] = place
        plan = self._plan
        asked = {
            "prefix": self._made.prefix,
            "topics": topics,
            "inputs": inputs,
            "messages": plan.messages,
            "blocked": plan.blocked,
            "services": plan.services,
        }
        expected = await prepare(asked, checkout)
        for role in roles:
            name = _INPUT_OF[role]
            counts = {"allowed_sends": plan.messages} if role == "passthrough" else expected[name]
            prefix = self._made.settings_of(inputs[name]).topic_prefix
            self._their_loads[role] = _Load(prefix, plan.messages, counts)

    async def _fill(self, name: Input, settings: Settings) -> None:
        plan, prefix = self._plan, settings.topic_prefix
        match name:
            case "inbound":
                _say(f"writing {plan.messages:,} inbound messages")
                expected = await load.write_inbound(settings, plan.messages)
                self._loads["match"] = _Load(prefix, plan.messages, expected)
                passed = {"allowed_sends": plan.messages}
                self._loads["passthrough"] = _Load(prefix, plan.messages, passed)
            case "few_inbound":
                count = plan.messages // _FEWER_FOR_FAUST
                expected = await load.write_inbound(settings, count)
                del expected["dead_letters"]  # it has none
                self._loads["faust"] = _Load(prefix, count, expected)
            case "one_service" | "many_services":
                some = services.one() if name == "one_service" else services.many(plan.services)
                _say(f"writing {len(some):,} services and {plan.messages:,} messages to them")
                expected = await services.fill(settings, some, plan.messages)
                self._loads[name] = _Load(prefix, plan.messages, expected)
            case "outbound":
                _say(f"blocking {plan.blocked:,} recipients")
                self._figures.memory = await block_list.fill(settings, plan.blocked)
                _say(f"writing {plan.messages:,} sends")
                expected = await load.write_sends(settings, plan.messages, blocked=plan.blocked)
                self._loads["gate"] = _Load(prefix, plan.messages, expected)

    async def measure(
        self,
        role: Role,
        number: int,
        *,
        profile: bool = False,
        counted: bool = True,
        theirs: bool = False,
    ) -> None:
        """Do one run, then check its outputs; the first on a new broker is slow and not counted.

        Raises:
            Broken: the outputs do not add up.
        """
        _say(f"run {number}: {role}{' of the other version' if theirs else ''}")
        given = (self._their_loads if theirs else self._loads)[role]
        place = self._places[role, -number if theirs else number]
        job = Job(role, place.topic_prefix, given.prefix, given.records, profile)
        measured = await measure(job, self._plan.against if theirs else None)
        _say(f"  {measured.per_second:,.0f} a second in {measured.batches:,} batches")
        problems = await installations.problems(place, given.expected)
        group = f"{place.topic_prefix}{role}"
        read = await installations.committed(place, group, source_of(job))
        if read != given.records:
            problems.append(f"{read:,} records committed where {given.records:,} were read")
        if problems:
            raise Broken(f"{role}: {'; '.join(problems)}")
        if counted:
            runs = self._figures.theirs if theirs else self._figures.runs
            runs.setdefault(role, []).append(measured)

    async def latency(self, rate: int) -> None:
        """Measure the latency of a match lane's replies at one load."""
        _say(f"latency at {rate:,} messages a second")
        place = self._places["match", rate]
        async with live(Job("match", place.topic_prefix, place.topic_prefix, records=0)):
            exchange = Replies(Topics.under(place.topic_prefix))
            found = await latency(place, rate, self._plan.latency_s, exchange)
        _say(f"  p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms")
        self._figures.latencies.append(found)


_INPUT_OF: dict[Role, Input] = {
    "passthrough": "inbound",
    "match": "inbound",
    "gate": "outbound",
    "one_service": "one_service",
    "many_services": "many_services",
    "faust": "few_inbound",
}


def _inputs_of(roles: Sequence[Role]) -> list[Input]:
    return list(dict.fromkeys(_INPUT_OF[role] for role in roles))


_BEGAN = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
