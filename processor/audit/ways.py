"""The audit's own reading of records on their way between a person's two addresses (R32)."""

from __future__ import annotations

import orjson

from processor.audit.output_records import packed
from processor.audit.parsing import Headers
from processor.audit.values import Block, Change, Source, State, Way

HEADER = "optout.way"
JOINED = "link"  # the source of a change that merges another address's block


def way_of(headers: Headers) -> Way | None:
    """Read the header of a record; None of nearly all.

    Raises:
        ValueError, LookupError, TypeError: it cannot be read.
    """
    said = headers.get(HEADER)
    if said is None:
        return None
    fields = orjson.loads(said)
    blocks = packed(orjson.dumps(fields["blocks"]))[0] if fields.get("blocks") else ()
    return Way(fields["step"], fields["id"], fields["number"], blocks)


def wrong_join(change: Change, before: State, way: Way | None) -> str | None:
    """Return the reason for which a change cannot have merged another address's blocks.

    Args:
        change: to check.
        before: the blocks before it.
        way: of the record that caused it; None: it is unknown.
    """
    stood = before.get(change.place)
    if (stood is not None) != change.previous:
        return "is wrong about whether there was a block before"
    if way is None:
        return "merges blocks, but its cause came from no other address"
    had = {source for block in before.values() for source in block.standing.sources}
    known = had | {source for block in way.blocks for source in block.standing.sources}
    sources: frozenset[Source] = change.standing.sources if change.standing else frozenset()
    if sources - known:
        return "a block has a cause that neither address had"
    if change.standing and not any(_adds(block, sources, stood is None) for block in way.blocks):
        return "merges a block that the other address did not have"
    return None


def _adds(block: Block, sources: frozenset[Source], is_new: bool) -> bool:
    return bool(block.standing.sources & sources) or not is_new
