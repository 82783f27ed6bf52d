"""A recipient's blocks: the compact form in Redis, and the values of `block-list.v1`."""

from __future__ import annotations

from typing import Annotated

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from processor.core.blocks import Block, Blocks, Mark
from processor.core.messages import ChannelGroup, Scope, bare_number, channel_group_of
from processor.wire.json_values import to_ms, to_text
from schemas.block_list_entry import BlockListEntry

MARK_HEADER = "mark"
# By the recipient's own keyword; a command's block has the capital letter.
_LETTERS = {
    (Scope.ACCOUNT, False): "a",
    (Scope.SERVICE, False): "m",
    (Scope.SENDER, False): "s",
    (Scope.SENDER, True): "c",  # the carrier's own
}
_PLACES = {
    cased: (scope, carrier, by_keyword)
    for (scope, carrier), letter in _LETTERS.items()
    for cased, by_keyword in ((letter, True), (letter.upper(), False))
}
_SOURCE = {True: "keyword", False: "command"}


def pack(blocks: Blocks) -> bytes:
    """The form a recipient has in Redis: JSON without names, some 120 bytes a block."""
    return orjson.dumps(
        [
            [
                _letter(block),
                block.account_sid,
                block.target,
                block.since_ms,
                block.change_id,
                str(block.mark),
            ]
            for block in blocks
        ]
    )


def _letter(block: Block) -> str:
    letter = _LETTERS[block.scope, block.carrier]
    return letter if block.by_keyword else letter.upper()


def unpack(value: bytes | None) -> Blocks:
    """The blocks a value of Redis holds; none where there is no value."""
    return () if value is None else tuple(_block(*fields) for fields in orjson.loads(value))


def _block(
    letter: str, account_sid: str, target: str, since_ms: int, change_id: str, mark: str
) -> Block:
    scope, carrier, by_keyword = _PLACES[letter]
    return Block(
        account_sid, scope, target, carrier, since_ms, change_id, Mark.parse(mark), by_keyword
    )


class ScopeFields(TypedDict):
    """A place on the list, as topics name it."""

    scope: Scope
    messaging_service_sid: str | None
    sender: str | None


def scope_fields(scope: Scope, target: str) -> ScopeFields:
    """How topics name a place: its scope, and the service or sender it is about."""
    return {
        "scope": scope,
        "messaging_service_sid": target if scope is Scope.SERVICE else None,
        "sender": target if scope is Scope.SENDER else None,
    }


def write_entry(list_key: str, blocks: Blocks) -> bytes | None:
    """The value of `block-list.v1`: None, a tombstone, where no block is left."""
    if not blocks:
        return None
    return orjson.dumps(
        {
            "recipient": bare_number(list_key),
            "channel_group": channel_group_of(list_key),
            "blocks": [
                {
                    "account_sid": block.account_sid,
                    **scope_fields(block.scope, block.target),
                    "carrier": block.carrier,
                    "since": to_text(block.since_ms),
                    "change_id": block.change_id,
                    "mark": str(block.mark),
                    "source": _SOURCE[block.by_keyword],
                }
                for block in blocks
            ],
        }
    )


def read_entry(value: bytes) -> Blocks:
    """The blocks of a value of `block-list.v1`; raises pydantic's ``ValidationError``."""
    entry = BlockListEntry.model_validate_json(value)
    return tuple(
        Block(
            account_sid=block.account_sid,
            scope=Scope(block.scope),
            target=block.messaging_service_sid or block.sender or "",
            carrier=block.carrier,
            since_ms=to_ms(block.since),
            change_id=block.change_id,
            mark=Mark.parse(block.mark),
            by_keyword=block.source == "keyword",
        )
        for block in entry.blocks
    )


class BlockLine(ScopeFields):
    """One block: whom it keeps from whom, since when and because of what."""

    recipient: str
    channel_group: ChannelGroup
    account_sid: str
    carrier: Annotated[bool, Field(description="A toll-free network's own.")]
    since: str
    change_id: Annotated[
        str, Field(description="The message or command that caused it, and its place.")
    ]
    mark: str


def line_of(list_key: str, block: Block) -> BlockLine:
    """A block as commands, the API and files write it."""
    return {
        "recipient": bare_number(list_key),
        "channel_group": channel_group_of(list_key),
        "account_sid": block.account_sid,
        **scope_fields(block.scope, block.target),
        "carrier": block.carrier,
        "since": to_text(block.since_ms),
        "change_id": block.change_id,
        "mark": str(block.mark),
    }
