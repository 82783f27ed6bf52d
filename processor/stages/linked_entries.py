"""The entries of numbers that user ids have links to, wherever their lists are (R25, R32)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processor.core.blocks import UNREADABLE, Blocks, Mark, Stored, linked_blocks
from processor.core.messages import ChannelGroup, account_of, entry_key, list_key, subscriber_of
from processor.core.partitions import partition_of
from processor.errors import UnreadableEntry
from processor.stores.trusted_list import TrustedList
from processor.wire import blocks as wire_blocks

Marks = Mapping[int, Mark]  # by partition


class LinkedEntries:
    """Looks numbers up in the lists of all partitions, with the trust of the gate's own list.

    Args:
        partitions: of every topic.
        list_of: makes the reader of a partition's list.
    """

    def __init__(self, partitions: int, list_of: Callable[[int], TrustedList]) -> None:
        self._partitions = partitions
        self._make = list_of
        self._lists: dict[int, TrustedList] = {}

    @property
    def waits_for(self) -> str | None:
        """Why a list cannot be trusted now, or None."""
        return next((one.waits_for for one in self._lists.values() if one.waits_for), None)

    def forget(self) -> None:
        """Learn again which lists to trust."""
        self._lists.clear()

    async def follow(self, links: Mapping[str, Stored]) -> tuple[Mapping[str, Blocks], Marks]:
        """The blocks of user ids that have a link; waits for lists that cannot be trusted.

        Args:
            links: key of an id's entry, and the entry; it was read before this call.

        Returns:
            By key of the id's entry; and the marks of the lists that were read.
        """
        asked: dict[int, dict[str, str]] = {}  # partition to the id's key and the number's
        for key, entry in links.items():
            number = entry.names.link or ""
            asked.setdefault(partition_of(number.encode(), self._partitions), {})[key] = entry_key(
                account_of(key), list_key(number, ChannelGroup.WHATSAPP)
            )
        blocks: dict[str, Blocks] = {}
        marks: dict[int, Mark] = {}
        for partition, keys in asked.items():
            found = await (await self.list_of(partition)).look(list(keys.values()))
            marks[partition] = found.meta.mark
            for key, value in zip(keys, found.values, strict=True):
                blocks[key] = linked_blocks(links[key].blocks, _stored(value), subscriber_of(key))
        return blocks, marks

    async def are_at(self, marks: Marks) -> bool:
        """Whether every list still has the mark that was read."""
        for partition, mark in marks.items():
            if (await (await self.list_of(partition)).look(())).meta.mark != mark:
                return False
        return True

    async def list_of(self, partition: int) -> TrustedList:
        """The reader of a partition's list, once it has learned which list to trust."""
        one = self._lists.get(partition)
        if one is None:
            one = self._make(partition)
            await one.learn()
            self._lists[partition] = one
        return one


def header_of(marks: Marks) -> bytes:
    """How a verdict names the other lists that it was judged by: ``partition:mark``, by commas."""
    return ",".join(f"{partition}:{mark}" for partition, mark in sorted(marks.items())).encode()


def _stored(value: bytes | None) -> Stored:
    """An entry; one that cannot be read blocks."""
    if value is None:
        return Stored(())
    try:
        return wire_blocks.stored_in(value)
    except UnreadableEntry:
        return Stored((UNREADABLE,))
