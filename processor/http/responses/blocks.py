"""The block list of an account."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from processor.core import gate
from processor.core.messages import OutboundSend, entry_of
from processor.http.responses.changes import ChangesMeta
from processor.http.responses.documented import StoredBlockChange
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from processor.wire.blocks import BlockLine


class Verdict(TypedDict):
    """Whether a send to one recipient would go out."""

    recipient: str
    allowed: bool
    error_code: Annotated[int | None, Field(description="21610 if it would not.")]
    block: BlockLine | None
    except_from: Annotated[
        list[str],
        Field(description="Senders that must not be used, if the request names none."),
    ]
    mark: Annotated[str, Field(description="Mark of the block list that was read.")]


class Checked(TypedDict):
    """The verdicts, in the order of the recipients."""

    results: list[Verdict]


class RecipientBlocks(TypedDict):
    """The account's blocks on one recipient."""

    recipient: str
    blocked: bool
    blocks: list[BlockLine]
    mark: str


class Changed(TypedDict):
    """The result of a change, with the blocks on the list once it is in force."""

    command_id: str
    in_force: bool
    recipient: NotRequired[str]
    blocked: NotRequired[bool]
    blocks: NotRequired[list[BlockLine]]
    mark: NotRequired[str]


class BlocksMeta(TypedDict):
    """The place of a page."""

    key: str
    page_size: int
    next_page_url: str | None


class BlocksPage(TypedDict):
    """A page of blocks."""

    meta: BlocksMeta
    blocks: list[BlockLine]


class History(TypedDict):
    """The changes of a recipient, newest first, each in the form of `block-changes.v1`."""

    meta: ChangesMeta
    recipient: str
    changes: list[StoredBlockChange]


class BadRow(TypedDict):
    """A row that was left out."""

    row: int
    error: str


class Imported(TypedDict):
    """The results for the rows."""

    import_id: Annotated[str, Field(description="Use it to repeat the same import.")]
    accepted: int
    refused: int
    errors: Annotated[list[BadRow], Field(description="The first 1,000 bad rows.")]


def verdict_of(send: OutboundSend, found: Found, pool: Collection[str]) -> Verdict:
    """Write the gate's verdict on a send."""
    verdict = gate.judge(send, wire_blocks.readable(found.value), pool)
    refused = verdict.block if isinstance(verdict, gate.Refused) else None
    key = found.key or entry_of(send.account_sid, send.recipient)
    return {
        "recipient": send.recipient,
        "allowed": refused is None,
        "error_code": gate.ERROR_CODE if refused else None,
        "block": wire_blocks.line_of(key, refused) if refused else None,
        "except_from": list(verdict.except_from) if isinstance(verdict, gate.Allowed) else [],
        "mark": str(found.mark),
    }


def blocks_on(account_sid: str, recipient: str, found: Found) -> RecipientBlocks:
    """Write an account's blocks on a recipient."""
    blocks = wire_blocks.readable(found.value)
    key = found.key or entry_of(account_sid, recipient)
    return {
        "recipient": recipient,
        "blocked": bool(blocks),
        "blocks": [wire_blocks.line_of(key, one) for one in blocks],
        "mark": str(found.mark),
    }
