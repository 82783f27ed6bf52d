"""block-changes.v1: the history of the block list."""

from __future__ import annotations

from pydantic import Field

from schemas.block_list_entry import Standing
from schemas.common import (
    ChangeId,
    ChannelGroup,
    Mark,
    Number,
    OptOutType,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Time,
)


class Cause(Record):
    """What changed the list: a message's keyword or an operator's command."""

    id: Sid = Field(description="The message's sid or the command's id.")
    source: str = Field(
        description="`keyword`, `unread-stop` (a STOP that cannot be read), or as a command says."
    )
    kind: OptOutType | None = None
    keyword: str | None = None
    sender: SenderAddress | None = None
    reason: str | None = None
    claimed_at: Time | None = Field(
        default=None, description="When a command says that it was asked for."
    )
    claimed_source: str | None = Field(
        default=None, description="What an import says that the block came from."
    )
    actor: str | None = Field(
        default=None, description="Who gave a command: an account, an API key, `operator`, …"
    )


class BlockChange(Record):
    """One place of an entry holds another block than before, or none any more.

    A second cause of a block is a change (``previous`` and ``blocked``), and so is the loss of one.
    """

    change_id: ChangeId = Field(description="Made from the cause: the same at every replay.")
    account_sid: Sid
    scope: Scope
    messaging_service_sid: Sid | None = None
    sender: SenderAddress | None = None
    carrier: bool = Field(
        default=False, description="The toll-free network's own block on (sender, recipient)."
    )
    recipient: Number
    channel_group: ChannelGroup
    blocked: bool = Field(description="Whether a block stands there now.")
    previous: bool = Field(description="Whether a block stood there before.")
    standing: Standing | None = Field(
        default=None, description="The block that stands there now: its causes and what it stops."
    )
    cause: Cause
    mark: Mark
    at: Time = Field(description="When the record of the cause was appended.")
