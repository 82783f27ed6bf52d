"""A stage's surroundings, in memory: a configuration, an empty topic, its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from processor.core.blocks import NO_MARK, Mark
from processor.core.identity import Recalled
from processor.core.services import Directory, Service
from processor.kafka.writing import Outgoing
from processor.wire.headers import source_of
from processor.wire.records import Headers, Record, Row
from processor.wire.texts import record_of

TOPIC_ID = "the list"


class Kept:
    """Keeps the records that a stage puts out."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.put_out: list[Outgoing] = []

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
    ) -> None:
        """See ``Output``."""
        self.put_out.append(Outgoing(topic, key, value, headers or (), partition))

    def fill(self, topic: str, rows: list[Row]) -> None:
        """See ``Output``."""
        for row in rows:
            self.put(topic, *record_of(row))

    def copy(self, topic: str, records: Sequence[Record], headers: Headers) -> None:
        """See ``Output``."""
        for record in records:
            self.put(topic, record.key, record.value, [*headers, source_of(record)])

    def clear(self) -> None:
        """See ``Output``."""
        self.put_out.clear()

    def of(self, topic: str) -> Sequence[Outgoing]:
        """The records that were put out for a topic."""
        return [one for one in self.put_out if one.topic == topic]


class Services:
    """The configuration as a follower has it."""

    view = None

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self.directory = Directory(services)

    def view_at(self, position: int) -> None:
        """No view."""

    async def wait_loaded(self) -> None:
        """Return at once: it is loaded."""

    wait_current = wait_loaded


class EmptyList:
    """The topic of the block list, with nothing in it."""

    async def id(self) -> str:
        """See ``BlockListTopic``."""
        return TOPIC_ID

    async def settled_mark(self, partition: int) -> Mark:
        """See ``BlockListTopic``."""
        return NO_MARK

    async def id_and_last_mark(self, partition: int) -> tuple[str, Mark]:
        """See ``BlockListTopic``."""
        return TOPIC_ID, NO_MARK

    async def entries(self, partition: int) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
        """See ``BlockListTopic``."""
        yield []


class NothingHandled:
    """Nothing was handled before."""

    forgets_after_ms = 1 << 40

    async def recent(
        self, partition: int, committed: Mapping[str, int], *, more_ms: int = 0
    ) -> AsyncGenerator[Sequence[Recalled], None]:
        """See ``HandledTopics``."""
        yield []
