"""A configuration's draft: found, identified by its version, changed while it still has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Header, Path, Request

from processor.configuration.change import change_service
from processor.configuration.drafts import with_draft
from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.errors import ApiError, not_found
from processor.http.visible_services import find_service
from schemas.messaging_service import MessagingService

OptOutSid = Annotated[str, Path(description="OO and the digits of its service's sid.")]
Language = Annotated[str, Path(description="A tag or a name; `ALL`: none.", examples=["es"])]
MessageType = Annotated[str, Path(description="`ALL` or a country.", examples=["MX"])]
IfMatch = Annotated[
    str | None, Header(description="The version (ETag) it must still have; else 412.")
]
_HEADERS = {"ETag": {"schema": {"type": "string"}, "description": "The version, for `If-Match`."}}
TAGGED: dict[int | str, dict[str, object]] = {200: {"headers": _HEADERS}}
TAGGED_204: dict[int | str, dict[str, object]] = {204: {"headers": _HEADERS}}
"""The document's entry for answers that have an ETag."""


class Draft:
    """A draft to be changed, if it still is of the version that was read."""

    def __init__(
        self, request: Request, backend: Backend, caller: Caller, sid: str, if_match: str | None
    ) -> None:
        self._request = request
        self._backend = backend
        self._caller = caller
        self._sid = sid
        self._if_match = if_match

    async def save(self, draft: Callable[[MessagingService], object]) -> MessagingService:
        """Replace the draft with what is made of the service as it is."""
        return await self.change(
            lambda before: with_draft(before, draft(before), now=datetime.now(UTC))
        )

    async def change(
        self, change: Callable[[MessagingService], MessagingService]
    ) -> MessagingService:
        """Change the service as it is now, and return it as it is afterwards."""

        def as_read() -> MessagingService:
            before = stored(self._request, self._backend, self._caller, self._sid)
            if not _fits(self._if_match, before):
                raise ApiError(
                    412, 20412, "It was changed meanwhile", headers={"ETag": etag(before)}
                )
            return before

        configuration = self._backend.configuration
        return await change_service(configuration, as_read, change, actor=self._caller.actor)


def stored(request: Request, backend: Backend, caller: Caller, sid: str) -> MessagingService:
    """The service of a configuration that the caller may see.

    Raises:
        ApiError: 20404 where there is none.
    """
    if not sid.startswith("OO"):
        raise not_found(request)
    return find_service(request, backend, caller, f"MG{sid[2:]}").whole()


def etag(service: MessagingService) -> str:
    """The version of a configuration, as headers write it."""
    return f'"{service.version}"'


def _fits(if_match: str | None, service: MessagingService) -> bool:
    """Whether a change may go on; weak tags never match (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return True
    return etag(service) in (tag.strip() for tag in if_match.split(","))
