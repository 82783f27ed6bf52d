"""A number and a WhatsApp user id that are one person's (R32)."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from processor import clocks
from processor.core.addresses import subscriber_key
from processor.core.blocks import NO_NAMES, Mark, Stored
from processor.core.links import CONTRADICTS
from processor.core.messages import LinkCommand, entry_of, groups_of
from processor.errors import StoreUnavailable, UnreadableEntry
from processor.http.addresses import Recipient
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import conflict, wrong_parameter
from processor.http.recipients import Given, look
from processor.kafka.writing import Outgoing
from processor.stores.whole_list import Found
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands

router = APIRouter(route_class=Known, prefix="/v1/OptOuts", tags=["block list"])

_IN_FORCE_S = 5.0
_POLL_S = 0.02
_LONGEST_POLL_S = 0.2
_CONTRADICTS = 20409


class Link(Given):
    """The two addresses of one person."""

    number: Recipient = Field(examples=["+15551234567"])
    user_id: Recipient = Field(examples=["whatsapp:US.13491208655302741918"])
    reason: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = Field(
        default=None, examples=["both are in our address book"]
    )


class Linked(TypedDict):
    """The result of a link."""

    command_id: str
    in_force: bool
    number: str
    user_id: str


@router.post(
    "/Link",
    responses={
        200: {"description": "Blocks on either address hold for both."},
        202: {
            "description": "The link is stored, and workers will make it.",
            "model": Linked,
        },
        409: {"description": "The user id has a link to another number."},
    },
)
async def link(response: Response, backend: BackendIs, caller: CallerIs, given: Link) -> Linked:
    """Say that a WhatsApp user id and a number are one person's; it cannot be taken back."""
    number, user_id = subscriber_key(given.number), subscriber_key(given.user_id)
    if len(groups_of(number)) == 1:
        raise wrong_parameter("number: is not an E.164 number such as +15551234567")
    if len(groups_of(user_id)) > 1:
        raise wrong_parameter("user_id: is not a user id such as US.13491208655302741918")
    command = LinkCommand(
        command_id=consent_commands.new_command_id(),
        account_sid=caller.account,
        user_id=user_id,
        number=number,
        source="api",
        reason=given.reason,
        claimed_ms=clocks.now_ms(),
        actor=caller.actor,
    )
    await look(backend, [entry_of(caller.account, given.user_id)])  # it can be trusted
    keys = [entry_of(caller.account, f"whatsapp:{one}") for one in (user_id, number)]
    refuse_contradiction(number, (await backend.block_list.look_at(keys))[0])
    value = consent_commands.checked(command)
    await backend.send(Outgoing(backend.topics.consent_commands, user_id.encode(), value))
    with backend.waits.one_of(caller.account) as may_wait:
        in_force = may_wait and await _in_force(backend, command, keys)
    if not in_force:
        response.status_code = 202
    return {
        "command_id": command.command_id,
        "in_force": in_force,
        "number": number,
        "user_id": user_id,
    }


def refuse_contradiction(number: str, of_id: Found) -> None:
    """Refuse a link of a user id that has another.

    Raises:
        ApiError: 409.
    """
    if _stored(of_id.value).names.link not in (None, number):
        raise conflict(_CONTRADICTS, f"user_id: {CONTRADICTS}")


async def _in_force(backend: Backend, command: LinkCommand, keys: list[str]) -> bool:
    """Wait until both entries have the link, and no owner can undo it.

    Raises:
        ApiError: 409, if another link came in between.
    """
    pause_s = _POLL_S
    seen: list[Mark] = []  # of the first look that showed it, in the epochs of these owners
    try:
        async with asyncio.timeout(_IN_FORCE_S):
            while True:
                of_id, of_number = await backend.block_list.look_at(keys)
                refuse_contradiction(command.number, of_id)
                marks = [of_id.mark, of_number.mark]
                if command.user_id not in _stored(of_number.value).names.ids:
                    seen = []
                elif [one.epoch for one in seen] != [one.epoch for one in marks]:
                    seen = marks
                if seen and of_id.committed >= seen[0] and of_number.committed >= seen[1]:
                    return True
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)
    except (TimeoutError, StoreUnavailable):
        return False


def _stored(value: bytes | None) -> Stored:
    """An entry; nothing where it cannot be read: the lane decides."""
    try:
        return Stored((), NO_NAMES) if value is None else wire_blocks.stored_in(value)
    except UnreadableEntry:
        return Stored((), NO_NAMES)
