"""The served block list as its users see it: a port for readers, owners and inspectors each.

Everything is by partition; the one writer of a partition is the match lane that owns it. Keys are
entry keys (one recipient of one account), values the packed blocks of an entry (`wire.blocks`).

Every method of the ports raises ``StoreUnavailable`` where the server cannot be asked; nothing is
then known to be written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from processor.core.blocks import NO_MARK, ConfigView, Mark
from processor.core.brakes import Brake, Replies
from processor.core.identity import Handled

NO_REPLIES: Mapping[bytes, Replies] = {}


class Format(NamedTuple):
    """By which format a list was written, and the oldest one whose readers may read it."""

    written: int
    least: int

    def __str__(self) -> str:
        """Write the text form, as the list stores it."""
        return f"{self.written} {self.least}"

    @classmethod
    def parse(cls, text: str) -> Format:
        """Read the text form; a text that is not a format counts as newer than any."""
        try:
            written, least = map(int, text.split())
        except ValueError:
            return NEWER
        return cls(written, least)


NEWER = Format(1 << 30, 1 << 30)
FORMAT = Format(2, 2)
"""Of all that the list stores (blocks, `meta`, `undo`, ids, replies), as this version writes it."""


@dataclass(frozen=True, slots=True)
class Meta:
    """The metadata of a partition's list."""

    epoch: int  # of its owner; 0 where there is none
    mark: Mark  # of the last write
    ready: str | None  # the id of the block-list topic it was built from; None: not whole
    partitions: int | None  # how many there were when it was built
    unheard_ms: int | None = None  # since its owner last wrote or said that it is there
    format: Format = FORMAT
    config: ConfigView | None = None  # under which the last write was decided
    committed: Mark = NO_MARK  # changes up to it are in the truth: no owner will undo them


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One atomic look at a partition."""

    meta: Meta
    values: Sequence[bytes | None]  # in the order of the keys asked for
    hits: Sequence[int]  # the indexes of those that are there: of thousands few
    seen: frozenset[bytes]  # of the ids asked for, those handled before
    server: bytes  # that answered: another id after a restart, a failover, a new promotion
    # Brake id to its replies, of the brakes asked for that have some (R37).
    replied: Mapping[bytes, Replies] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchWrite:
    """All that a batch changes, written together or not at all."""

    epoch: int
    expected: Mark  # of the last write; anything else refuses
    mark: Mark
    after: Mapping[str, bytes | None]  # entry key to packed blocks; None where none is left
    before: Mapping[str, bytes | None]  # the same keys, as they were read
    handled: Sequence[Handled]  # the messages and commands of the batch
    config: ConfigView | None = None  # under which it was decided
    # Brake id to its replies, of the brakes with a new one; and the same as they were read (R37).
    replied: Mapping[bytes, Replies] = field(default_factory=dict)
    replied_before: Mapping[bytes, Replies] = field(default_factory=dict)
    since_ms: int | None = (
        None  # of the first message with a brake; no later batch has an older one
    )


class BlockListReader(Protocol):
    """The list for who goes by it: the gate, and the API's `Check`."""

    async def read(self, partition: int, keys: Sequence[str]) -> Snapshot:
        """Look at entries, and at the list itself, in one atomic trip."""
        ...

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        """Look at entries of several partitions in one trip; each look is atomic by itself."""
        ...

    async def ask_for_rebuild(self, partition: int) -> None:
        """Have the owner rebuild the list; all that a reader may write."""
        ...


class BlockListOwner(Protocol):
    """The list for the one writer of a partition.

    Methods that take an epoch raise ``Fenced`` where a later owner took the partition, and
    ``ListLost`` where the stored epoch is gone.
    """

    async def claim(self, partition: int, *, at_least: int) -> Meta:
        """Take a partition: a new epoch, greater than the stored one, the clock and ``at_least``.

        From here on no older owner can write.

        Returns:
            The list's metadata, with ``unheard_ms`` of the owner before.

        Raises:
            NewerFormat: where an owner wrote it that knows a later format.
        """
        ...

    async def settle(
        self,
        partition: int,
        epoch: int,
        *,
        undo: bool,
        whole: bool,
        config: ConfigView | None = None,
    ) -> bool:
        """Begin where the last owner ended: the list is then at mark 1 of the epoch, committed.

        Args:
            partition: which.
            epoch: of the new owner.
            undo: put back what the last batch changed, and forget the ids it handled.
            whole: False where the list lost writes: its new mark must not hide that.
            config: the configuration that the owner will decide under.

        Returns:
            Whether there was a batch to undo.
        """
        ...

    async def read(
        self,
        partition: int,
        keys: Sequence[str],
        ids: Sequence[Handled] = (),
        brakes: Sequence[Brake] = (),
    ) -> Snapshot:
        """Look at entries, handled ids and brakes, and at the list itself, in one atomic trip."""
        ...

    async def write(self, partition: int, batch: BatchWrite) -> None:
        """Write a batch; writing the same one twice alters nothing.

        Raises:
            ListLost: the stored mark is not the one expected, or the list is not whole.
        """
        ...

    async def beat(self, partition: int, epoch: int, committed: Mark) -> Meta:
        """Say that the owner is there, and what it has committed; returns the list's metadata."""
        ...

    async def begin_rebuild(self, partition: int, epoch: int) -> None:
        """Declare the list not whole and start a new one beside it."""
        ...

    async def add_rebuilt(
        self, partition: int, epoch: int, entries: Mapping[str, bytes | None]
    ) -> None:
        """Put entries into the new list, in the order of the topic; None takes one off."""
        ...

    async def remember(
        self,
        partition: int,
        epoch: int,
        handled: Sequence[Handled],
        replied: Mapping[bytes, Replies] = NO_REPLIES,
    ) -> None:
        """Take ids for handled (R22), and these for all the replies that brakes count (R37)."""
        ...

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
        """Put the new list in the old one's place and declare it whole, of our format."""
        ...

    async def declare_lost(self, partition: int) -> None:
        """Say that the list is not whole: its owner rebuilds it, gates wait meanwhile."""
        ...


class BlockListInspector(Protocol):
    """The list for people and checks: its entries now, whether they can be trusted or not."""

    async def read(self, partition: int, keys: Sequence[str]) -> Snapshot:
        """Look at entries, and at the list itself, in one atomic trip."""
        ...

    def entries(
        self, partition: int, *, account_sid: str | None = None, list_key: str | None = None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Every entry of a partition, in no order.

        Args:
            partition: which.
            account_sid: only entries of this account.
            list_key: only those on this recipient.
        """
        ...

    async def scan(
        self,
        partition: int,
        cursor: int,
        *,
        about: int,
        account_sid: str | None = None,
        list_key: str | None = None,
    ) -> tuple[int, list[tuple[str, bytes]]]:
        """Some entries of a partition from a cursor on, 0 at first; the next cursor, 0 at the end.

        An entry that exists throughout is found, perhaps twice. Looks at ``about`` that many
        entries.
        """
        ...

    async def declare_lost(self, partition: int) -> None:
        """Say that the list is not whole: its owner rebuilds it, gates wait meanwhile."""
        ...


class BlockListStore(BlockListOwner, BlockListReader, BlockListInspector, Protocol):
    """A served block list as who opens it has it; all others take the smallest port they need."""

    async def close(self) -> None:
        """Let go of the connections."""
        ...
