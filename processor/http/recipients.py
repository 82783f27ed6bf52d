"""A recipient of an account: the blocks on them, their history, and changes to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from processor import clocks
from processor.core.addresses import subscriber_key
from processor.core.blocks import Mark
from processor.core.consents import consent_command, place_of
from processor.core.decide import refusal_of
from processor.core.messages import (
    ChannelGroup,
    ConsentCommand,
    Scope,
    entry_key,
    entry_of,
    list_key,
    subscriber_of,
)
from processor.core.partitions import partition_of
from processor.errors import StoreUnavailable
from processor.http.addresses import Recipient
from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.errors import ApiError, wrong_parameter
from processor.http.limits import FETCHED, LOOKED_AT
from processor.kafka.topics.indexed_topic import History, Newest
from processor.kafka.writing import Outgoing
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands
from schemas.common import SenderAddress, Sid

_HINT_S = 0.5
_LOOK_S = 2.0  # if the list cannot be trusted by then, answer 503
_IN_FORCE_S = 5.0
_POLL_S = 0.01
_LONGEST_POLL_S = 0.2
_SLICE = 50  # records read in a slice
_ASKED = 10  # cost, in requests, of reading a topic's offsets from Kafka, and the index
_MOST_WAITING = 200  # reads of an untrusted list outlive their requests


class Given(BaseModel):
    """The body of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Change(Given):
    """The recipient to block or unblock, the place, and the reason."""

    recipient: Recipient = Field(examples=["+15551234567"])
    scope: Scope | None = Field(
        default=None,
        description="Default: that of the service or sender named, else OPTOUT_BLOCK_SCOPE.",
    )
    service_sid: Sid | None = Field(default=None, description="For scope service.")
    sender: SenderAddress | None = Field(default=None, description="For scope sender.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=400)] = Field(
        examples=["asked by phone"]
    )


async def look(backend: Backend, keys: Sequence[str], *, within_s: float = _LOOK_S) -> list[Found]:
    """Read entries of the list, if it can be trusted.

    Raises:
        ApiError: 503, if it cannot be trusted.
    """
    if backend.block_list.waiting > _MOST_WAITING:
        raise cannot(backend.block_list.waits_for)
    try:
        async with asyncio.timeout(within_s):
            return await backend.block_list.look(keys)
    except TimeoutError:
        raise cannot(backend.block_list.waits_for) from None


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes of a recipient's blocks."""

    values: list[dict[str, object]]  # as they are stored, the newest first
    below: int | None  # the link to older changes; None: there are no older changes


async def changes_of(
    backend: Backend,
    caller: Caller,
    account_sid: str,
    recipient: str,
    *groups: ChannelGroup,
    limit: int,
    since_ms: int | None = None,
    below: int | None = None,
    skip: int = 0,
) -> Changes:
    """Read how an account's blocks on a recipient changed, and why.

    Args:
        backend: of the process.
        caller: charged for the reads.
        account_sid: account of the blocks.
        recipient: address on any channel.
        groups: only changes of these channel groups.
        limit: how many changes to read; those of other channels are left out.
        since_ms: only changes from this time on.
        below: only changes before this place; see ``Changes``.
        skip: how many of the newest changes to leave out.

    Raises:
        ApiError: 20429, if the account has too many reads at a time.
        BrokerUnavailable: it takes too long.
    """
    subscriber = await _person_of(backend, account_sid, subscriber_key(recipient))
    async with backend.kafka_turns.turn(caller.payer):
        found = await backend.block_changes.newest(
            partition_of(subscriber.encode(), backend.settings.partitions),
            subscriber,
            account_sid,
            most=limit,
            below=below,
            since_ms=since_ms,
            skip=skip,
        )
    backend.charge(caller, cost_of(found))
    values = await values_of(backend, backend.block_changes, found)
    return Changes([one for one in values if one["channel_group"] in groups], found.below)


async def _person_of(backend: Backend, account_sid: str, subscriber: str) -> str:
    """The subscriber whose history has the changes: of a linked user id, its number (R32)."""
    if subscriber[0] == "+":
        return subscriber
    try:
        (found,) = await look(backend, [entry_of(account_sid, f"whatsapp:{subscriber}")])
    except ApiError:  # the list cannot be trusted now
        return subscriber
    return subscriber_of(found.key)


async def values_of(backend: Backend, history: History, found: Newest) -> list[dict[str, object]]:
    """Parse the values of records, slice by slice."""
    values: list[dict[str, object]] = []
    for at in range(0, len(found.records), _SLICE):
        async with backend.slices.one():
            values += history.values(found.records[at : at + _SLICE])
    return values


def cost_of(found: Newest) -> float:
    """The cost of finding some records, in requests."""
    return _ASKED + FETCHED * len(found.records) + LOOKED_AT * found.read


def command_of(
    backend: Backend, caller: Caller, given: Change, *, blocked: bool, source: str
) -> ConsentCommand:
    """Make the command for a request.

    Raises:
        ApiError: 400, if its scope names nothing that belongs to the account.
    """
    try:
        command = consent_command(
            command_id=consent_commands.new_command_id(),
            account_sid=caller.account,
            recipient=given.recipient,
            blocked=blocked,
            scope=given.scope,
            service_sid=given.service_sid,
            sender=given.sender,
            default_scope=backend.settings.block_scope,
            source=source,
            reason=given.reason,
            actor=caller.actor,
            claimed_ms=clocks.now_ms(),
        )
    except ValueError as error:
        raise wrong_parameter(str(error)) from None
    if given.service_sid is not None:
        stored = backend.configuration.services.get(given.service_sid)
        if stored is None or stored.head.account_sid != caller.account:
            raise wrong_parameter("service_sid: no service of this account")
    return command


async def carry_out(backend: Backend, command: ConsentCommand) -> Found | None:
    """Send a command, wait until it is in force, and return the blocks on the list.

    None if that takes too long, or if too many requests of the account wait already.

    Raises:
        ApiError: 400, if the lane would refuse the command.
    """
    key = command.recipient.encode()
    value = consent_commands.checked(command)
    listed = entry_key(command.account_sid, list_key(command.recipient, command.channel_group))
    await _refuse(backend, command, listed)
    await backend.send(Outgoing(backend.topics.consent_commands, key, value))
    with backend.waits.one_of(command.account_sid) as may_wait:
        return await _in_force(backend, command, listed) if may_wait else None


async def _in_force(backend: Backend, command: ConsentCommand, listed: str) -> Found | None:
    """Wait until the command is in force and cannot be undone; reads get rarer, as many may wait.

    The list shows a change before it is committed, and a lane that fails then makes it again. For
    as long as that takes, a block that was answered would be gone.
    """
    pause_s = _POLL_S
    seen: Mark | None = None  # of the first look that showed it
    try:
        async with asyncio.timeout(_IN_FORCE_S):
            while True:
                (found,) = await backend.block_list.look([listed])
                places = {one.place for one in wire_blocks.readable(found.value)}
                if (place_of(command) in places) is not command.blocked:
                    seen = None
                elif seen is None or seen.epoch != found.mark.epoch:
                    seen = found.mark  # a later owner may have undone it and made it again
                if seen and found.committed >= seen:
                    return found
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)
    except (TimeoutError, StoreUnavailable):
        return None


async def _refuse(backend: Backend, command: ConsentCommand, listed: str) -> None:
    """Refuse a command that the lane would refuse; if the list is unreadable, the lane decides."""
    try:
        (found,) = await look(backend, [listed], within_s=_HINT_S)
    except ApiError:
        return
    entry = {block.place: block for block in wire_blocks.readable(found.value)}
    if refused := refusal_of(command, entry):
        raise wrong_parameter(refused)


def cannot(why: Sequence[str]) -> ApiError:
    """Make the error for a list that cannot be trusted now."""
    return ApiError(
        503,
        20503,
        "The block list cannot be trusted now, so no recipient may be written to",
        detail="; ".join(why) or "it took too long",
        headers={"Retry-After": "1"},
    )
