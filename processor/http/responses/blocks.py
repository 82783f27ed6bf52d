"""The block list of an account."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from processor.core import gate
from processor.core.messages import OutboundSend, entry_key
from processor.http.responses.changes import ChangesMeta
from processor.http.responses.documented import StoredBlockChange
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from processor.wire.blocks import BlockLine


class Verdict(TypedDict):
    """Whether a send to one recipient would go out."""

    recipient: str
    allowed: bool
    error_code: Annotated[int | None, Field(description="21610 where not.")]
    block: BlockLine | None
    except_from: Annotated[
        list[str],
        Field(description="Senders that must not be chosen, where the request names none."),
    ]
    mark: Annotated[str, Field(description="Of the block list it was read at.")]


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
    """What a change came to; what is on the list only where it is in force."""

    command_id: str
    in_force: bool
    recipient: NotRequired[str]
    blocked: NotRequired[bool]
    blocks: NotRequired[list[BlockLine]]
    mark: NotRequired[str]


class BlocksMeta(TypedDict):
    """Where a page stands."""

    key: str
    page_size: int
    next_page_url: str | None


class BlocksPage(TypedDict):
    """Some blocks."""

    meta: BlocksMeta
    blocks: list[BlockLine]


class History(TypedDict):
    """The changes of a recipient, the newest first, each as `block-changes.v1` says."""

    meta: ChangesMeta
    recipient: str
    changes: list[StoredBlockChange]


class BadRow(TypedDict):
    """A row that was left out."""

    row: int
    error: str


class Imported(TypedDict):
    """What became of the rows."""

    import_id: Annotated[str, Field(description="Under which the same import may be repeated.")]
    accepted: int
    refused: int
    errors: Annotated[list[BadRow], Field(description="The first 1,000.")]


def verdict_of(send: OutboundSend, found: Found, pool: Collection[str]) -> Verdict:
    """What the gate would say of a send."""
    verdict = gate.judge(send, wire_blocks.readable(found.value), pool)
    refused = verdict.block if isinstance(verdict, gate.Refused) else None
    key = entry_key(send.account_sid, send.recipient)
    return {
        "recipient": send.recipient,
        "allowed": refused is None,
        "error_code": gate.ERROR_CODE if refused else None,
        "block": wire_blocks.line_of(key, refused) if refused else None,
        "except_from": list(verdict.except_from) if isinstance(verdict, gate.Allowed) else [],
        "mark": str(found.mark),
    }


def blocks_on(account_sid: str, recipient: str, found: Found) -> RecipientBlocks:
    """An account's blocks on one recipient."""
    blocks = wire_blocks.readable(found.value)
    key = entry_key(account_sid, recipient)
    return {
        "recipient": recipient,
        "blocked": bool(blocks),
        "blocks": [wire_blocks.line_of(key, one) for one in blocks],
        "mark": str(found.mark),
    }
