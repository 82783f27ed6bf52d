"""R29: what an operator's command does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.blocks import Place
from processor.core.decide import Decision, decide_command
from processor.core.events import Cause, change_id_of
from processor.core.messages import ChannelGroup, ConsentCommand, Scope
from tests.builders import (
    COMMAND,
    LONG_CODE,
    MARK,
    OTHER_ACCOUNT,
    SERVICE,
    TOLL_FREE,
    a_block,
    a_change,
    a_command,
    a_place,
    the_block,
)

CAUSE = Cause(COMMAND, None, None, None, "operator", "asked on the phone")
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
    change_id = change_id_of(COMMAND, place)
    assert decide_command(command, (), mark=MARK) == Decision(
        (the_block(place, change_id=change_id),),
        (a_change(place, change_id=change_id, cause=replace(CAUSE, sender=command.sender)),),
    )


@SCOPES
def test_r29_a_command_lifts_what_a_stop_blocked(command: ConsentCommand, place: Place) -> None:
    change = a_change(
        place,
        change_id=change_id_of(COMMAND, place),
        blocked=False,
        cause=replace(CAUSE, sender=command.sender),
    )
    lift = replace(command, blocked=False)
    assert decide_command(lift, (a_block(place),), mark=MARK) == Decision((), (change,))


@SCOPES
def test_r27_a_command_that_changes_nothing_emits_nothing(
    command: ConsentCommand, place: Place
) -> None:
    blocks = (a_block(place),)
    assert decide_command(command, blocks, mark=MARK) == Decision(blocks)
    assert decide_command(replace(command, blocked=False), (), mark=MARK) == Decision(())


def test_r29_a_command_lifts_its_own_place_only() -> None:
    others = (
        a_block(a_place(Scope.SERVICE)),
        a_block(a_place(Scope.SENDER)),
        a_block(a_place(account_sid=OTHER_ACCOUNT)),
    )
    decision = decide_command(a_command(blocked=False), (a_block(), *others), mark=MARK)
    assert decision.blocks == others


def test_r29_a_carriers_block_is_not_lifted_by_a_command() -> None:
    ours = a_block(a_place(Scope.SENDER, target=TOLL_FREE))
    carrier = a_block(a_place(Scope.SENDER, target=TOLL_FREE, carrier=True))
    lift = a_command(scope=Scope.SENDER, sender=TOLL_FREE, blocked=False)
    assert decide_command(lift, (ours, carrier), mark=MARK).blocks == (carrier,)
    assert decide_command(lift, (carrier,), mark=MARK) == Decision((carrier,))


def test_r21_a_command_changes_the_list_of_its_channel_group() -> None:
    command = a_command(channel_group=ChannelGroup.WHATSAPP)
    assert decide_command(command, (), mark=MARK).events == (
        a_change(
            change_id=change_id_of(COMMAND, a_place()),
            cause=CAUSE,
            channel_group=ChannelGroup.WHATSAPP,
        ),
    )
