from collections.abc import Sequence

from processor.wire.records import Header, Parts, Record, Texts

def record(
    index: int, key: bytes | None, value: bytes | None, headers: list[Header], /
) -> bytes: ...
def filled(
    index: int,
    key: bytes | None,
    headers: list[Header],
    value: Parts,
    more: tuple[tuple[str, Parts], ...],
    texts: Texts,
    /,
) -> bytes: ...
def copies(records: Sequence[Record], headers: bytes, room: int, /) -> list[tuple[bytes, int]]: ...
