"""Opens the topics of webhooks and follows each delivery, from where the last audit ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from processor.audit.context import Context
from processor.audit.opening import OnUnreadable
from processor.audit.options import Snapshot
from processor.audit.parsing import Fields, KafkaRecord, read
from processor.audit.request_records import made, next_try
from processor.audit.state import StateRefused
from processor.audit.streams import HasOffset, Stream
from processor.audit.values import DUE, LETTERS, MADE, RETRIES
from processor.audit.webhook_side import Ends, follow
from processor.config import Settings
from processor.kafka.bounded_reading import Bounds, bounded_reader, offsets_since

TOPICS = (*RETRIES, MADE)
_KEPT_MS = 7 * 86_400_000  # the topics' retention

_T = TypeVar("_T", bound=HasOffset)


def refuse_gap(topic: str, number: int, begin: int, bounds: Bounds) -> None:
    """Refuse to go on where records were deleted, or are gone.

    Raises:
        StateRefused: there is a gap between the last audit and the topic.
    """
    if begin < bounds.first:
        raise StateRefused(
            f"{topic}[{number}]: records from {begin} to {bounds.first} were"
            " deleted before the audit read them; run `optout audit --afresh` once, and"
            " audits more often than the topics' retention"
        )
    if begin > bounds.end:
        raise StateRefused(
            f"{topic}[{number}]: the state is ahead of the topic ({begin}, the topic"
            f" ends at {bounds.end}): records were lost; see which, then run"
            " `optout audit --afresh` once"
        )


class Following:
    """Follows the deliveries of a partition.

    Args:
        settings: of the installation.
        context: of the partition.
        bounds: of its topics, by their names without the prefix.
        snapshot: where the audit ends.
        unreadable: called with the topic and a record that cannot be parsed.
    """

    def __init__(
        self,
        settings: Settings,
        context: Context,
        bounds: Mapping[str, Bounds],
        snapshot: Snapshot,
        unreadable: OnUnreadable,
    ) -> None:
        self._settings, self._context, self._bounds = settings, context, bounds
        self._snapshot, self._unreadable = snapshot, unreadable
        self._ends = snapshot.ends(context.number)

    async def run(self, since_ms: int | None) -> dict[str, str]:
        """Check what is done; return the values that the next run goes on from.

        Args:
            since_ms: earlier records are not checked, in a first run; None: all are.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            StateRefused: there is a gap.
        """
        begins = await self._begins(since_ms)
        ends = Ends(self._context)
        saved = {}
        for topic in TOPICS:
            saved[f"ended {topic}"] = str(await self._note(topic, ends))
        for topic in DUE:
            begin, end = begins[topic], max(begins[topic], self._ends[topic])
            async with self._stream(topic, begin, end, lambda record: record) as due:
                await follow(self._context, topic, due, end)
            self._context.state.forget_ended(topic, end)
            saved[f"due {topic}"] = str(end)
        return saved

    async def _note(self, topic: str, ends: Ends) -> int:
        """Note how tries ended by what a topic says; return the offset behind its last record."""
        kept, bounds = self._context.state.get(f"ended {topic}"), self._bounds[topic]
        begin = bounds.first if kept is None else int(kept)
        refuse_gap(topic, self._context.number, begin, bounds)
        if topic == MADE:
            async with self._stream(topic, begin, bounds.end, _reading(made)) as notes:
                await ends.add_made(notes)
        else:
            async with self._stream(topic, begin, bounds.end, _reading(next_try)) as tries:
                await ends.add_tries(topic, tries)
        return bounds.end

    async def _begins(self, since_ms: int | None) -> dict[str, int]:
        kept = {topic: self._context.state.get(f"due {topic}") for topic in DUE}
        if all(kept.values()):
            return {topic: self._left(topic, int(at or 0)) for topic, at in kept.items()}
        begins = {topic: self._bounds[topic].first for topic in DUE}
        if (from_ms := self._known_since_ms(since_ms)) is not None:
            prefix = self._settings.topic_prefix
            asked = {prefix + topic: max(0, from_ms) for topic in DUE}
            found = await offsets_since(self._settings, asked, self._context.number)
            begins = {topic: found[prefix + topic] for topic in DUE}
        return begins

    def _left(self, topic: str, begin: int) -> int:
        """Find the first record that is left; those that waited until they were deleted are not."""
        first, end = self._bounds[topic].first, self._ends[topic]
        self._context.findings.counts["not_checked"] += max(0, min(first, end) - begin)
        return max(begin, first)

    def _known_since_ms(self, since_ms: int | None) -> int | None:
        """Find since when no end of a try was deleted; None: none ever was."""
        times = [] if since_ms is None else [since_ms]
        for topic in (*TOPICS, LETTERS):
            bounds = self._bounds[topic]
            if bounds.first > 0:
                deleted_ms = bounds.first_ms or self._snapshot.at_ms - _KEPT_MS
                times.append(deleted_ms + self._context.skew_ms)
        return max(times, default=None)

    @asynccontextmanager
    async def _stream(
        self, topic: str, begin: int, end: int, parse: Callable[[KafkaRecord], _T]
    ) -> AsyncIterator[Stream[_T]]:
        name, wrong = self._settings.topic_prefix + topic, partial(self._unreadable, topic)
        number = self._context.number
        async with bounded_reader(self._settings, name, number, begin=begin, end=end) as reader:
            yield Stream(reader.fill, parse, begin=begin, unreadable=wrong)


def _reading(parse: Callable[[KafkaRecord, Fields], _T]) -> Callable[[KafkaRecord], _T]:
    return lambda record: read(parse, record)
