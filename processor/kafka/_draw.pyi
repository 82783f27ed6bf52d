from typing import TypeVar

from typing_extensions import Buffer

_T = TypeVar("_T")

MORE: int
ALL: int
UNUSUAL: int

class Cursor:
    headers: int
    def __new__(
        cls,
        batch: Buffer,
        record: type[tuple[object, ...]],
        topic: str,
        partition: int,
        first: int,
        /,
    ) -> Cursor: ...
    def draw(self, into: list[_T], most: int, most_headers: int, /) -> int: ...
