"""The last step of an audit: judges the letters of all partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from processor.audit.history import Histories
from processor.audit.letters import Letter, unpacked
from processor.audit.linked_verdicts import LinkedVerdicts
from processor.audit.output_records import change
from processor.audit.parsing import KafkaRecord, read
from processor.audit.report import Findings
from processor.audit.services import Services
from processor.audit.state import PartitionState
from processor.audit.streams import Stream
from processor.audit.values import CHANGES
from processor.config import Settings
from processor.kafka.bounded_reading import bounded_reader, bounds_of

LookAhead = Callable[[int], Awaitable[None]]
"""Applies the later changes of a partition to its state, without saving them."""


def path_of(directory: Path, partition: int) -> Path:
    """Find the file of a partition's state."""
    return directory / f"partition-{partition}.sqlite"


def about_of(about: Mapping[str, str], partition: int) -> Mapping[str, str]:
    """Identify the state of a partition of an installation."""
    return {**about, "partition": str(partition)}


async def run_round(
    settings: Settings,
    directory: Path,
    about: Mapping[str, str],
    numbers: Sequence[int],
    checks: tuple[Services, Findings, int],
) -> None:
    """Judge the letters in the states of partitions.

    Args:
        settings: of the installation.
        directory: of the states.
        about: identifies the installation.
        numbers: the partitions that were audited.
        checks: services, findings to add to, and by how many ms clocks may differ.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StateRefused: a state cannot be read.
    """
    with ExitStack() as stack:
        states = {
            number: stack.enter_context(closing(_state_of(directory, about, number)))
            for number in numbers
        }

        async def look_ahead(partition: int) -> None:
            if partition in states:
                await _look_ahead(settings, partition, states[partition])

        await judge_letters(LinkedVerdicts(states, *checks), states, look_ahead)


def _state_of(directory: Path, about: Mapping[str, str], partition: int) -> PartitionState:
    path, its = path_of(directory, partition), about_of(about, partition)
    return PartitionState(path, its, filtered=False)


async def judge_letters(
    checks: LinkedVerdicts, states: Mapping[int, PartitionState], look_ahead: LookAhead
) -> None:
    """Judge and forget the letters in some states; those that are not clear, after a look ahead."""
    unclear: list[Letter] = []
    for state in states.values():
        letters = (unpacked(said) for said in state.people.letters())
        unclear += [letter for letter in letters if not checks.judge(letter)]
    for state in states.values():
        state.people.forget_letters()
        state.save({}, 0)
    for partition in sorted({place for letter in unclear for place in letter.places}):
        await look_ahead(partition)
    for letter in unclear:
        checks.judge(letter, is_final=True)


async def _look_ahead(settings: Settings, partition: int, state: PartitionState) -> None:
    name = settings.topic_prefix + CHANGES
    begin = int(state.get(f"next {CHANGES}") or 0)
    end = (await bounds_of(settings, [name], partition))[name].end
    histories = Histories(state)
    async with bounded_reader(settings, name, partition, begin=min(begin, end), end=end) as reader:
        stream = Stream(
            reader.fill, lambda record: read(change, record), begin=begin, unreadable=_pass_over
        )
        while await stream.look() is not None:
            histories.apply(stream.take())
    state.write(0)


def _pass_over(record: KafkaRecord) -> None:
    """The next audit reports it."""
