"""What an index of a topic says: which records are about whom, and how far it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class About(NamedTuple):
    """What a record is about."""

    subject: str  # such as a recipient's number
    part: str = ""  # such as the account whose recipient it is


class Extent(NamedTuple):
    """How far an index was made."""

    topic_id: str  # "" where it never was
    next: int  # the offset behind the last record that is in it


class Known(NamedTuple):
    """What an index knows of a subject."""

    extent: Extent
    offsets: Sequence[int]  # the newest first


NOTHING_KNOWN = Known(Extent("", 0), ())
