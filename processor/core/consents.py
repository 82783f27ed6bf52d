"""Make a consent command of a request by a person, an application or a file (R29)."""

from __future__ import annotations

from processor.core.addresses import subscriber_key
from processor.core.blocks import Place, place_for, scope_for
from processor.core.messages import ConsentCommand, Scope, channel_group_of


class TargetMissing(ValueError):
    """A change of a scope names no service, or no sender.

    Args:
        scope: of the change.
        field: the missing argument, ``service_sid`` or ``sender``.
    """

    def __init__(self, scope: Scope, field: str) -> None:
        super().__init__(f"{field}: required for scope {scope}")
        self.scope = scope
        self.field = field


def consent_command(
    *,
    command_id: str,
    account_sid: str,
    recipient: str,
    blocked: bool,
    scope: Scope | None,
    service_sid: str | None,
    sender: str | None,
    default_scope: Scope,
    source: str,
    reason: str | None,
    actor: str,
    claimed_ms: int,
    claimed_source: str | None = None,
) -> ConsentCommand:
    """The command that blocks or unblocks a recipient.

    Args:
        command_id: new, as workers carry out an id once.
        account_sid: the account whose block list changes.
        recipient: an address; only its channel is blocked.
        blocked: whether to block.
        scope: None for the scope of the service or sender named, else ``default_scope``.
        service_sid: needed by scope service.
        sender: needed by scope sender.
        default_scope: the installation's.
        source: where the command is given.
        reason: in the actor's words.
        actor: the person or program that gives the command.
        claimed_ms: when the recipient decided it.
        claimed_source: where the recipient said so.

    Raises:
        TargetMissing: where the scope's service or sender is not named.
        ValueError: where both are named and nothing says which is meant.
    """
    wanted = scope_for(scope, service_sid=service_sid, sender=sender, default=default_scope)
    if wanted is Scope.SERVICE and service_sid is None:
        raise TargetMissing(wanted, "service_sid")
    if wanted is Scope.SENDER and sender is None:
        raise TargetMissing(wanted, "sender")
    return ConsentCommand(
        command_id=command_id,
        account_sid=account_sid,
        scope=wanted,
        service_sid=service_sid,
        sender=sender,
        recipient=subscriber_key(recipient),
        channel_group=channel_group_of(recipient),
        blocked=blocked,
        source=source,
        reason=reason,
        actor=actor,
        claimed_ms=claimed_ms,
        claimed_source=claimed_source,
    )


def place_of(command: ConsentCommand) -> Place:
    """The place on the list that a command changes."""
    return place_for(command.scope, service_sid=command.service_sid, sender=command.sender)
