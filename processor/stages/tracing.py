"""What the outputs of a record carry of its headers: its trace goes on through them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from processor.wire.headers import passed_on


class Traces:
    """Passes headers on; ``Spans`` also tells a collector what was done with the record."""

    def begin(self) -> None:
        """A batch begins; what an earlier one did not commit is forgotten."""

    def headers(self, record: Any, **said: str) -> list[tuple[str, bytes | None]] | None:
        """The headers of what a record causes, None for none.

        Args:
            record: that was read.
            said: what was decided on it, as attributes of the span, under ``optout.``.
        """
        return passed_on(record.headers) if record.headers else None

    @contextmanager
    def request(self, record: Any) -> Iterator[Mapping[str, str]]:
        """While an application is asked: the headers that tell it of the trace."""
        yield {}

    def committed(self) -> None:
        """The batch is committed."""
