"""A cache bounded in bytes, so that tenants who write again and again do not fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def sized_cache(most_bytes: int) -> Callable[[Callable[[bytes], _T]], Callable[[bytes], _T]]:
    """Cache the results of a function of bytes, as ``lru_cache`` does by number.

    Args:
        most_bytes: of all cached arguments together; the results may take several times as much.
    """

    def decorate(make: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
        known: dict[bytes, _T] = {}  # the latest used is the last
        size = 0

        def get(value: bytes) -> _T:
            nonlocal size
            if value in known:
                made = known[value] = known.pop(value)
                return made
            made = make(value)
            if len(value) <= most_bytes and value not in known:  # make() may call itself
                known[value] = made
                size += len(value)
                while size > most_bytes:
                    oldest = next(iter(known))
                    del known[oldest]
                    size -= len(oldest)
            return made

        return get

    return decorate
