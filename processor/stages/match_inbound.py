"""The match stage: inbound messages and commands in; replies, changes and notifications out.

The only writer of its partition's block list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from processor import clocks
from processor.core.blocks import ConfigView
from processor.core.fold import Folded, Ordinary, brake_for, fold, handled_of, key_of
from processor.core.messages import ConsentCommand, PersonCommand, Scope
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.handled_messages import HandledTopics
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import MatchMetrics
from processor.stages.classify import Classifier, Pair
from processor.stages.faults import separate
from processor.stages.forms import Forms
from processor.stages.hearing import Ear
from processor.stages.match_outputs import MatchOutputs, Told
from processor.stages.tracing import BatchTraces, Traces
from processor.stores.block_list import BlockListOwner
from processor.stores.owned_list import Entries, OwnedList
from processor.wire.cloud_events import CloudEvents
from processor.wire.opt_out_counts import Counted, counted_of
from processor.wire.records import Output, Record
from processor.wire.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchDependencies:
    """The parts that the match stages of all partitions share."""

    partitions: int  # of every topic
    topics: Topics
    scope: Scope  # of new blocks
    store: BlockListOwner
    block_list: BlockListTopic
    services: ServicesTopic
    cloud_events: CloudEvents
    counts: CountsTopic[Counted]
    metrics: MatchMetrics
    traces: Traces
    handled: HandledTopics
    ear: Ear = field(default_factory=Ear)
    forms: Forms = field(default_factory=Forms)
    at_step: Callable[[str], None] = lambda step: None


@dataclass(frozen=True, slots=True)
class _Decided:
    folded: Folded
    told: Told
    traces: BatchTraces


@dataclass(frozen=True, slots=True)
class MatchBatch:
    """A batch that was decided; see ``Batch``."""

    note: str
    block_list: OwnedList
    is_written: bool  # the batch has altered the list
    is_waited_for: bool  # the API answers a command once the command is committed
    decided: _Decided
    needs: MatchDependencies

    async def still_holds(self) -> bool:
        """Fail if Redis has lost the writes: the outputs must stay unread; see ``Batch``.

        Runs after everything is emitted. A gate that moved to another server before this check
        waits until the batch is settled, and a gate that moves later reads its mark.
        """
        if self.is_written:
            await self.block_list.confirm()
        return True

    async def committed(self) -> None:
        """Count what matched, for metrics and `opt-out-counts`; see ``Batch``."""
        self.decided.traces.committed()
        told = self.decided.told
        if suspected := told.suspected:
            found = [one.finding for one in suspected]
            self.needs.metrics.suspected(Counter((one.tier, one.policy) for one in found))
        if matched := told.matched:
            self.needs.metrics.matched(Counter((one.match.kind, one.match.tier) for one in matched))
            self.needs.metrics.braked(Counter(one.match.kind for one in matched if one.braked))
            self.needs.counts.add(Counter(map(counted_of, matched)))
        self.block_list.committed()
        if self.is_waited_for:
            await self.block_list.beat()


class MatchInbound:
    """The match stage of one partition; see ``Stage``."""

    def __init__(self, partition: int, needs: MatchDependencies) -> None:
        self._needs = needs
        self._list = OwnedList(
            partition,
            partitions=needs.partitions,
            topic=needs.topics.block_list,
            store=needs.store,
            truth=needs.block_list,
            configuration=needs.services,
            handled=needs.handled,
            metrics=needs.metrics,
            at_step=needs.at_step,
        )
        self._classifier = Classifier(needs.topics, needs.partitions, needs.ear)
        self._outputs = MatchOutputs(needs.topics, needs.partitions, needs.cloud_events)

    @property
    def waits_for(self) -> str | None:
        """The configuration or a rebuild; without a server it fails instead; see ``Stage``."""
        return self._list.waits_for

    async def claim(self) -> None:
        """Take the block list's partition with a new epoch; see ``Stage``."""
        await self._list.claim()
        self._classifier.forget()

    async def inherit(self, notes: Iterable[str]) -> str:
        """Learn what Redis must hold, and begin above every epoch before; see ``Stage``."""
        await self._list.inherit(notes)
        return self._list.note

    async def recover(self, committed: Mapping[str, int]) -> str:
        """Undo what the last owner did not commit, rebuild what is not whole; see ``Stage``."""
        await self._list.recover(committed)
        return self._list.note

    async def process(self, records: Sequence[Record], out: Output) -> MatchBatch:
        """Classify, fold, put out the events, then write the list; see ``Stage``.

        All that can fail for a record's sake is done before the list is written, and again without
        the record where it does.
        """
        services = self._needs.services
        directory, config = services.directory, services.view  # one for the whole batch
        batch = self._classifier.classify(records, directory)
        while True:
            # Read in each round: a message at fault may have become a STOP of another recipient.
            lasting = batch.lasting
            entries = await self._list.read(
                map(key_of, lasting),
                map(handled_of, items := [one for one in lasting if not isinstance(one, Ordinary)]),
                filter(None, map(brake_for, items)),
            )
            self._classifier.learn(lasting, entries.names)
            decide = partial(self._decide, before=entries, config=config, out=out)
            decided, broken = separate(batch.pairs, decide)
            if not broken:
                break
            batch = self._classifier.without(batch, broken)
        self._outputs.put_undecided(batch, decided.folded, out)
        told = decided.told
        is_written = bool(told.handled or told.after)
        if is_written:
            await self._list.write(entries, told.after, told.handled, config, told.replied)
            self._in_force(told.stopped_ms)
        return MatchBatch(
            note=self._list.note,
            block_list=self._list,
            is_written=is_written,
            is_waited_for=any(
                isinstance(item, ConsentCommand | PersonCommand) for _, item in batch.pairs
            ),
            decided=decided,
            needs=self._needs,
        )

    def _decide(
        self, pairs: Sequence[Pair], before: Entries, config: ConfigView | None, out: Output
    ) -> _Decided:
        """Decide on a batch and put out what comes of it, whatever was put out before; pure."""
        out.clear()
        traces, scope = self._needs.traces.begin(), self._needs.scope
        forms = self._needs.forms.fit(pairs, before, scope, self._outputs.render)
        folded = fold(
            [item for _, item in pairs],
            before.blocks,
            before.seen,
            names=before.names,
            replied=before.replied,
            passed=forms,
            scope=scope,
            mark=before.mark,
        )
        told = self._outputs.put_decided(pairs, folded, forms, before.mark, config, traces, out)
        return _Decided(folded, told, traces)

    def _in_force(self, stopped_ms: Sequence[int]) -> None:
        """Measure how long after its arrival each STOP was in force."""
        now_s = clocks.now_s()
        self._needs.metrics.effective(now_s - at_ms / 1000 for at_ms in stopped_ms)

    async def idle(self) -> None:
        """Say that the owner is there, and see that Redis holds what it wrote; see ``Stage``."""
        await self._list.beat()
