"""Values that are made for every keyword, at a third of a frozen dataclass's cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

__all__ = ["value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value  # frozen: no code may change one
else:
    _T = TypeVar("_T")

    def value(*, frozen: bool, slots: bool) -> Callable[[type[_T]], type[_T]]:
        """As ``dataclass``, frozen for the type checker alone.

        At run time, freezing would make each field four times as slow to set.
        """
        assert frozen
        return dataclass(slots=slots, unsafe_hash=True)
