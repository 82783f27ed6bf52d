"""The port of the served block list: what the match lane writes and the gate reads.

Everything is by partition; the one writer of a partition is the match lane that owns it. Values are
the packed blocks of a recipient (`wire.blocks`), keys are list keys.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from processor.core.blocks import Mark


@dataclass(frozen=True, slots=True)
class Meta:
    """What a partition's list says of itself."""

    epoch: int  # of its owner; 0 where there is none
    mark: Mark  # of the last write
    ready: str | None  # the id of the block-list topic it was built from; None: not whole
    partitions: int | None  # how many there were when it was built
    unheard_ms: int | None = None  # since its owner last wrote or said that it is there


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One atomic look at a partition."""

    meta: Meta
    values: Sequence[bytes | None]  # in the order of the keys asked for
    seen: frozenset[str]  # of the ids asked for, those handled before
    connection: int  # grows with every new connection of the client


@dataclass(frozen=True, slots=True)
class BatchWrite:
    """All that a batch changes, written together or not at all."""

    epoch: int
    expected: Mark  # of the last write; anything else refuses
    mark: Mark
    after: Mapping[str, bytes | None]  # list key to packed blocks; None where none is left
    before: Mapping[str, bytes | None]  # the same keys, as they were read
    handled: Sequence[str]  # ids of the messages and commands of the batch


class BlockListStore(Protocol):
    """A served block list.

    Every method raises ``StoreUnavailable`` where the server cannot be asked; nothing is then known
    to be written. Those that take an epoch raise ``Fenced`` where a later owner took the partition,
    and ``ListLost`` where the stored epoch is gone.
    """

    async def claim(self, partition: int, *, at_least: int) -> Meta:
        """Take a partition: a new epoch, greater than the stored one, the clock and ``at_least``.

        From here on no older owner can write.
        """
        ...

    async def settle(self, partition: int, epoch: int, *, undo: bool, whole: bool) -> bool:
        """Begin where the last owner ended: the list then is at mark 1 of the epoch.

        Args:
            partition: which.
            epoch: of the new owner.
            undo: put back what the last batch changed, and forget the ids it handled.
            whole: False where the list lost writes: its new mark must not hide that.

        Returns:
            Whether there was a batch to undo.
        """
        ...

    async def read(self, partition: int, keys: Sequence[str], ids: Sequence[str] = ()) -> Snapshot:
        """Look at recipients and handled ids, and at the list itself, in one atomic trip."""
        ...

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        """Look at recipients of several partitions in one trip; each look is atomic by itself."""
        ...

    async def write(self, partition: int, batch: BatchWrite) -> None:
        """Write a batch; writing the same one twice alters nothing.

        Raises:
            ListLost: the stored mark is not the one expected, or the list is not whole.
        """
        ...

    async def beat(self, partition: int, epoch: int) -> Meta:
        """Say that the owner is there; what the list says of itself."""
        ...

    async def begin_rebuild(self, partition: int, epoch: int) -> None:
        """Declare the list not whole and start a new one beside it."""
        ...

    async def add_rebuilt(
        self, partition: int, epoch: int, entries: Mapping[str, bytes | None]
    ) -> None:
        """Put entries into the new list, in the order of the topic; None takes one off."""
        ...

    async def remember(self, partition: int, epoch: int, left_ms: Mapping[str, int]) -> None:
        """Take ids for handled, each for the ms given, more than 0 (R22)."""
        ...

    async def finish_rebuild(
        self, partition: int, epoch: int, *, mark: Mark, ready: str, partitions: int
    ) -> None:
        """Put the new list in the old one's place and declare it whole."""
        ...

    async def declare_lost(self, partition: int) -> None:
        """Say that the list is not whole: its owner rebuilds it, gates wait meanwhile."""
        ...

    def entries(self, partition: int) -> AsyncIterator[tuple[str, bytes]]:
        """Every entry of a partition, in no order; for people and checks, not for lanes."""
        ...

    async def scan(
        self, partition: int, cursor: int, *, about: int
    ) -> tuple[int, list[tuple[str, bytes]]]:
        """Some entries of a partition from a cursor on, 0 at first; the next cursor, 0 at the end.

        What is there all the while is found, perhaps twice; ``about`` so many at a time.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
