"""A cache bounded in bytes, so that tenants who write again and again do not fill the memory."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import TypeVar

from cachetools import LRUCache

_T = TypeVar("_T")


def sized_cache(most_bytes: int) -> Callable[[Callable[[bytes], _T]], Callable[[bytes], _T]]:
    """Cache the results of a function of bytes, as ``lru_cache`` does by number.

    Args:
        most_bytes: of all cached arguments together; the results may take several times as much.
    """

    def decorate(make: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
        known: LRUCache[bytes, tuple[int, _T]] = LRUCache(most_bytes, getsizeof=itemgetter(0))

        def get(value: bytes) -> _T:
            found = known.get(value)
            if found is None:
                found = len(value), make(value)
                if len(value) <= most_bytes:
                    known[value] = found
            return found[1]

        return get

    return decorate
