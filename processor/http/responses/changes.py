"""What a page of a history has beside its changes."""

from __future__ import annotations

from typing_extensions import TypedDict


class ChangesMeta(TypedDict):
    """Where a page stands; the next one has older changes."""

    key: str
    page_size: int
    next_page_url: str | None
