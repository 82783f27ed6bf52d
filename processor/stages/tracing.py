"""Pass a record's trace headers on to its outputs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure
from processor.wire.headers import passed_on
from processor.wire.records import Record

Outcome: TypeAlias = Answered | Failure
Ask: TypeAlias = Callable[[Request], Awaitable[Outcome]]


class BatchTraces:
    """The traces of one batch's records."""

    def headers(self, record: Record, **said: str) -> list[tuple[str, bytes | None]] | None:
        """The headers for a record's outputs, None if there are none.

        Args:
            record: the input.
            said: the decision on it, as attributes of the span, under ``optout.``.
        """
        return passed_on(record.headers) if record.headers else None

    def committed(self) -> None:
        """The batch is committed."""


class Traces:
    """Passes headers on; ``Spans`` also reports to a collector what happened to the record."""

    def begin(self) -> BatchTraces:
        """A batch begins."""
        return BatchTraces()

    async def ask(self, record: Record, attempt: int, request: Request, ask: Ask) -> Outcome:
        """Make a request to an application, with the trace in its headers.

        Args:
            record: the record that asks for the request.
            attempt: of the delivery, from 1.
            request: without a trace.
            ask: makes the request; never raises.
        """
        return await ask(request)
