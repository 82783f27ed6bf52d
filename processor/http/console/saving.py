"""The service that a page is about, and changing it by a form that showed it as it still is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request

from processor.configuration.change import change_service, delete_service
from processor.http.auth import Caller
from processor.http.backend import BackendIs
from processor.http.console.sessions import SessionIs
from processor.http.visible_services import find_service
from schemas.messaging_service import MessagingService


class SavedMeanwhile(Exception):
    """Another person changed the service after this form was shown."""


class Shown:
    """The service of a page's address, if one may see it."""

    def __init__(self, request: Request, backend: BackendIs, session: SessionIs, sid: str) -> None:
        self.backend = backend
        self._request = request
        self._session = session
        self._sid = sid

    @property
    def caller(self) -> Caller:
        """The caller."""
        return self._session.caller

    def now(self) -> MessagingService:
        """As it is stored.

        Raises:
            ApiError: 404 where there is none.
        """
        return find_service(self._request, self.backend, self._session.caller, self._sid).whole()

    async def change(
        self, form: Mapping[str, object], change: Callable[[MessagingService], MessagingService]
    ) -> None:
        """Change it, if it still is as the form showed it.

        Raises:
            SavedMeanwhile: where it is not.
        """
        stored = self.backend.configuration
        await change_service(stored, self._as_shown(form), change, actor=self._session.actor)

    async def delete(self, form: Mapping[str, object]) -> None:
        """Delete it, if it still is as the form showed it.

        Raises:
            SavedMeanwhile: where it is not.
        """
        stored = self.backend.configuration
        await delete_service(stored, self._as_shown(form), actor=self._session.actor)

    def _as_shown(self, form: Mapping[str, object]) -> Callable[[], MessagingService]:
        def find() -> MessagingService:
            before = self.now()
            if str(before.version) != form.get("version"):
                raise SavedMeanwhile
            return before

        return find


ShownIs = Annotated[Shown, Depends()]
"""A parameter of every page of a service."""
