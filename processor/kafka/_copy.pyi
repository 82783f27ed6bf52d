from collections.abc import Sequence

from processor.wire.records import Record

def copies(records: Sequence[Record], headers: bytes, room: int, /) -> list[tuple[bytes, int]]: ...
