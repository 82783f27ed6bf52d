"""The note that a block list's owner commits with its offsets, for the next owner."""

from __future__ import annotations

from typing import NamedTuple

from processor.core.blocks import Mark
from processor.errors import NewerFormat
from processor.stores.block_list import FORMAT


class Note(NamedTuple):
    """The note that an owner commits with its offsets: ``<format> <mark>[ <epoch>]``."""

    mark: Mark | None  # that Redis must hold; None: unknown, as someone else moved the group
    epoch: int  # of the owner, of which readers may have seen marks

    def __str__(self) -> str:
        text = f"{FORMAT.written} {self.mark or '-'}"
        return text if self.mark and self.mark.epoch == self.epoch else f"{text} {self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Note:
        """Read a note; of a foreign one nothing is kept.

        Raises:
            NewerFormat: where a newer version noted it.
        """
        version, _, rest = text.partition(" ")
        if version.isdecimal() and int(version) > FORMAT.written:
            raise NewerFormat("a newer version committed the offsets: update this worker")
        noted, _, epoch = rest.partition(" ")
        try:
            mark = None if noted == "-" else Mark.parse(noted)
            return cls(mark, int(epoch) if epoch or not mark else mark.epoch)
        except ValueError:
            return cls(None, 0)
