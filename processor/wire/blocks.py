"""An entry of the block list: the compact form in Redis, and the values of `block-list.v2`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from processor.core.blocks import (
    ALL_INTENTS,
    NO_NAMES,
    UNREADABLE,
    Block,
    Blocks,
    Intents,
    Mark,
    Names,
    Source,
    SourceKind,
    Stored,
)
from processor.core.messages import (
    ChannelGroup,
    Scope,
    account_of,
    bare_number,
    channel_group_of,
    list_key_of,
)
from processor.errors import UnreadableEntry
from processor.json_types import JsonObject
from processor.wire.json_values import is_subscriber, to_ms, to_text
from schemas.block_list_entry import BlockListEntry

FORMAT = 2  # of everything in Redis that is the block list's; `block-list.v2` holds the same
MARK_HEADER = "mark"
LINKED_HEADER = "optout.linked"  # other partitions' marks that a verdict was judged at (R32)
EXCEPT_FROM_HEADER = "optout.except-from"  # senders that an allowed send must not go out from

_END_MS = 253_370_764_800_000  # of the times that topics may hold, the year 9999
_PLACES = {
    "a": (Scope.ACCOUNT, False),
    "m": (Scope.SERVICE, False),
    "s": (Scope.SENDER, False),
    "c": (Scope.SENDER, True),  # the carrier's own
}
_LETTERS = {place: letter for letter, place in _PLACES.items()}
_KINDS = {
    "k": SourceKind.KEYWORD,
    "o": SourceKind.OWN_WORDS,
    "u": SourceKind.UNREAD_STOP,
    "c": SourceKind.COMMAND,
    "r": SourceKind.REVIEW,
    "s": SourceKind.SIGNAL,
    "?": SourceKind.UNREADABLE,
}
_KIND_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


def pack(blocks: Blocks, names: Names = NO_NAMES) -> bytes:
    """The form an entry has in Redis: JSON without names, some 90 bytes a block.

    ``[format, block, …]``. A block is its place (a letter and the target), its mark, then each
    source: a letter and the change's id, since, and last where something was repeated. Rare
    fields come last, as an object: ``only``, ``but``, ``locked``. Behind the blocks, an object has
    the person's other addresses where there are any: ``link`` or ``ids``.
    """
    named: list[JsonObject] = []
    if names.link is not None:
        named.append({"link": names.link})
    elif names.ids:
        named.append({"ids": names.ids})
    return orjson.dumps([FORMAT, *map(_packed, blocks), *named])


def _packed(block: Block) -> list[object]:
    fields: list[object] = [_LETTERS[block.scope, block.carrier] + block.target, str(block.mark)]
    for one in block.sources:
        fields += _KIND_LETTERS[one.kind] + one.change_id, one.since_ms
        if one.last_ms != one.since_ms:
            fields.append(one.last_ms)
    if block.locked or block.intents != ALL_INTENTS:
        only, but = block.intents.only, block.intents.but
        fields.append(
            {
                "only": None if only is None else sorted(only),
                "but": sorted(but),
                "locked": block.locked,
            }
        )
    return fields


def unpack(value: bytes | None) -> Blocks:
    """The blocks an entry of Redis holds; none where there is no entry.

    Raises:
        UnreadableEntry: where it holds something else.
    """
    return () if value is None else stored_in(value).blocks


def stored_in(value: bytes) -> Stored:
    """The entry that Redis holds; raises as ``unpack`` does."""
    try:
        version, *parts = orjson.loads(value)
        if version != FORMAT or not parts:
            raise UnreadableEntry("an entry of the block list is of another format")
        names = _names(parts.pop()) if type(parts[-1]) is dict else NO_NAMES
        return Stored(tuple([_unpacked(*fields) for fields in parts]), names)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise UnreadableEntry("an entry of the block list cannot be read") from None


def readable(value: bytes | None) -> Blocks:
    """As ``unpack``; an entry that cannot be read blocks (R25)."""
    try:
        return unpack(value)
    except UnreadableEntry:
        return (UNREADABLE,)


def listed(value: bytes | None) -> Blocks:
    """The blocks that a list of all blocks shows: as ``readable``, but none of a linked user id.

    Its number's entry has the same blocks, or what became of them (R32).
    """
    try:
        stored = Stored(()) if value is None else stored_in(value)
    except UnreadableEntry:
        return (UNREADABLE,)
    return () if stored.names.link is not None else stored.blocks


def has_blocks(value: bytes) -> bool:
    """Whether a list of all blocks shows an entry; most need not be read for it."""
    return value.endswith(b"]]") or bool(listed(value))


def link_in(value: bytes | None) -> str | None:
    """The number that a user id's entry points to; None where it points to none, or is unreadable.

    It is asked of every entry that is looked up: nearly none has a link.
    """
    if value is None or not value.endswith(b'"}]'):
        return None
    try:
        return stored_in(value).names.link
    except UnreadableEntry:
        return None


def _names(said: JsonObject) -> Names:
    link, ids = said.get("link"), said.get("ids", ())
    if (link is None) is not bool(ids) or not all(map(is_subscriber, ids)):
        raise ValueError("no names of an entry")
    if link is not None and not is_subscriber(link):
        raise ValueError("no link of an entry")
    return Names(link, tuple(ids))


def _unpacked(place: str, mark: str, *fields: object) -> Block:
    scope, carrier = _PLACES[place[:1]]
    target = place[1:]
    if (target == "") is not (scope is Scope.ACCOUNT):
        raise ValueError("no place of this scope")
    sources: list[Source] = []
    limits: JsonObject | None = None
    for field in fields:
        if type(field) is str:
            sources.append(Source(_KINDS[field[:1]], field[1:], -1, -1))
        elif type(field) is int and 0 <= field < _END_MS:
            one = sources.pop()
            since_ms = field if one.since_ms < 0 else one.since_ms
            sources.append(Source(one.kind, one.change_id, since_ms, field))
        elif type(field) is dict:
            limits = field
        else:
            raise ValueError("no part of a block")
    if not sources or any(one.since_ms < 0 for one in sources):
        raise ValueError("a block without a source, or a source without a time")
    intents, locked = ALL_INTENTS, False
    if limits is not None:
        intents, locked = _intents(limits["only"], limits["but"]), bool(limits["locked"])
    return Block(scope, target, carrier, tuple(sources), Mark.parse(mark), intents, locked)


def _intents(only: Collection[str] | None, but: Collection[str]) -> Intents:
    """Of just some intents none is an exception any more."""
    if only is None:
        return Intents(but=frozenset(but))
    return Intents(only=frozenset(only) - frozenset(but))


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


class SourceLine(TypedDict):
    """One cause of a block."""

    kind: SourceKind
    change_id: str
    since: str
    last: Annotated[str, Field(description="When the same kind of cause came last.")]


class StandingFields(TypedDict):
    """The block in a place, as topics write it."""

    sources: list[SourceLine]
    only: Annotated[list[str] | None, Field(description="The intents it stops; null: all.")]
    but: Annotated[list[str], Field(description="The intents it lets pass.")]
    locked: bool


def standing_fields(block: Block) -> StandingFields:
    """The sources of a block, and what it stops."""
    only = block.intents.only
    return {
        "sources": [
            {
                "kind": one.kind,
                "change_id": one.change_id,
                "since": to_text(one.since_ms),
                "last": to_text(one.last_ms),
            }
            for one in block.sources
        ],
        "only": None if only is None else sorted(only),
        "but": sorted(block.intents.but),
        "locked": block.locked,
    }


def write_entry(entry_key: str, blocks: Blocks, names: Names = NO_NAMES) -> bytes | None:
    """The value of `block-list.v2`: None, a tombstone, where nothing is left."""
    if not blocks and names == NO_NAMES:
        return None
    list_key = list_key_of(entry_key)
    return orjson.dumps(
        {
            "schema_version": FORMAT,
            "account_sid": account_of(entry_key),
            "recipient": bare_number(list_key),
            "channel_group": channel_group_of(list_key),
            "blocks": [
                {
                    **scope_fields(block.scope, block.target),
                    "carrier": block.carrier,
                    "mark": str(block.mark),
                    **standing_fields(block),
                }
                for block in blocks
            ],
            **({"link": names.link} if names.link is not None else {}),
            **({"ids": names.ids} if names.ids else {}),
        }
    )


def read_entry(value: bytes) -> Blocks:
    """The blocks of a value of `block-list.v2`; raises pydantic's ``ValidationError``."""
    return read_stored(value).blocks


def read_stored(value: bytes) -> Stored:
    """The entry in a value of `block-list.v2`; raises pydantic's ``ValidationError``."""
    entry = BlockListEntry.model_validate_json(value)
    return Stored(_blocks_of(entry), Names(entry.link, tuple(entry.ids)))


def _blocks_of(entry: BlockListEntry) -> Blocks:
    return tuple(
        Block(
            scope=Scope(block.scope),
            target={"account": "", "service": block.messaging_service_sid or ""}.get(
                block.scope, block.sender or ""
            ),
            carrier=block.carrier,
            sources=tuple(
                Source(
                    SourceKind(source.kind),
                    source.change_id,
                    to_ms(source.since),
                    to_ms(source.last),
                )
                for source in block.sources
            ),
            mark=Mark.parse(block.mark),
            intents=_intents(block.only, block.but),
            locked=block.locked,
        )
        for block in entry.blocks
    )


def is_newer(value: bytes) -> bool:
    """Whether a value of the list was written by a version that knows a later format."""
    try:
        version = orjson.loads(value)["schema_version"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
    return isinstance(version, int) and version > FORMAT


class BlockLine(ScopeFields, StandingFields):
    """One block: its recipient, the senders it stops, its time and its causes."""

    recipient: str
    channel_group: ChannelGroup
    account_sid: str
    carrier: Annotated[bool, Field(description="A toll-free network's own.")]
    since: str
    change_id: Annotated[str, Field(description="The change that its oldest cause made.")]
    mark: str


def line_of(entry_key: str, block: Block) -> BlockLine:
    """A block as commands, the API and files write it."""
    list_key = list_key_of(entry_key)
    return {
        "recipient": bare_number(list_key),
        "channel_group": channel_group_of(list_key),
        "account_sid": account_of(entry_key),
        **scope_fields(block.scope, block.target),
        "carrier": block.carrier,
        "since": to_text(block.since_ms),
        "change_id": block.change_id,
        "mark": str(block.mark),
        **standing_fields(block),
    }
