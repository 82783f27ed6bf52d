"""Writing a partition's served block list, as its one owner (R25).

Redis is written before anything is emitted: a block is in force before anyone can read its
confirmation. `processor/DESIGN.md` has the steps, and what follows where the process dies in one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from processor.core.blocks import NO_MARK, NO_NAMES, Blocks, ConfigView, Mark, Names
from processor.core.brakes import Brake, Replies
from processor.core.fold import NO_REPLIES
from processor.core.identity import Handled
from processor.errors import Fenced, ListLost, RetryableError, UnreadableEntry
from processor.metrics import MatchMetrics
from processor.stores.block_list import BatchWrite, BlockListOwner, Meta
from processor.stores.notes import Note
from processor.stores.owner_sources import Configuration, OwnersTruth, RecentlyHandled
from processor.stores.refill import Refill
from processor.wire import blocks as wire_blocks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entries:
    """The list's entries for the recipients of a batch, before the batch."""

    mark: Mark  # of the write that alters them
    packed: Mapping[str, bytes | None]  # by entry key; None where the recipient has no entry
    blocks: Mapping[str, Blocks]  # the same
    names: Mapping[str, Names]  # the same, of entries with other addresses (R32)
    seen: frozenset[bytes]  # ids of the batch that were handled before
    replied: Mapping[bytes, Replies] = field(default_factory=dict)  # by brake (R37)
    since_ms: int | None = None  # the earliest time of a brake


class OwnedList:
    """One partition of the block list, as its owner left it.

    Args:
        partition: which.
        partitions: how many the topics have.
        topic: full name of the durable truth, for people.
        store: the served list.
        truth: its durable truth.
        configuration: the configuration that the owner decides under.
        handled: the messages handled lately.
        metrics: of the owner.
        at_step: called with the name of each step as it is reached; crash tests kill there.
    """

    def __init__(
        self,
        partition: int,
        *,
        partitions: int,
        topic: str,
        store: BlockListOwner,
        truth: OwnersTruth,
        configuration: Configuration,
        handled: RecentlyHandled,
        metrics: MatchMetrics,
        at_step: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._store = store
        self._truth = truth
        self._configuration = configuration
        self._forgets_after_ms = handled.forgets_after_ms
        self._metrics = metrics
        self._at_step = at_step
        self._refill = Refill(
            partition, topic=topic, store=store, truth=truth, handled=handled, metrics=metrics
        )
        self.waits_for: str | None = None  # without a server it does not wait, it fails
        self._epoch = 0
        self._mark = NO_MARK  # of the last write; the stored one must be it
        self._committed = NO_MARK  # of the last write that no owner will undo
        self._inherited: Mark | None = None  # the least that it must be; None: unknown
        self._recovered = False
        self._counter = 0  # of the next write's mark
        self._topic_id = ""
        self._known = NO_MARK  # a whole list has reached at least this mark
        self._ready = False
        self._unattended_ms = 0  # before this owner took the partition

    @property
    def note(self) -> str:
        """The mark that the offsets go with; see ``Note``."""
        return str(Note(self._mark if self._recovered else self._inherited, self._epoch))

    async def claim(self) -> None:
        """Take the partition with a new epoch: from here on no older owner can write."""
        with self._waiting("the configuration is being read"):
            await self._configuration.wait_loaded()
        self._topic_id, last = await self._truth.id_and_last_mark(self._partition)
        # Ours, too: a batch may not be committed yet that Redis has.
        self._known = max(self._known, last, self._mark)
        meta = await self._store.claim(
            self._partition, at_least=max(self._epoch, self._known.epoch)
        )
        if meta.partitions not in (None, self._partitions):
            raise ListLost(
                f"the block list was built for {meta.partitions} partitions, the topics have "
                f"{self._partitions}, which spreads recipients otherwise: use `optout topics move`"
            )
        await self._follow(meta.config)
        self._epoch = meta.epoch
        self._recovered = False
        self._unattended_ms = meta.unheard_ms or 0
        self._counter = 2  # undo takes the first mark, a rebuild the second
        self._ready = meta.ready == self._topic_id
        self._mark = meta.mark

    @contextmanager
    def _waiting(self, why: str) -> Iterator[None]:
        self.waits_for = why
        try:
            yield
        finally:
            self.waits_for = None

    async def _follow(self, decided_under: ConfigView | None) -> None:
        """Decide under no older configuration than the owner before did."""
        view = self._configuration.view
        if decided_under is None or view is None:
            return
        if decided_under.topic_id == view.topic_id:
            with self._waiting("the configuration is being read"):
                await self._configuration.wait_until(decided_under.position)
        elif (await self._configuration.now()).topic_id != view.topic_id:
            raise RetryableError(
                "messaging-services was created again since this process began to read it: restart "
                "this process"
            )

    async def inherit(self, notes: Iterable[str]) -> None:
        """Learn what Redis must hold, and begin above every epoch before.

        Args:
            notes: of the last owner, see ``note``; empty for a source whose offset someone else
                set.
        """
        # Only now can no older owner commit: Redis must hold what it did until now. Batches that
        # changed no entry have left no record, but a note.
        recorded = await self._truth.settled_mark(self._partition)
        noted = [Note.parse(note) for note in notes]
        marks = [one.mark for one in noted if one.mark]
        last = max([recorded, *marks])
        latest = max([Mark(one.epoch, 0) for one in noted], default=NO_MARK)
        if max(last, latest).epoch >= self._epoch:
            self._known = max(last, latest)
            raise ListLost(
                "an owner before had a later epoch: Redis lost it, and its clock is behind"
            )
        # A record, and a source without a note: someone else set its offset, so it is unknown what
        # Redis should hold.
        is_known = len(marks) == len(noted) or recorded == NO_MARK
        self._inherited = last if is_known else None

    async def recover(self, committed: Mapping[str, int]) -> None:
        """Undo what the last owner did not commit, rebuild what is not whole.

        Args:
            committed: source topic to its committed offset.
        """
        last = self._inherited
        whole = last is not None and self._ready and self._mark >= max(last, self._known)
        ahead = last is not None and self._mark > last
        # Undone even where the list is rebuilt. Since Redis went back, only some ids of that batch
        # may have been handled again. The topics know which.
        undone = await self._store.settle(
            self._partition,
            self._epoch,
            undo=ahead or not whole,
            whole=whole,
            config=self._configuration.view,
        )
        self._mark = self._committed = Mark(self._epoch, 1)
        self._at_step("undone")
        if undone and whole:
            self._metrics.undone.inc()
            logger.info("batch.undone", extra={"partition": self._partition})
        if not whole:
            with self._waiting("the block list is being rebuilt"), self._metrics.rebuild.time():
                await self._rebuild(committed)
        elif self._unattended_ms > self._forgets_after_ms:
            # Redis may have forgotten ids of messages whose copies were not read meanwhile.
            with self._waiting("recently handled messages are being read"):
                await self._remember(committed)
        self._recovered = True

    async def _rebuild(self, committed: Mapping[str, int]) -> None:
        began = time.monotonic()
        await self._store.begin_rebuild(self._partition, self._epoch)
        await self._configuration.wait_current()
        records = await self._refill.entries(self._epoch)
        remembered = await self._remember(committed)
        self._at_step("rebuilding")
        self._mark = self._committed = Mark(self._epoch, 2)
        await self._store.finish_rebuild(
            self._partition,
            self._epoch,
            mark=self._mark,
            ready=self._topic_id,
            partitions=self._partitions,
            config=self._configuration.view,
        )
        self._at_step("rebuilt")
        logger.info(
            "list.rebuilt",
            extra={
                "partition": self._partition,
                "records": records,
                "ids": remembered,
                "took_ms": round(1000 * (time.monotonic() - began)),
            },
        )

    async def _remember(self, committed: Mapping[str, int]) -> int:
        return await self._refill.handled(self._epoch, committed, more_ms=self._unattended_ms)

    async def read(
        self, keys: Iterable[str], ids: Iterable[Handled], brakes: Iterable[Brake] = ()
    ) -> Entries:
        """The list's entries for the recipients of a batch; asks no server where there are none.

        Args:
            keys: entry keys of this partition.
            ids: of what the batch handles.
            brakes: of the replies that it may send.

        Raises:
            Fenced: where a later owner took the partition.
            ListLost: where the list is not as this owner left it, or an entry cannot be read; the
                list is rebuilt.
        """
        asked = list(dict.fromkeys(keys))
        if not asked:
            return Entries(Mark(self._epoch, self._counter), {}, {}, {}, frozenset())
        once = list({one.id: one for one in ids}.values())
        braking = list(dict.fromkeys(brakes))
        found = await self._store.read(self._partition, asked, once, braking)
        self._trust(found.meta)
        self._counter += 1
        packed = dict(zip(asked, found.values, strict=True))
        try:
            stored = {
                key: wire_blocks.stored_in(value)
                for key, value in packed.items()
                if value is not None
            }
        except UnreadableEntry as error:
            await self._store.declare_lost(self._partition)
            raise ListLost(f"{error}: the list is rebuilt") from None
        since_ms = min((one.at_ms for one in braking), default=None)
        mark = Mark(self._epoch, self._counter)
        blocks = {key: stored[key].blocks if key in stored else () for key in packed}
        names = {key: one.names for key, one in stored.items() if one.names != NO_NAMES}
        return Entries(mark, packed, blocks, names, found.seen, found.replied, since_ms)

    async def write(
        self,
        before: Entries,
        after: Mapping[str, bytes | None],
        handled: Sequence[Handled],
        config: ConfigView | None,
        replied: Mapping[bytes, Replies] = NO_REPLIES,
    ) -> None:
        """Write what a batch changes, with the mark of what was read before it.

        Args:
            before: as read for the batch.
            after: entry key, one of those read, to its packed blocks; None where none is left.
            handled: the messages that the batch handled.
            config: under which it was decided.
            replied: brake id to its replies afterwards, of the brakes with a new reply.

        Raises:
            Fenced: where a later owner took the partition.
            ListLost: where the list is not as this owner left it.
        """
        await self._store.write(
            self._partition,
            BatchWrite(
                epoch=self._epoch,
                expected=self._mark,
                mark=before.mark,
                after=after,
                before={key: before.packed[key] for key in after},
                handled=handled,
                config=config,
                replied=replied,
                replied_before={brake: before.replied.get(brake, ()) for brake in replied},
                since_ms=before.since_ms,
            ),
        )
        self._mark = before.mark
        self._at_step("written")

    async def confirm(self) -> None:
        """See that Redis holds what was written; raises as ``read`` does."""
        self._trust((await self._store.read(self._partition, ())).meta)

    def committed(self) -> None:
        """Take note that all that was written is committed; readers hear of it by ``beat``."""
        self._committed = self._mark

    async def beat(self) -> None:
        """Say that the owner is there, and see that Redis holds what it wrote; as ``confirm``."""
        self._trust(await self._store.beat(self._partition, self._epoch, self._committed))

    def _trust(self, meta: Meta) -> None:
        if meta.epoch > self._epoch:
            raise Fenced("a later owner took the partition")
        if (meta.epoch, meta.mark, meta.ready) != (self._epoch, self._mark, self._topic_id):
            raise ListLost("the block list in Redis is not as this lane left it")
