"""R22, R23: a batch, in order, each item once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.blocks import Mark
from processor.core.events import change_id_of
from processor.core.fold import Folded, Hit, Item, fold, id_of, list_key_of
from processor.core.messages import Arrival, ChannelGroup, Scope
from tests.builders import (
    COMMAND,
    MARK,
    MESSAGE,
    NOW_MS,
    OTHER_RECIPIENT,
    RECIPIENT,
    WHATSAPP_RECIPIENT,
    WHATSAPP_SENDER,
    a_block,
    a_change,
    a_command,
    a_config,
    a_handling,
    a_hit,
    a_notification,
    a_place,
    a_reply,
    a_talk,
    the_block,
)


def folded(*items: Item, blocks: object = None, seen: frozenset[str] = frozenset()) -> Folded:
    stored = {RECIPIENT: (a_block(),)} if blocks == "blocked" else {}
    return fold(items, stored, seen, scope=Scope.ACCOUNT, mark=MARK)


STOP_EVENTS = (a_change(), a_reply(text="standard STOP"), a_notification())


def test_a_batch_comes_to_its_events_its_changed_entries_and_its_ids() -> None:
    assert folded(a_hit("STOP")) == Folded((STOP_EVENTS,), {RECIPIENT: (the_block(),)}, (MESSAGE,))
    assert folded(a_hit("STOP")).events == STOP_EVENTS


def test_an_empty_batch_comes_to_nothing() -> None:
    assert folded() == Folded((), {}, ())


def test_r22_a_redelivered_message_has_no_effect_within_a_batch() -> None:
    once, twice = folded(a_hit("STOP")), folded(a_hit("STOP"), a_hit("STOP"))
    assert twice == replace(once, decisions=(STOP_EVENTS, ()))


def test_r22_a_redelivered_message_has_no_effect_in_a_later_batch() -> None:
    """Not even where a START came between."""
    assert folded(a_hit("STOP"), seen=frozenset({MESSAGE})) == Folded(((),), {}, ())


def test_r22_a_redelivered_command_has_no_effect() -> None:
    block, lift = a_command(), a_command(command_id="CC2", blocked=False)
    result = folded(block, lift, block)
    assert (result.changed, result.handled) == ({RECIPIENT: ()}, (id_of(block), id_of(lift)))
    assert result.decisions[2] == ()


def test_r22_what_was_an_ordinary_message_stays_one_when_it_comes_again() -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True))
    yes = a_hit("yes", handling=handling, message_sid="SM1")
    stop = a_hit("STOP", handling=handling, message_sid="SM2")
    result = folded(yes, stop, yes)
    assert ([len(events) for events in result.decisions], list(result.changed)) == (
        [0, 3, 0],
        [RECIPIENT],
    )


def test_r23_effects_follow_the_order_of_the_messages() -> None:
    assert a_talk("STOP", "START").places == []
    assert a_talk("START", "STOP").places == [a_place()]
    assert a_talk("STOP", "START", "STOP").places == [a_place()]


def test_r23_operators_changes_take_their_place_by_arrival() -> None:
    stop, lift = a_hit("STOP"), a_command(blocked=False, arrival=Arrival(NOW_MS + 1_001))
    assert folded(stop, lift).changed == {RECIPIENT: ()}
    assert folded(lift, stop).changed == {RECIPIENT: (the_block(),)}
    assert folded(lift, stop).decisions[0] == ()


def test_r25_an_entry_that_ends_as_it_began_is_written_with_the_mark_of_its_changes() -> None:
    result = folded(a_hit("STOP", message_sid="SM1"), a_hit("START", message_sid="SM2"))
    assert (result.changed, len(result.events)) == ({RECIPIENT: ()}, 6)


def test_an_entry_whose_block_was_renewed_is_written() -> None:
    start = a_hit("START", message_sid="SM0")
    result = folded(start, a_hit("STOP"), blocks="blocked")
    assert result.changed == {RECIPIENT: (the_block(),)}


def test_an_entry_that_lost_its_last_block_is_empty() -> None:
    assert folded(a_hit("START"), blocks="blocked").changed == {RECIPIENT: ()}


def test_a_message_that_changes_nothing_is_handled_all_the_same() -> None:
    assert folded(a_hit("STOP"), blocks="blocked").changed == {}
    assert folded(a_hit("STOP"), blocks="blocked").handled == (MESSAGE,)


def test_recipients_and_channel_groups_do_not_meet() -> None:
    sms = a_hit("STOP", message_sid="SM1")
    other = a_hit("STOP", message_sid="SM2", recipient=OTHER_RECIPIENT)
    whatsapp = a_hit(
        "START", message_sid="SM3", recipient=WHATSAPP_RECIPIENT, sender=WHATSAPP_SENDER
    )
    result = folded(sms, other, whatsapp)
    assert list(result.changed) == [RECIPIENT, OTHER_RECIPIENT]


@pytest.mark.parametrize(
    ("item", "key", "id_"),
    [
        (a_hit("STOP"), RECIPIENT, MESSAGE),
        (a_hit("STOP", recipient=f"rcs:{RECIPIENT}"), RECIPIENT, MESSAGE),
        (a_hit("STOP", recipient=WHATSAPP_RECIPIENT), WHATSAPP_RECIPIENT, MESSAGE),
        (a_command(), RECIPIENT, f"command:{COMMAND}"),
        (a_command(channel_group=ChannelGroup.WHATSAPP), WHATSAPP_RECIPIENT, f"command:{COMMAND}"),
    ],
)
def test_an_item_has_one_entry_and_one_id(item: Item, key: str, id_: str) -> None:
    assert (list_key_of(item), id_of(item)) == (key, id_)


def test_every_change_of_a_batch_carries_its_mark() -> None:
    mark = Mark(5, 6)
    result = fold([a_hit("STOP")], {}, frozenset(), scope=Scope.ACCOUNT, mark=mark)
    assert result.changed == {RECIPIENT: (the_block(mark=mark),)}
    assert result.events[0] == a_change(mark=mark)


def test_a_replay_makes_the_same_ids() -> None:
    hit = a_hit("STOP")
    assert isinstance(hit, Hit)
    assert folded(hit).events == folded(hit).events
    assert change_id_of(MESSAGE, a_place()) == f"{MESSAGE}.account"
