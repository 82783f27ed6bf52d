"""consent-commands.v1: bytes to a command and back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import orjson

from processor.core.addresses import subscriber_key
from processor.core.messages import ChannelGroup, ConsentCommand, LinkCommand, Scope
from processor.wire.json_values import to_ms, to_text
from schemas.consent_command import ConsentCommand as Model


def new_command_id() -> str:
    """An id for a command; workers carry out each id once."""
    return f"CC{uuid.uuid4().hex}"


def read(value: bytes) -> ConsentCommand | LinkCommand:
    """Check a value whole; raises pydantic's ``ValidationError``."""
    model = Model.model_validate_json(value)
    if model.link is not None:
        return LinkCommand(
            command_id=model.command_id,
            account_sid=model.account_sid,
            user_id=model.recipient,
            number=subscriber_key(model.link),
            source=model.source,
            reason=model.reason,
            claimed_ms=to_ms(model.at),
            actor=model.actor,
        )
    return ConsentCommand(
        command_id=model.command_id,
        account_sid=model.account_sid,
        scope=Scope(model.scope),
        service_sid=model.messaging_service_sid,
        sender=model.sender,
        recipient=subscriber_key(model.recipient),
        channel_group=ChannelGroup(model.channel_group),
        blocked=model.blocked,
        source=model.source,
        reason=model.reason,
        claimed_ms=to_ms(model.at),
        actor=model.actor,
        claimed_source=model.claimed_source,
        message_sid=model.message_sid,
    )


def read_all(values: Sequence[bytes]) -> list[ConsentCommand | LinkCommand]:
    """As ``read`` of each."""
    return list(map(read, values))


def write(command: ConsentCommand | LinkCommand) -> bytes:
    """The value of a command."""
    if isinstance(command, LinkCommand):
        return orjson.dumps(
            {
                "command_id": command.command_id,
                "account_sid": command.account_sid,
                "scope": Scope.ACCOUNT,
                "recipient": command.user_id,
                "channel_group": ChannelGroup.WHATSAPP,
                "blocked": False,
                "link": command.number,
                "source": command.source,
                "reason": command.reason,
                "actor": command.actor,
                "at": to_text(command.claimed_ms),
            }
        )
    return orjson.dumps(
        {
            "command_id": command.command_id,
            "account_sid": command.account_sid,
            "scope": command.scope,
            "messaging_service_sid": command.service_sid,
            "sender": command.sender,
            "recipient": command.recipient,
            "channel_group": command.channel_group,
            "blocked": command.blocked,
            "source": command.source,
            "reason": command.reason,
            "actor": command.actor,
            "claimed_source": command.claimed_source,
            "message_sid": command.message_sid,
            "at": to_text(command.claimed_ms),
        }
    )


def checked(command: ConsentCommand | LinkCommand) -> bytes:
    """The value of a command that a lane will take; raises pydantic's ``ValidationError``."""
    value = write(command)
    read(value)
    return value
