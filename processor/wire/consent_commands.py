"""consent-commands.v1: bytes to a command and back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import orjson

from processor.core.addresses import subscriber_key
from processor.core.messages import (
    ChannelGroup,
    ConsentCommand,
    LinkCommand,
    MoveCommand,
    PersonCommand,
    Scope,
)
from processor.wire.json_values import to_ms, to_text
from schemas.consent_command import ConsentCommand as Model


def new_command_id() -> str:
    """An id for a command; workers carry out each id once."""
    return f"CC{uuid.uuid4().hex}"


def read(value: bytes) -> ConsentCommand | PersonCommand:
    """Check a value whole; raises pydantic's ``ValidationError``."""
    model = Model.model_validate_json(value)
    if model.link is not None or model.moved_to is not None:
        return _about_a_person(model)
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


def _about_a_person(model: Model) -> PersonCommand:
    kind = MoveCommand if model.link is None else LinkCommand
    return kind(
        model.command_id,
        model.account_sid,
        subscriber_key(model.recipient),
        subscriber_key(model.link or model.moved_to or ""),
        model.source,
        model.reason,
        to_ms(model.at),
        model.actor,
    )


def read_all(values: Sequence[bytes]) -> list[ConsentCommand | PersonCommand]:
    """As ``read`` of each."""
    return list(map(read, values))


def key_of(command: ConsentCommand | PersonCommand) -> str:
    """The key of a command's record, as its producer writes it."""
    return command.user_id if isinstance(command, LinkCommand) else command.recipient


def write(command: ConsentCommand | PersonCommand) -> bytes:
    """The value of a command."""
    if isinstance(command, PersonCommand):
        return orjson.dumps(
            {
                "command_id": command.command_id,
                "account_sid": command.account_sid,
                "scope": Scope.ACCOUNT,
                "recipient": key_of(command),
                "channel_group": ChannelGroup.WHATSAPP,
                "blocked": False,
                "link": command.number if isinstance(command, LinkCommand) else None,
                "moved_to": command.to if isinstance(command, MoveCommand) else None,
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


def checked(command: ConsentCommand | PersonCommand) -> bytes:
    """The value of a command that a lane will take; raises pydantic's ``ValidationError``."""
    value = write(command)
    read(value)
    return value
