"""Compare the compacted list with the history, and Redis with the list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processor.audit.context import Context, partition_of
from processor.audit.people_state import Link
from processor.audit.streams import Stream
from processor.audit.values import LIST, Block, Entry, Mark, State, canonical, digest


class ListSide:
    """Compares each record of the list with the blocks at its mark.

    Args:
        context: of the partition.
        stream: of block-list.
    """

    def __init__(self, context: Context, stream: Stream[Entry]) -> None:
        self._context = context
        self._stream = stream
        self._last = Mark(0, 0)

    async def next_mark(self) -> Mark | None:
        """Find the mark of the next record."""
        entry = await self._stream.look()
        return entry.mark if entry is not None else None

    async def until(self, mark: Mark) -> None:
        """Compare the records up to a mark, whose batch is applied."""
        while (entry := await self._stream.look()) is not None and entry.mark <= mark:
            self._stream.take()
            self._compare(entry)

    def _compare(self, entry: Entry) -> None:
        context, key = self._context, digest(entry.key)
        where = _where(context, entry.offset, entry.blocks)
        if entry.mark < self._last:
            what = "its mark is lower than the mark before it"
            context.findings.add("reordered", where, what, entry.at_ms)
        self._last = max(self._last, entry.mark)
        said = canonical(entry.blocks, entry.lasts) if entry.blocks else b""
        context.state.list_entry(key, entry.offset, said, entry.mark)
        note_names(context, entry)
        if not context.has_whole_history:
            context.findings.counts["not_checked"] += 1
            return
        context.findings.counts["entries_checked"] += 1
        wanted: State = context.histories.at(key, entry.mark)[0]
        if {block._replace(asked_ms=0) for block in wanted.values()} != set(entry.blocks):
            what = "the entry is not the result of block-changes"
            context.findings.add("differs", where, what, entry.at_ms)

    def unlisted(self, later: Mapping[bytes, tuple[int, bytes]]) -> None:
        """Report recipients whose last change is missing from the list.

        Args:
            later: recipients with records behind those compared.
        """
        context = self._context
        if not context.has_whole_history:
            return
        for key in context.state.unlisted():
            if key not in later:
                where = f"{LIST}[{context.number}] {_ids(context.histories.now(key))}"
                what = "the list lacks the result of the last change"
                context.findings.add("differs", where, what)


def note_names(context: Context, entry: Entry) -> None:
    """Keep which other addresses of its person an entry names (R32)."""
    if entry.link is None and not entry.ids:
        return
    key, people = digest(entry.key), context.state.people
    account = entry.key.partition("/")[0]
    if entry.link is not None:
        number = digest(f"{account}/whatsapp:{entry.link}")
        people.link(key, Link(partition_of(entry.link, context.of), number, entry.mark))
    for id_ in entry.ids:
        people.merge(key, digest(f"{account}/whatsapp:{id_}"), entry.mark)


class Served:
    """Compares Redis with the list; look again where they differ, as Redis is a moment ahead.

    Args:
        context: of the partition.
        later: recipients with records behind those in the state: their offset and digest.
    """

    def __init__(self, context: Context, later: Mapping[bytes, tuple[int, bytes]]) -> None:
        self._context = context
        self._later = later
        self._wrong: dict[bytes, int] = {}  # recipient to the offset in the list
        self._count = 0
        context.state.begin_serving()

    def add(self, key: bytes, said: bytes) -> None:
        """Compare an entry of Redis; ``said`` is its digest, empty if it has no blocks."""
        self._count += 1
        state = self._context.state
        state.serve([key])
        offset, wanted = self._later.get(key) or state.listed(key) or (-1, b"")
        if wanted != said:
            self._wrong[key] = offset

    def wrong(self) -> Mapping[bytes, int]:
        """Find the recipients that differ, or that Redis does not serve."""
        unserved = self._context.state.unserved()
        found = self._wrong | {key: at for key, at in unserved if key not in self._later}
        served = self._context.state.is_served
        found |= {
            key: offset for key, (offset, said) in self._later.items() if said and not served(key)
        }
        return found

    def report(self, wrong: Iterable[tuple[bytes, int]]) -> None:
        """Report what differed in every look."""
        context = self._context
        context.findings.counts["redis_entries_checked"] += self._count
        for key, offset in wrong:
            ids = _ids(context.histories.now(key))
            where = f"{LIST}[{context.number}]@{offset} {ids}"
            what = "the blocks in Redis differ from those in block-list"
            context.findings.add("differs", where, what)


def _where(context: Context, offset: int, blocks: Iterable[Block]) -> str:
    ids = sorted(source.change_id for block in blocks for source in block.standing.sources)
    return f"{LIST}[{context.number}]@{offset} {', '.join(ids)}"


def _ids(state: State) -> str:
    ids = {one.change_id for block in state.values() for one in block.standing.sources}
    return ", ".join(sorted(ids))
