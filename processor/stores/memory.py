"""The served block list in memory: a model of the contract, for tests and for one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from processor.core.blocks import NO_MARK, ConfigView, Mark
from processor.core.brakes import Brake, Replies
from processor.core.identity import Handled
from processor.core.messages import account_of, list_key_of
from processor.errors import Fenced, ListLost
from processor.stores.block_list import NO_REPLIES, BatchWrite, Meta, Snapshot


@dataclass(slots=True)
class _Partition:
    epoch: int | None = None
    mark: Mark = NO_MARK
    committed: Mark = NO_MARK
    ready: str | None = None
    partitions: int | None = None
    entries: dict[str, bytes] = field(default_factory=dict)
    rebuilt: dict[str, bytes] = field(default_factory=dict)
    undo: BatchWrite | None = None
    beat_ms: int | None = None
    asked: bool = False  # for a rebuild
    config: ConfigView | None = None
    handled: dict[bytes, int] = field(default_factory=dict)  # id to when its record was appended
    replied: dict[bytes, Replies] = field(default_factory=dict)  # by brake

    def own(self, epoch: int) -> None:
        if self.epoch is not None and self.epoch > epoch:
            raise Fenced("a later owner took the partition")
        if self.epoch != epoch:
            raise ListLost("the partition's epoch is gone")

    def is_asked_to_rebuild(self) -> bool:
        if not self.asked:
            return False
        self.asked, self.ready = False, None
        return True


class MemoryBlockList:
    """Keeps partitions in dicts; loses them with the process."""

    def __init__(self, clock_ms: Callable[[], int], *, seen_ms: int = 86_400_000) -> None:
        self._clock_ms = clock_ms
        self._seen_ms = seen_ms
        self._partitions: dict[int, _Partition] = {}

    def _at(self, partition: int) -> _Partition:
        return self._partitions.setdefault(partition, _Partition())

    def flush(self) -> None:
        """Lose everything."""
        self._partitions.clear()

    async def claim(self, partition: int, *, at_least: int) -> Meta:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.epoch = max(at.epoch or 0, self._clock_ms(), at_least) + 1
        found = self._meta(at)
        at.beat_ms = self._clock_ms()
        return found

    def _meta(self, at: _Partition) -> Meta:
        unheard_ms = None if at.beat_ms is None else self._clock_ms() - at.beat_ms
        return Meta(
            at.epoch or 0,
            at.mark,
            at.ready,
            at.partitions,
            unheard_ms,
            config=at.config,
            committed=at.committed,
        )

    async def settle(
        self,
        partition: int,
        epoch: int,
        *,
        undo: bool,
        whole: bool,
        config: ConfigView | None = None,
    ) -> bool:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        at.mark = at.committed = Mark(epoch, 1)
        at.ready = at.ready if whole else None
        at.config = config or at.config
        batch, at.undo = at.undo, None
        if batch is None or not undo:
            return False
        _put(at.entries, batch.before)
        for one in batch.handled:
            at.handled.pop(one.id, None)
        at.replied |= {brake: batch.replied_before.get(brake, ()) for brake in batch.replied}
        return True

    async def read(
        self,
        partition: int,
        keys: Sequence[str],
        ids: Sequence[Handled] = (),
        brakes: Sequence[Brake] = (),
    ) -> Snapshot:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        values = [at.entries.get(key) for key in keys]
        return Snapshot(
            meta=self._meta(at),
            values=values,
            hits=[index for index, value in enumerate(values) if value is not None],
            seen=frozenset(
                one.id
                for one in ids
                if (at_ms := at.handled.get(one.id)) is not None
                and one.at_ms - at_ms <= self._seen_ms
            ),
            server=b"memory",
            replied={one.id: there for one in brakes if (there := at.replied.get(one.id))},
        )

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        """See ``BlockListReader``."""
        return {partition: await self.read(partition, asked) for partition, asked in keys.items()}

    async def write(self, partition: int, batch: BatchWrite) -> None:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(batch.epoch)
        if at.ready is None:
            raise ListLost("the list is not whole")
        if at.mark == batch.mark:
            return
        if at.mark != batch.expected:
            raise ListLost("the list is not at the mark last written")
        if at.is_asked_to_rebuild():
            raise ListLost("a reader asked for a rebuild")
        _put(at.entries, batch.after)
        at.handled |= {one.id: one.at_ms for one in batch.handled}
        at.replied |= batch.replied
        at.undo = batch
        at.mark, at.config = batch.mark, batch.config
        at.beat_ms = self._clock_ms()

    async def beat(self, partition: int, epoch: int, committed: Mark) -> Meta:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        at.is_asked_to_rebuild()
        at.committed = committed
        at.beat_ms = self._clock_ms()
        return self._meta(at)

    async def begin_rebuild(self, partition: int, epoch: int) -> None:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        at.ready, at.asked = None, False
        at.rebuilt = {}

    async def add_rebuilt(
        self, partition: int, epoch: int, entries: Mapping[str, bytes | None]
    ) -> None:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        _put(at.rebuilt, entries)

    async def remember(
        self,
        partition: int,
        epoch: int,
        handled: Sequence[Handled],
        replied: Mapping[bytes, Replies] = NO_REPLIES,
    ) -> None:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        at.handled |= {one.id: one.at_ms for one in handled}
        at.replied |= replied

    async def finish_rebuild(
        self,
        partition: int,
        epoch: int,
        *,
        mark: Mark,
        ready: str,
        partitions: int,
        config: ConfigView | None = None,
    ) -> None:
        """See ``BlockListOwner``."""
        at = self._at(partition)
        at.own(epoch)
        at.entries, at.rebuilt, at.undo = at.rebuilt, {}, None
        at.mark = at.committed = mark
        at.ready, at.partitions, at.config = ready, partitions, config

    async def declare_lost(self, partition: int) -> None:
        """See ``BlockListOwner``."""
        self._at(partition).ready = None

    async def ask_for_rebuild(self, partition: int) -> None:
        """See ``BlockListReader``."""
        self._at(partition).asked = True

    async def entries(
        self, partition: int, *, account_sid: str | None = None, list_key: str | None = None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See ``BlockListInspector``."""
        for key, value in list(self._at(partition).entries.items()):
            if _is_asked_for(key, account_sid, list_key):
                yield key, value

    async def scan(
        self,
        partition: int,
        cursor: int,
        *,
        about: int,
        account_sid: str | None = None,
        list_key: str | None = None,
    ) -> tuple[int, list[tuple[str, bytes]]]:
        """See ``BlockListInspector``."""
        # Each key has a fixed place, so that an entry that goes meanwhile moves no other.
        entries = sorted(self._at(partition).entries.items(), key=lambda one: _place(one[0]))
        left = [one for one in entries if _place(one[0]) >= cursor]
        found = [one for one in left[:about] if _is_asked_for(one[0], account_sid, list_key)]
        return (_place(left[about][0]) if len(left) > about else 0), found

    async def close(self) -> None:
        """See ``BlockListStore``."""


def _place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=7).digest()) + 1


def _is_asked_for(key: str, account_sid: str | None, list_key: str | None) -> bool:
    return account_sid in (None, account_of(key)) and list_key in (None, list_key_of(key))


def _put(into: dict[str, bytes], entries: Mapping[str, bytes | None]) -> None:
    for key, value in entries.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value
