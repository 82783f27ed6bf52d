"""Pages of lists, in the envelopes of Twilio's v1 and 2010 APIs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from pydantic import Field
from typing_extensions import TypedDict

from processor.http.links import url_of

MAX_PAGE = 1_000
_AFTER, _BEFORE = "PA", "PB"  # a token's prefix: the page is after an item, or before it

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page:
    """The requested page."""

    size: int
    number: int
    token: str | None

    @property
    def after(self) -> str | None:
        """The sid after which it begins; None if its token has no such sid."""
        return self._sid(_AFTER)

    @property
    def before(self) -> str | None:
        """The sid before which it ends; None if its token has no such sid."""
        return self._sid(_BEFORE)

    def _sid(self, kind: str) -> str | None:
        return self.token[2:] if self.token and self.token.startswith(kind) else None


async def _page(
    page_size: Annotated[int, Query(alias="PageSize", description="1 to 1000")] = 50,
    page: Annotated[str, Query(alias="Page", description="Copied from a page's links.")] = "0",
    page_token: Annotated[
        str | None, Query(alias="PageToken", description="Copied from a page's links.")
    ] = None,
) -> Page:
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 10 else 0
    return Page(min(max(page_size, 1), MAX_PAGE), number, page_token)


PageIs = Annotated[Page, Depends(_page)]
"""A parameter of a route that lists."""


@dataclass(frozen=True, slots=True)
class Slice(Generic[_T_co]):
    """The items of a page, and the places of its neighbours."""

    items: Sequence[_T_co]
    next_token: str | None
    previous_token: str | None


def slice_of(items: Sequence[_T], page: Page, sid_of: Callable[[_T], str]) -> Slice[_T]:
    """Cut a page from a list in memory; an invalid token is ignored."""
    start = page.number * page.size
    places = {sid_of(item): index for index, item in enumerate(items)}
    if page.after in places:
        start = places[page.after] + 1
    elif page.before in places:
        start = max(0, places[page.before] - page.size)
    found = items[start : start + page.size]
    return neighbours(found, sid_of, more=start + page.size < len(items), less=start > 0)


def neighbours(
    items: Sequence[_T], sid_of: Callable[[_T], str], *, more: bool, less: bool
) -> Slice[_T]:
    """Make a page with tokens for the next and the previous page."""
    return Slice(
        items,
        _AFTER + sid_of(items[-1]) if items and more else None,
        _BEFORE + sid_of(items[0]) if items and less else None,
    )


def between(items: Sequence[_T], *, after: str | None, before: str | None) -> Slice[_T]:
    """Make a page, which may be short, with the sids that its neighbours follow and precede."""
    return Slice(items, after and _AFTER + after, before and _BEFORE + before)


Nothing = Annotated[list[object], Field(max_length=0, description="Empty: there is none here.")]
"""The items of a list that has none."""


class Meta(TypedDict):
    """The place of a page in its list, with links to other pages."""

    page: int
    page_size: int
    first_page_url: str
    previous_page_url: str | None
    next_page_url: str | None
    key: Annotated[str, Field(description="The key of the items.")]
    url: str


def meta_of(request: Request, page: Page, key: str, found: Slice[object]) -> Meta:
    """Make the metadata of a v1 list: absolute links."""
    link = _Links(request, page, url_of(request, request.url.path))
    return {
        "page": page.number,
        "page_size": page.size,
        "first_page_url": link.first(),
        "previous_page_url": link.previous(found),
        "next_page_url": link.next(found),
        "key": key,
        "url": link.this(),
    }


class Uris(TypedDict):
    """The place of a page in its list, with links to other pages."""

    first_page_uri: str
    next_page_uri: str | None
    previous_page_uri: str | None
    page: int
    page_size: int
    start: int
    end: int
    uri: str


def uris_of(request: Request, page: Page, found: Slice[object]) -> Uris:
    """Make the metadata of a 2010-04-01 list: relative links only."""
    link = _Links(request, page, request.url.path)
    start = page.number * page.size
    return {
        "first_page_uri": link.first(),
        "next_page_uri": link.next(found),
        "previous_page_uri": link.previous(found),
        "page": page.number,
        "page_size": page.size,
        "start": start,
        "end": start + max(0, len(found.items) - 1),
        "uri": link.this(),
    }


class _Links:
    """The links of a page; they keep the other parameters of the request's query."""

    def __init__(self, request: Request, page: Page, base: str) -> None:
        self._base = base
        self._page = page
        paging = ("PageSize", "Page", "PageToken")
        self._rest = [pair for pair in request.query_params.multi_items() if pair[0] not in paging]

    def first(self) -> str:
        return self._to(0, None)

    def this(self) -> str:
        return self._to(self._page.number, self._page.token)

    def next(self, found: Slice[object]) -> str | None:
        return found.next_token and self._to(self._page.number + 1, found.next_token)

    def previous(self, found: Slice[object]) -> str | None:
        number = max(0, self._page.number - 1)
        return found.previous_token and self._to(number, found.previous_token)

    def _to(self, number: int, token: str | None) -> str:
        query = [*self._rest, ("PageSize", str(self._page.size)), ("Page", str(number))]
        if token:
            query.append(("PageToken", token))
        return f"{self._base}?{urlencode(query)}"
