"""Values of `block-list.v1`: all blocks on a recipient, of every account; read to be moved over."""

from __future__ import annotations

from datetime import datetime

import orjson

from processor.core.blocks import Block, Mark, Source, SourceKind
from processor.core.messages import Scope, entry_of
from processor.json_types import JsonObject
from processor.wire.blocks import write_entry
from processor.wire.json_values import to_ms


def entries_of(key: bytes, value: bytes | None) -> list[tuple[bytes, bytes]]:
    """Keys and values of `block-list.v2` for a record of `block-list.v1`.

    Raises:
        ValueError: where the value is none of that topic's.
    """
    accounts: dict[str, list[Block]] = {}
    for fields in orjson.loads(value)["blocks"] if value else ():
        accounts.setdefault(fields["account_sid"], []).append(_block(fields))
    return [
        (entry.encode(), written)
        for account_sid, blocks in accounts.items()
        if (written := write_entry(entry := entry_of(account_sid, key.decode()), tuple(blocks)))
    ]


def _block(fields: JsonObject) -> Block:
    since_ms = to_ms(datetime.fromisoformat(fields["since"]))
    kind = SourceKind.COMMAND
    if fields.get("source", "keyword") == "keyword":
        kind = SourceKind.KEYWORD
    elif fields["change_id"].startswith("unread-"):
        kind = SourceKind.UNREAD_STOP
    return Block(
        scope=Scope(fields["scope"]),
        target=fields.get("messaging_service_sid") or fields.get("sender") or "",
        carrier=fields.get("carrier", False),
        sources=(Source(kind, fields["change_id"], since_ms, since_ms),),
        mark=Mark.parse(fields["mark"]),
    )
