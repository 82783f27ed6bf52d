from collections.abc import Sequence

from processor.wire.records import Record
from processor.wire.screening import Origin, Text

def screen_messages(
    records: Sequence[Record],
    topic: str,
    heads: dict[str, int],
    ends: dict[str, int],
    accounts: dict[str, int],
    /,
) -> tuple[list[int], list[tuple[int, str]], bytes, bytes]: ...
def read_message(
    value: bytes, /
) -> tuple[str, str, str | None, str, str, str, str | None, int, int] | None: ...
def read_text(value: bytes, /) -> Text | None: ...
def screen_sends(
    records: Sequence[Record], topic: str, partitions: int, /
) -> tuple[list[str | None], list[Origin | None]]: ...
