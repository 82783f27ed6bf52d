"""The figures of charts as comma-separated values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from processor.http.console.series import Counts, Share, Slot

_HEADS = ("opt_outs", "opt_ins", "help", "sends_allowed", "sends_refused", "sends_suspended")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins so


def csv_of_times(unit: str, slots: Sequence[Slot]) -> str:
    """The figures of each hour, day or month, by the time when it begins, UTC."""
    return _csv(unit, ((_time(slot), slot.counts) for slot in slots))


def csv_of_parts(part: str, shares: Sequence[Share]) -> str:
    """The figures of each part of a period."""
    return _csv(part, ((_harmless(share.name), share.counts) for share in shares))


def _csv(first: str, rows: Iterable[tuple[str, Counts]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((first, *_HEADS, "opt_outs_per_1000_sends"))
    for name, one in rows:
        rate = "" if one.rate is None else f"{one.rate:.3f}"
        counts = (one.opt_outs, one.opt_ins, one.helps, one.sends, one.refused, one.suspended)
        writer.writerow((name, *counts, rate))
    return out.getvalue()


def _time(slot: Slot) -> str:
    return slot.begin.isoformat().replace("+00:00", "Z")


def _harmless(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name
