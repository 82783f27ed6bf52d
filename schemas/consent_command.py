"""consent-commands.v1: an operator's or an application's change to the block list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from schemas.common import (
    ChannelGroup,
    Number,
    Record,
    Scope,
    SenderAddress,
    Sid,
    Subscriber,
    Time,
)

_Source = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ConsentCommand(Record):
    """Block, unblock, link or move a recipient; keyed by the recipient's subscriber key."""

    command_id: Sid
    account_sid: Sid
    scope: Scope
    messaging_service_sid: Sid | None = None
    sender: SenderAddress | None = None
    recipient: Subscriber
    channel_group: ChannelGroup = "sms"
    blocked: bool
    link: Number | None = Field(
        default=None,
        description="The number of the person whose WhatsApp user id the recipient is: they are "
        "linked. Nothing is blocked or unblocked then; `scope` is account, `blocked` is false.",
    )
    moved_to: Subscriber | None = Field(
        default=None,
        description="The person's new address on WhatsApp: the blocks are copied to it, once. "
        "Nothing else changes; `scope` is account, `blocked` is false.",
    )
    source: _Source = Field(
        description="The source, such as `api` or `import`. `review` is a person who read the "
        "recipient's text; an unblock with it lifts only blocks that reviews or such texts made."
    )
    message_sid: Sid | None = Field(
        default=None, description="The recipient's text that a review is about."
    )
    reason: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        default=None, description="Needed to lift a recipient's own block."
    )
    actor: _Source | None = Field(
        default=None, description="The actor: an account, an API key, `operator`, …"
    )
    claimed_source: _Source | None = Field(
        default=None, description="The source of the block, as an import claims."
    )
    at: Time = Field(description="When it was requested, as its writer claims.")

    @model_validator(mode="after")
    def _says_what_to_do(self) -> ConsentCommand:
        if self.recipient[0] != "+" and self.channel_group != "whatsapp":
            raise ValueError("recipient: a user id needs channel_group whatsapp")
        if self.link is not None and self.recipient[0] == "+":
            raise ValueError("recipient: a command that links names a WhatsApp user id")
        if self.link is not None and self.moved_to is not None:
            raise ValueError("moved_to: a command links or moves, not both")
        if self.moved_to is not None and self.channel_group != "whatsapp":
            raise ValueError("moved_to: needs channel_group whatsapp")
        if (self.link or self.moved_to) and (self.blocked or self.scope != "account"):
            raise ValueError("link, moved_to: need scope account and blocked false")
        if self.scope == "service" and self.messaging_service_sid is None:
            raise ValueError("scope service needs messaging_service_sid")
        if self.scope == "sender" and self.sender is None:
            raise ValueError("scope sender needs sender")
        return self
