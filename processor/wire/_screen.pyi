from collections.abc import Sequence

from processor.wire.records import Record

def screen_messages(
    records: Sequence[Record], topic: str, cores: dict[str, int], accounts: dict[str, int], /
) -> tuple[list[int], list[tuple[int, str]]]: ...
def screen_sends(records: Sequence[Record], topic: str, partitions: int, /) -> list[str | None]: ...
