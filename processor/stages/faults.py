"""Which records make a batch fail: those are put aside, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from processor.errors import RecordError, RetryableError

_T = TypeVar("_T")
_R = TypeVar("_R")
NOT_THE_RECORDS = (RetryableError, OSError, MemoryError)
"""Failures of a server or of this machine: never a record's fault, the batch is done again."""

Faults = list[tuple[_T, Exception]]


def separate(items: Sequence[_T], attempt: Callable[[Sequence[_T]], _R]) -> tuple[_R, Faults[_T]]:
    """Do a batch; where it raises, find by halving the items that make it, and do the others.

    Args:
        items: of the batch, in order.
        attempt: pure: does some of them, whatever it did before; the last one called counts.

    Returns:
        The result of the other items, and each item at fault with its exception.
    """
    try:
        return attempt(items), []
    except NOT_THE_RECORDS:
        raise
    except Exception as error:
        if len(items) == 1:
            return attempt([]), [(items[0], error)]
    alone = _alone(items, attempt)
    good = [item for item, raised in alone if raised is None]
    faults = [(item, raised) for item, raised in alone if raised is not None]
    try:
        return attempt(good), faults
    except NOT_THE_RECORDS:
        raise
    except Exception:
        together = _together(good, attempt)
    at_fault = {id(item) for item, _ in together}
    return attempt([item for item in good if id(item) not in at_fault]), faults + together


def _alone(
    items: Sequence[_T], attempt: Callable[[Sequence[_T]], object]
) -> Sequence[tuple[_T, Exception | None]]:
    """Each item with what it raises by itself."""
    try:
        attempt(items)
    except NOT_THE_RECORDS:
        raise
    except Exception as error:
        if len(items) == 1:
            return [(items[0], error)]
        half = len(items) // 2
        return [*_alone(items[:half], attempt), *_alone(items[half:], attempt)]
    return [(item, None) for item in items]


def _together(items: Sequence[_T], attempt: Callable[[Sequence[_T]], object]) -> Faults[_T]:
    """Items that raise only with others before them."""
    good: list[_T] = []
    faults: Faults[_T] = []

    def add(part: Sequence[_T]) -> None:
        try:
            attempt([*good, *part])
        except NOT_THE_RECORDS:
            raise
        except Exception as error:
            if len(part) == 1:
                faults.append((part[0], error))
                return
            half = len(part) // 2
            add(part[:half])
            add(part[half:])
            return
        good.extend(part)

    add(items)
    return faults


def reason_of(error: Exception) -> str:
    """Why an item is put aside, without anything of the item."""
    if isinstance(error, RecordError):
        return str(error)
    return f"unexpected {type(error).__name__} while it was decided on: please report it"


def place_of(error: Exception) -> str:
    """Where it was raised; its words may hold personal data and are not repeated."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return "unknown"
    return f"{last.tb_frame.f_code.co_filename.rpartition('/')[2]}:{last.tb_lineno}"
