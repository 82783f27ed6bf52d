"""Merge several causes into one block, and remove some of them (R18)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from processor.core.blocks import Block, Intents, Source, SourceKind


def merged(one: Block, other: Block) -> Block:
    """Merge two blocks of one place; neither order nor repetition matters.

    The result stops every intent that either stops, is locked if either is, and has every source.
    """
    return replace(
        one,
        sources=sources_of((*one.sources, *other.sources)),
        mark=max(one.mark, other.mark),
        intents=union(one.intents, other.intents),
        locked=one.locked or other.locked,
    )


def sources_of(sources: Iterable[Source]) -> tuple[Source, ...]:
    """One source of each kind, the oldest first: with the first change and the last time."""
    found: dict[SourceKind, Source] = {}
    for source in sources:
        there = found.get(source.kind)
        if there is not None:
            source = replace(
                min(there, source, key=_age), last_ms=max(there.last_ms, source.last_ms)
            )
        found[source.kind] = source
    return tuple(sorted(found.values(), key=_age))


def _age(source: Source) -> tuple[int, str, str]:
    return source.since_ms, source.change_id, source.kind


def union(one: Intents, other: Intents) -> Intents:
    """The intents that either stops; an exception counts only if the other allows it too."""
    if one.only is None and other.only is None:
        return Intents(but=one.but & other.but)
    if one.only is not None and other.only is not None:
        return Intents(only=one.only | other.only)
    most, few = (one, other) if one.only is None else (other, one)
    assert few.only is not None
    return Intents(but=most.but - few.only)


def without(block: Block, lifted: Collection[Source]) -> Block | None:
    """A block without some of its sources; None if no source is left."""
    left = tuple(source for source in block.sources if source not in lifted)
    return replace(block, sources=left) if left else None


def differs(one: Block, other: Block) -> bool:
    """Whether two blocks of a place differ in more than the time of the last repeat."""
    return _without_repeats(one) != _without_repeats(other)


def _without_repeats(block: Block) -> object:
    sources = [(source.kind, source.change_id, source.since_ms) for source in block.sources]
    return sources, block.intents, block.locked
