"""R29: the effects of an operator's command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.blocks import Place, SourceKind
from processor.core.events import Cause
from processor.core.identity import change_id_of
from processor.core.messages import ChannelGroup, ConsentCommand, Scope
from tests.builders import (
    ACCOUNT,
    COMMAND,
    LONG_CODE,
    NOW_MS,
    SERVICE,
    TOLL_FREE,
    Decided,
    a_block,
    a_change,
    a_command,
    a_place,
    commanded,
    the_block,
)

CAUSE = Cause(COMMAND, None, None, None, "operator", "asked on the phone", a_command().claimed_ms)
SCOPES = pytest.mark.parametrize(
    ("command", "place"),
    [
        (a_command(), a_place()),
        (a_command(scope=Scope.SERVICE, service_sid=SERVICE), a_place(Scope.SERVICE)),
        (a_command(scope=Scope.SENDER, sender=LONG_CODE), a_place(Scope.SENDER)),
    ],
)


@SCOPES
def test_r29_a_command_blocks_in_the_place_it_names(command: ConsentCommand, place: Place) -> None:
    change_id = change_id_of(COMMAND, place, ACCOUNT)
    assert commanded(command) == Decided(
        (the_block(place, change_id=change_id, kind=SourceKind.COMMAND),),
        (
            a_change(
                place,
                change_id=change_id,
                kind=SourceKind.COMMAND,
                cause=replace(CAUSE, sender=command.sender),
            ),
        ),
    )


@SCOPES
def test_r29_a_command_lifts_what_a_stop_blocked(command: ConsentCommand, place: Place) -> None:
    change = a_change(
        place,
        change_id=change_id_of(COMMAND, place, ACCOUNT),
        blocked=False,
        cause=replace(CAUSE, sender=command.sender),
    )
    lift = replace(command, blocked=False)
    assert commanded(lift, (a_block(place),)) == Decided((), (change,))


@SCOPES
def test_r27_a_command_that_changes_nothing_emits_nothing(
    command: ConsentCommand, place: Place
) -> None:
    blocks = (a_block(place, SourceKind.COMMAND),)
    again = commanded(command, blocks)
    assert again.events == ()
    assert [one.last_ms for one in again.blocks[0].sources] == [NOW_MS]
    assert commanded(replace(command, blocked=False)) == Decided(())


def test_r29_a_command_lifts_its_own_place_only() -> None:
    others = (
        a_block(a_place(Scope.SERVICE)),
        a_block(a_place(Scope.SENDER)),
    )
    decision = commanded(a_command(blocked=False), (a_block(), *others))
    assert decision.blocks == others


def test_r29_a_carriers_block_is_not_lifted_by_a_command() -> None:
    ours = a_block(a_place(Scope.SENDER, target=TOLL_FREE))
    carrier = a_block(a_place(Scope.SENDER, target=TOLL_FREE, carrier=True))
    lift = a_command(scope=Scope.SENDER, sender=TOLL_FREE, blocked=False)
    assert commanded(lift, (ours, carrier)).blocks == (carrier,)
    assert commanded(lift, (carrier,)) == Decided((carrier,))


def test_r21_a_command_changes_the_list_of_its_channel_group() -> None:
    command = a_command(channel_group=ChannelGroup.WHATSAPP)
    assert commanded(command).events == (
        a_change(
            change_id=change_id_of(COMMAND, a_place(), ACCOUNT),
            kind=SourceKind.COMMAND,
            cause=CAUSE,
            channel_group=ChannelGroup.WHATSAPP,
        ),
    )
