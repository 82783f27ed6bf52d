"""The entries that a batch reads and changes, as far as its items have come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from processor.core.blocks import NO_NAMES, Block, Blocks, Mark, Names, Place, Stored
from processor.core.decide import Decision
from processor.core.events import BlockChange, Cause
from processor.core.identity import change_id_of
from processor.core.links import Met, Named, Way, joined, meet, move
from processor.core.messages import account_of, channel_group_of, list_key_of, subscriber_of

JOINED = "link"  # the source of a change that merges a block of the person's other address


class Origin(NamedTuple):
    """Where a change comes from."""

    cause: Cause
    whose: tuple[str, ...]  # distinguish causes that have the same id
    at_ms: int  # when its record was appended


class BatchList:
    """The entries of one partition, which the items of a batch change one after another.

    Args:
        blocks: entry key to blocks before the batch; a missing key means no blocks.
        names: entry key to the other addresses of its person, where it has some (R32).
        mark: of the write that will store the result.
    """

    def __init__(
        self, blocks: Mapping[str, Blocks], names: Mapping[str, Names], mark: Mark
    ) -> None:
        self._before = blocks
        self._mark = mark
        self._entries: dict[str, dict[Place, Block]] = {}
        self._changed: dict[str, None] = {}
        self.names = dict(names)

    def entry(self, key: str) -> dict[Place, Block]:
        """The blocks of an entry as they are now."""
        found = self._entries.get(key)
        if found is None:
            found = {block.place: block for block in self._before.get(key, ())}
            self._entries[key] = found
        return found

    def put(self, key: str, decision: Decision) -> None:
        """Apply what was decided on an item of the entry."""
        entry = self.entry(key)
        for block in decision.repeated:
            entry[block.place] = block
            self._changed[key] = None
        for event in decision.events:
            if isinstance(event, BlockChange):
                apply(event, entry)
                self._changed[key] = None

    def has_link(self, key: str) -> bool:
        """Whether an entry is a user id's whose number has the blocks."""
        return key in self.names and self.names[key].link is not None

    def meet(self, key: str, way: Way | None, named: Named | None) -> Met:
        """Keep what an item says of the other addresses of an entry's person; see ``meet``."""
        met = meet(self._stored(key), subscriber_of(key), way, named)
        if met.names is not None:
            self.names[key] = met.names
            self._changed[key] = None
        return met

    def move(self, key: str, way: Way | None, to: str) -> Met:
        """Find out where the blocks of an old address go; see ``move``."""
        return move(self._stored(key), subscriber_of(key), way, to)

    def _stored(self, key: str) -> Stored:
        return Stored(tuple(self.entry(key).values()), self.names.get(key, NO_NAMES))

    def join(self, key: str, blocks: Blocks, origin: Origin) -> tuple[BlockChange, ...]:
        """Merge the blocks of the person's other address into an entry."""
        entry = self.entry(key)
        changes = tuple(
            BlockChange(
                change_id=change_id_of(
                    origin.cause.id, place, JOINED, account_of(key), *origin.whose
                ),
                account_sid=account_of(key),
                place=place,
                recipient=subscriber_of(key),
                channel_group=channel_group_of(list_key_of(key)),
                block=block,
                cause=origin.cause,
                mark=self._mark,
                at_ms=origin.at_ms,
                previous=place in entry,
            )
            for place, block in joined(entry, blocks, self._mark)
        )
        for change in changes:
            apply(change, entry)
            self._changed[key] = None
        return changes

    def after(self) -> dict[str, Blocks]:
        """Every entry with a change, also where it ends as it began."""
        return {key: tuple(self.entry(key).values()) for key in self._changed}


def apply(change: BlockChange, entry: dict[Place, Block]) -> None:
    """Apply a change to an entry; the block changed last comes last."""
    entry.pop(change.place, None)
    if change.block is not None:
        entry[change.place] = change.block
