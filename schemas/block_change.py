"""block-changes.v1: the history of the block list."""

from __future__ import annotations

from pydantic import Field

from schemas.block_list_entry import Standing
from schemas.common import (
    ChangeId,
    ChannelGroup,
    Mark,
    OptOutType,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Subscriber,
    Time,
)


class Cause(Record):
    """The cause of a change: a message's keyword or an operator's command."""

    id: Sid = Field(description="The message's sid or the command's id.")
    source: str = Field(
        description="`keyword`, `own-words` (an opt-out in other words), `unread-stop` (an "
        "unreadable STOP), or the source of a command."
    )
    kind: OptOutType | None = None
    keyword: str | None = None
    sender: SenderAddress | None = None
    message_sid: Sid | None = Field(
        default=None, description="The recipient's text that a command of a review is about."
    )
    reason: str | None = None
    claimed_at: Time | None = Field(
        default=None, description="The time of a command's request, as the command claims."
    )
    claimed_source: str | None = Field(
        default=None, description="The source of the block, as an import claims."
    )
    actor: str | None = Field(
        default=None, description="The actor of a command: an account, an API key, `operator`, …"
    )


class BlockChange(Record):
    """A place of an entry has another block than before, or no longer a block.

    A further cause of a block is a change (``previous`` and ``blocked``), and so is a lost cause.
    """

    change_id: ChangeId = Field(
        description="Derived from the cause, so it is the same at every replay."
    )
    account_sid: Sid
    scope: Scope
    messaging_service_sid: Sid | None = None
    sender: SenderAddress | None = None
    carrier: bool = Field(
        default=False, description="The toll-free network's own block on (sender, recipient)."
    )
    recipient: Subscriber
    channel_group: ChannelGroup
    blocked: bool = Field(description="Whether there is a block now.")
    previous: bool = Field(description="Whether there was a block before.")
    standing: Standing | None = Field(
        default=None, description="The block there now: its causes and the sends it stops."
    )
    cause: Cause
    mark: Mark
    at: Time = Field(description="When the cause's record was appended.")
