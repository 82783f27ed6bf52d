"""Metadata of a page of a history."""

from __future__ import annotations

from typing_extensions import TypedDict


class ChangesMeta(TypedDict):
    """The place of a page; the next page has older changes."""

    key: str
    page_size: int
    next_page_url: str | None
