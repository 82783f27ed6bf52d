"""The other sources of a block list's owner: its topic, the configuration, the past."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from processor.core.blocks import ConfigView, Mark
from processor.core.identity import Recalled


class OwnersTruth(Protocol):
    """The durable truth of the list, as the owner of a partition reads it."""

    async def id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        """The topic's id, and the mark of a partition's last committed record."""
        ...

    async def settled_mark(self, partition: int) -> Mark:
        """As in ``ListTruth``."""
        ...

    def entries(self, partition: int) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
        """Every record of a partition as entry key and value, oldest first, in batches."""
        ...


class RecentlyHandled(Protocol):
    """The messages handled lately, as Kafka has them."""

    @property
    def forgets_after_ms(self) -> int:
        """A list without an owner for longer may have forgotten ids that are still needed."""
        ...

    def recent(
        self, partition: int, committed: Mapping[str, int], *, more_ms: int = 0
    ) -> AsyncGenerator[Sequence[Recalled], None]:
        """Messages handled for as long as ids are remembered, and ``more_ms`` further back.

        The oldest first, and at least those of the time in which brakes count replies.
        """
        ...


class Configuration(Protocol):
    """The configuration that the owner decides under, followed live."""

    @property
    def view(self) -> ConfigView | None:
        """How far it was read."""
        ...

    async def wait_loaded(self) -> None:
        """Wait until it was read once."""
        ...

    async def wait_until(self, position: int) -> None:
        """Wait until it was read up to a position."""
        ...

    async def wait_current(self) -> None:
        """Wait until everything that is in its topic now was read."""
        ...

    async def now(self) -> ConfigView:
        """Its topic's id and end, as they are now."""
        ...
