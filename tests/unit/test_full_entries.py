"""R18: one account has at most a hundred blocks on a recipient, and no STOP is refused for it."""

from __future__ import annotations

import pytest

from processor.core.blocks import MOST_BLOCKS, Blocks, Place, SourceKind
from processor.core.events import BlockChange, ReplySend
from processor.core.fold import fold
from processor.core.messages import Arrival, ChannelGroup, Scope, SenderType, UnreadStop
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    MARK,
    NOW_MS,
    OTHER_ACCOUNT,
    RECIPIENT,
    TOLL_FREE,
    Decided,
    a_block,
    a_command,
    a_handling,
    a_place,
    commanded,
    decided,
)


def blocks(count: int, *, carrier: bool = False) -> Blocks:
    return tuple(
        a_block(a_place(Scope.SENDER, target=f"N{one}", carrier=carrier)) for one in range(count)
    )


FULL = blocks(MOST_BLOCKS)


def places(decision: Decided) -> list[Place]:
    return [block.place for block in decision.blocks]


def test_r18_a_command_beyond_the_limit_is_refused_by_name_and_one_below_is_not() -> None:
    command = a_command(scope=Scope.SENDER, sender="more")
    refused = commanded(command, FULL)
    assert (refused.blocks, refused.events) == (FULL, ())
    assert refused.refused is not None
    assert "100 blocks" in refused.refused
    assert commanded(command, FULL[1:]).refused is None
    assert commanded(a_command(), FULL).refused is not None
    lift = a_command(scope=Scope.SENDER, sender="N7", blocked=False, arrival=Arrival(NOW_MS + 9))
    assert len(commanded(lift, FULL).blocks) == MOST_BLOCKS - 1


@pytest.mark.parametrize("scope", Scope)
def test_r18_one_block_of_the_account_takes_the_place_of_all(scope: Scope) -> None:
    stop = decided("STOP", FULL, scope=scope)
    assert places(stop) == [a_place()]
    changes = [event for event in stop.events if isinstance(event, BlockChange)]
    assert len({change.change_id for change in changes}) == MOST_BLOCKS + 1
    assert all(len(change.change_id) <= 80 for change in changes)
    assert [change.place for change in changes if change.blocked] == [a_place()]
    assert sum(isinstance(event, ReplySend) for event in stop.events) == 1


def test_r18_the_carriers_own_blocks_stay_as_long_as_there_is_room() -> None:
    carriers = blocks(60, carrier=True)
    stop = decided("STOP", (*carriers, *blocks(40)))
    assert places(stop) == [*(block.place for block in carriers), a_place()]
    stop = decided("STOP", blocks(MOST_BLOCKS - 1, carrier=True))
    assert len(stop.blocks) == MOST_BLOCKS
    assert places(stop)[-1] == a_place()
    # There is always room for the account's own block: a carrier's never takes the last place.
    last = decided(
        "STOP",
        blocks(MOST_BLOCKS - 1, carrier=True),
        handling=a_handling(sender_type=SenderType.TOLL_FREE),
        sender=TOLL_FREE,
        scope=Scope.SENDER,
    )
    assert len(last.blocks) == MOST_BLOCKS
    assert not last.blocks[-1].carrier


def test_r18_a_stop_to_a_toll_free_number_keeps_within_the_limit_too() -> None:
    toll_free = a_handling(sender_type=SenderType.TOLL_FREE)
    carriers = (a_block(), *blocks(MOST_BLOCKS - 1, carrier=True))
    stop = decided("STOP", carriers, handling=toll_free, sender=TOLL_FREE)
    assert places(stop) == [block.place for block in carriers]
    fits = decided("STOP", FULL, handling=toll_free, sender=TOLL_FREE)
    assert places(fits) == [a_place(), a_place(Scope.SENDER, target=TOLL_FREE, carrier=True)]


def test_r18_other_accounts_have_a_hundred_of_their_own() -> None:
    theirs = f"{OTHER_ACCOUNT}/{RECIPIENT}"
    folded = fold([a_command()], {theirs: FULL}, set(), scope=Scope.ACCOUNT, mark=MARK)
    assert folded.refused == {}
    assert list(folded.changed) == [ENTRY]


def test_what_is_refused_was_not_handled_and_may_come_again() -> None:
    command = a_command(scope=Scope.SENDER, sender="more")
    folded = fold([command], {ENTRY: FULL}, set(), scope=Scope.ACCOUNT, mark=MARK)
    assert (folded.handled, folded.changed, list(folded.refused)) == ((), {}, [0])


@pytest.mark.parametrize("before", [(), FULL])
def test_a_stop_that_cannot_be_decided_on_blocks_for_the_account(before: Blocks) -> None:
    stop = UnreadStop(
        "unread-0-1", ACCOUNT, RECIPIENT, ChannelGroup.SMS, LONG_CODE, Arrival(NOW_MS)
    )
    folded = fold([stop, stop], {ENTRY: before}, set(), scope=Scope.SENDER, mark=MARK)
    assert [block.place for block in folded.changed[ENTRY]] == [a_place()]
    sources = {event.cause.source for event in folded.events if isinstance(event, BlockChange)}
    assert sources == {SourceKind.UNREAD_STOP}
    assert not any(isinstance(event, ReplySend) for event in folded.events)


def test_r18_a_stop_to_a_block_that_a_command_made_is_the_first_keyword_and_is_answered() -> None:
    ours = a_block(kind=SourceKind.COMMAND)
    first = decided("STOP", (ours,))
    assert [type(event).__name__ for event in first.events] == [
        "BlockChange",
        "ReplySend",
        "OptOutNotification",
    ]
    (change,) = [event for event in first.events if isinstance(event, BlockChange)]
    assert (change.blocked, change.previous) == (True, True)
    kinds = [source.kind for source in first.blocks[0].sources]
    assert kinds == [SourceKind.COMMAND, SourceKind.KEYWORD]
    second = decided("STOP", first.blocks)
    assert [type(event).__name__ for event in second.events] == ["OptOutNotification"]
