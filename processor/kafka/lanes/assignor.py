"""Share a group's partitions out among its members."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple


class Owned(NamedTuple):
    """The partitions that a member works on when it asks for its share."""

    generation: int  # of the group, in which it was given them; the latest member is believed
    partitions: AbstractSet[int]


NOTHING = Owned(-1, frozenset())


def shares(count: int, members: Mapping[str, Owned]) -> dict[str, set[int]]:
    """The partitions of each member: as even as possible, and moving as few as that allows.

    Args:
        count: the number of partitions, which are numbered from 0.
        members: at least one, by id.
    """
    kept: dict[str, list[int]] = {member: [] for member in members}
    free = set(range(count))
    for member in sorted(members, key=lambda one: (-members[one].generation, one)):
        kept[member] = sorted(members[member].partitions & free)
        free -= members[member].partitions
    least, more = divmod(count, len(members))
    found = {}
    for place, member in enumerate(sorted(members, key=lambda one: (-len(kept[one]), one))):
        share = least + (place < more)
        found[member] = set(kept[member][:share])
        free |= set(kept[member][share:])
    left = sorted(free)
    for place, partitions in enumerate(found.values()):
        while left and len(partitions) < least + (place < more):
            partitions.add(left.pop(0))
    return found
