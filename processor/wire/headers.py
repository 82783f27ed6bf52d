"""Which headers of a record go on to the records it causes."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[str, bytes | None]]
TRACEPARENT = "traceparent"
# These speak of the record itself, not of where it comes from: what it causes has its own.
_ITS_OWN = frozenset(("content-type", "mark"))
_ITS_OWN_PREFIXES = ("ce_", "__connect.", "optout.")


def passed_on(given: Headers) -> list[tuple[str, bytes | None]] | None:
    """Trace context and whatever else a producer added; None where there is nothing."""
    return [
        (name, value)
        for name, value in given
        if name not in _ITS_OWN and not name.startswith(_ITS_OWN_PREFIXES)
    ] or None
