"""An index of a topic: the records about each subject, and the offsets it covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class About(NamedTuple):
    """The subject of a record."""

    subject: str  # such as a recipient's number
    part: str = ""  # such as the account whose recipient it is


class Extent(NamedTuple):
    """How far an index was made."""

    topic_id: str  # "" where it never was
    next: int  # the offset behind the last record that is in it


class Known(NamedTuple):
    """The entries of an index for one subject."""

    extent: Extent
    offsets: Sequence[int]  # the newest first


NOTHING_KNOWN = Known(Extent("", 0), ())
