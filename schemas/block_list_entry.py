"""block-list.v1 (compacted): every block on one recipient, the durable truth of the list."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import (
    ChangeId,
    ChannelGroup,
    Mark,
    Number,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Time,
)


class StandingBlock(Record):
    """One block that stands."""

    account_sid: Sid
    scope: Scope
    messaging_service_sid: Sid | None = None
    sender: SenderAddress | None = None
    carrier: bool = False
    since: Time = Field(description="When the record that made it was appended.")
    change_id: ChangeId
    mark: Mark
    source: Literal["keyword", "command"] = Field(
        default="keyword", description="Made by the recipient's own word, or by a command."
    )


class BlockListEntry(Record):
    """All blocks on a recipient in a channel group; a tombstone when none is left.

    The key is the bare number, with ``whatsapp:`` before it in that channel group; the partition is
    the bare number's. Header ``mark`` says which write the record, or the tombstone, is of.
    """

    recipient: Number
    channel_group: ChannelGroup
    blocks: list[StandingBlock]
