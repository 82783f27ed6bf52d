"""block-list.v2 (compacted): an account's blocks on a recipient; the durable block list."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from schemas.common import (
    ChangeId,
    ChannelGroup,
    Mark,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Subscriber,
    Time,
)

SourceKind = Literal[
    "keyword", "own-words", "unread-stop", "command", "review", "signal", "unreadable"
]
Intent = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class BlockSource(Record):
    """One cause of a block; a block has at most one of each kind."""

    kind: SourceKind = Field(
        description="A recipient's keyword, an opt-out in other words, a STOP that could not be "
        "read, a command, a person's review, a carrier's report, or an entry that cannot be read."
    )
    change_id: ChangeId = Field(description="The change that added it.")
    since: Time = Field(description="When the cause's record was appended.")
    last: Time = Field(description="When this kind of cause came last.")


class Standing(Record):
    """A block without its place: its causes, and the sends it stops."""

    sources: list[BlockSource] = Field(min_length=1, description="Oldest first.")
    only: list[Intent] | None = Field(
        default=None, description="The intents of sends that it stops; null: all."
    )
    but: list[Intent] = Field(default=[], description="The intents of sends that it lets pass.")
    locked: bool = Field(
        default=False, description="Neither the recipient nor a plain command can lift it."
    )


class StandingBlock(Standing):
    """A block in force."""

    scope: Scope
    messaging_service_sid: Sid | None = None
    sender: SenderAddress | None = None
    carrier: bool = False
    mark: Mark = Field(description="Mark of the write that changed it last.")

    @model_validator(mode="after")
    def _names_its_place(self) -> StandingBlock:
        named = {"service": self.messaging_service_sid, "sender": self.sender}
        if self.scope != "account" and named[self.scope] is None:
            raise ValueError(f"scope {self.scope} names none")
        if self.carrier and self.scope != "sender":
            raise ValueError("carrier: is of scope sender only")
        return self


class BlockListEntry(Record):
    """All blocks of an account on a recipient in a channel group; a tombstone if none are left.

    The key is the account's sid, ``/``, and the subscriber key, with ``whatsapp:`` before it in
    that channel group. The partition is the subscriber key's. Header ``mark`` names the write of
    the record or tombstone.
    """

    schema_version: Literal[2] = Field(  # type: ignore[assignment]  # the topic's own
        default=2, description="A reader that does not know this version must wait, not guess."
    )
    account_sid: Sid
    recipient: Subscriber
    channel_group: ChannelGroup
    blocks: list[StandingBlock] = Field(
        description="Empty only beside other addresses; of an id with a link: from before the link."
    )
    link: Subscriber | None = Field(
        default=None,
        description="For an entry of a user id: the number whose entry has the person's blocks.",
    )
    ids: list[Subscriber] = Field(
        default=[],
        description="For an entry of a number: user ids of the person; their blocks are merged.",
    )

    @model_validator(mode="after")
    def _holds_something(self) -> BlockListEntry:
        if self.link is not None and self.ids:
            raise ValueError("link and ids: an entry has one of them")
        if not self.blocks and self.link is None and not self.ids:
            raise ValueError("blocks: there is none, and no other address")
        return self
