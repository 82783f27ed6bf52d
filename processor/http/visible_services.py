"""The services that a caller may see."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request

from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.errors import not_found
from processor.kafka.topics.services_topic import StoredService

ServiceSid = Annotated[str, Path(description="MG and 32 hexadecimal digits.")]


def find_service(request: Request, backend: Backend, caller: Caller, sid: str) -> StoredService:
    """A service that the caller may see.

    Raises:
        ApiError: 20404 where there is none.
    """
    stored = backend.configuration.services.get(sid)
    if stored is None or not caller.may_see(stored.head.account_sid):
        raise not_found(request)
    return stored
