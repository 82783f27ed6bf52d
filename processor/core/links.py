"""One person with a number and user ids: the entry that decides on a record (R32)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from processor.core.blocks import ACCOUNT, MOST_BLOCKS, Block, Blocks, Mark, Names, Place, Stored
from processor.core.merging import differs, merged

CONTRADICTS = "the user id has a link to another number"
MOST_IDS = 100  # in a number's entry; an id that no longer has room keeps its own blocks, too


class Step(StrEnum):
    """The next step of a record, in the lane that it was sent to."""

    ASK = "ask"  # the id's: write the link, then send it on with the id's blocks
    MERGE = "merge"  # the number's: merge the id's blocks, then decide
    CONTRADICTS = "contradicts"  # the number's: decide without a link, the id has a different link
    FOLLOW = "follow"  # the number's: decide on a record about the id
    MOVE = "move"  # of a new address: merge the blocks of the old one


@dataclass(frozen=True, slots=True)
class Way:
    """Where a record is on its way between the lanes of a user id and of a number."""

    step: Step
    id: str  # of a move: the old address, which may be a number
    number: str  # of a move: the new address, which may be an id
    blocks: Blocks = ()  # of the id, to be merged

    @property
    def at(self) -> str:
        """The subscriber key of the entry that it is sent to."""
        return self.id if self.step is Step.ASK else self.number


class Named(NamedTuple):
    """A number and a user id that a record names as one person's."""

    id: str
    number: str


@dataclass(frozen=True, slots=True)
class Met:
    """The effect of an entry's other addresses on a record, before it is decided on."""

    names: Names | None = None  # of the entry from now on; None: they stay
    merge: Blocks = ()  # to be merged into the entry
    onward: Way | None = None  # it is sent on, and not decided on here
    refused: str | None = None  # why it becomes a dead letter


NOTHING = Met()


def meet(entry: Stored, subscriber: str, way: Way | None, named: Named | None) -> Met:
    """Find out whether a record is decided on at this entry.

    Args:
        entry: that it came to.
        subscriber: the subscriber key of the entry.
        way: how it came; None: as its producer wrote it.
        named: the person's addresses, where it names both.
    """
    if way is None:
        return _arrived(entry, subscriber, named)
    match way.step:
        case Step.ASK:
            return _linked(entry, Named(way.id, way.number))
        case Step.MERGE:
            if way.id in entry.names.ids:
                return NOTHING  # merged before; its blocks may have been lifted since
            ids = (*entry.names.ids, way.id)[-MOST_IDS:]
            return Met(names=Names(ids=ids), merge=way.blocks)
        case Step.CONTRADICTS | Step.FOLLOW | Step.MOVE:
            return NOTHING
        case _:
            assert_never(way.step)


def move(entry: Stored, subscriber: str, way: Way | None, to: str) -> Met:
    """Take the blocks of an address along to the person's new one.

    Args:
        entry: that the command came to.
        subscriber: the subscriber key of the entry.
        way: how it came; None: as its producer wrote it.
        to: subscriber key of the new address.
    """
    link = entry.names.link
    if way is not None and way.step is Step.MOVE:
        return Met(onward=replace(way, number=link)) if link else Met(merge=way.blocks)
    if link is not None:
        return Met(onward=Way(Step.FOLLOW, subscriber, link))
    if not entry.blocks:
        return NOTHING
    return Met(onward=Way(Step.MOVE, way.id if way else subscriber, to, entry.blocks))


def _arrived(entry: Stored, subscriber: str, named: Named | None) -> Met:
    link = entry.names.link
    if named and named.id == subscriber:  # a command that links
        met = _linked(entry, named)
        return replace(met, onward=None, refused=CONTRADICTS) if _contradicts(met) else met
    if link is not None:
        return Met(onward=Way(Step.FOLLOW, subscriber, link))
    if named and named.id not in entry.names.ids:
        return Met(onward=Way(Step.ASK, *named))
    return NOTHING


def _linked(of_id: Stored, named: Named) -> Met:
    """Link a user id, unless it has a link; then its number's lane goes on."""
    link = of_id.names.link
    if link is not None and link != named.number:
        return Met(onward=Way(Step.CONTRADICTS, *named))
    names = Names(link=named.number) if link is None else None
    return Met(names=names, onward=Way(Step.MERGE, *named, of_id.blocks))


def _contradicts(met: Met) -> bool:
    return met.onward is not None and met.onward.step is Step.CONTRADICTS


def joined(
    entry: Mapping[Place, Block], blocks: Sequence[Block], mark: Mark
) -> list[tuple[Place, Block | None]]:
    """The places of an entry that differ once the blocks of another entry are merged into it.

    Where there would be too many, one block of the account replaces those that can be (R18).

    Args:
        entry: the blocks that are there.
        blocks: of the same person, under another address.
        mark: of the write that stores the result.
    """
    whole = dict(entry)
    for block in blocks:
        there = whole.get(block.place)
        whole[block.place] = merged(block, there) if there else block
    if len(whole) > MOST_BLOCKS:
        whole = _narrowed(whole)
    changed: list[tuple[Place, Block | None]] = [
        (place, None) for place in entry if place not in whole
    ]
    for place, block in whole.items():
        there = entry.get(place)
        # A repeat changes no block, but a START that was said before it must not lift it.
        if there is None or block.sources != there.sources or differs(block, there):
            changed.append((place, replace(block, mark=mark)))
    return changed


def _narrowed(whole: Mapping[Place, Block]) -> dict[Place, Block]:
    replaced = [one for one in whole.values() if not one.carrier and not one.locked]
    account = whole.get(ACCOUNT)
    for one in replaced:
        moved = replace(one, scope=ACCOUNT.scope, target=ACCOUNT.target)
        account = merged(account, moved) if account else moved
    fixed = {place: one for place, one in whole.items() if one.carrier or one.locked}
    room = MOST_BLOCKS - 1
    if account is None:  # a block of the account covers what finds no room
        for one in list(fixed.values())[room:]:
            moved = replace(one, scope=ACCOUNT.scope, target=ACCOUNT.target, carrier=False)
            account = merged(account, moved) if account else moved
    kept = dict(list(fixed.items())[:room])
    return {**kept, ACCOUNT: account} if account else kept
