from collections.abc import Sequence

from processor.wire.records import Header, Record

def record(
    index: int, key: bytes | None, value: bytes | None, headers: list[Header], /
) -> bytes: ...
def copies(records: Sequence[Record], headers: bytes, room: int, /) -> list[tuple[bytes, int]]: ...
