"""Changing a service by a form, which must have shown it as it still is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request

from processor.http.backend import Backend
from processor.http.console.sessions import Session
from processor.http.services import find
from processor.wire.configuration import Edit, edit_of_service
from schemas.messaging_service import MessagingService


class SavedMeanwhile(Exception):
    """Somebody else changed the service after this form was shown."""


async def update(
    request: Request,
    backend: Backend,
    session: Session,
    sid: str,
    form: Mapping[str, Any],
    change: Callable[[MessagingService], MessagingService],
) -> None:
    """Change a service that is still as the form showed it.

    Raises:
        SavedMeanwhile: where it is not.
    """

    def decide() -> list[Edit]:
        before = find(request, backend, session.caller, sid).whole()
        if str(before.version) != form.get("version"):
            raise SavedMeanwhile
        after = change(before)
        return [edit_of_service(before, after)] if after != before else []

    await backend.configuration.update(decide, actor=session.actor)
