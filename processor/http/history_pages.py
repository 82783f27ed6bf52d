"""Pages of histories: the changes that a request asks for, and the link to older changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import AwareDatetime

from processor.http.links import url_of
from processor.http.responses.changes import ChangesMeta

Limit = Annotated[int, Query(ge=1, le=1_000, description="Most changes to return.")]
Since = Annotated[AwareDatetime | None, Query(description="From this time on, RFC 3339.")]
Below = Annotated[
    int | None,
    Query(alias="PageToken", ge=0, lt=1 << 48, description="Copied from a page's link."),
]


def meta_of_changes(request: Request, limit: int, below: int | None) -> ChangesMeta:
    """Make the place of a page of changes, and the link to older changes."""
    query = request.url.include_query_params(PageToken=below).query
    here = url_of(request, request.url.path)
    return {
        "key": "changes",
        "page_size": limit,
        "next_page_url": None if below is None else f"{here}?{query}",
    }
