"""R22, R23: a batch, in order, each item once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from processor.core.blocks import Mark
from processor.core.events import (
    BlockChange,
    Event,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.fold import Folded, Hit, Item, brake_for, fold, handled_of, key_of
from processor.core.identity import change_id_of, reply_to
from processor.core.messages import Arrival, ChannelGroup, Scope
from processor.core.services import Webhook
from processor.wire.cloud_events import CloudEvents
from processor.wire.events import write_delivery
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    MARK,
    MESSAGE,
    NOW_MS,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
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


def folded(*items: Item, blocks: object = None, seen: frozenset[bytes] = frozenset()) -> Folded:
    stored = {ENTRY: (a_block(),)} if blocks == "blocked" else {}
    return fold(items, stored, seen, scope=Scope.ACCOUNT, mark=MARK)


TOLD = a_handling(webhook=Webhook("https://example.com/told"))
STOP_EVENTS = (a_change(), a_reply(text="standard STOP"), a_notification())


def test_a_batch_comes_to_its_events_its_changed_entries_and_its_ids() -> None:
    stop = a_hit("STOP")
    brake = brake_for(stop)
    assert brake
    assert folded(stop) == Folded(
        (STOP_EVENTS,),
        {ENTRY: (the_block(),)},
        (handled_of(stop),),
        replied={brake.id: (reply_to(handled_of(stop)),)},
    )
    assert folded(stop).events == STOP_EVENTS


def test_an_empty_batch_comes_to_nothing() -> None:
    assert folded() == Folded((), {}, ())


def test_r22_a_redelivered_message_has_no_effect_within_a_batch() -> None:
    once, twice = folded(a_hit("STOP")), folded(a_hit("STOP"), a_hit("STOP"))
    assert twice == replace(once, decisions=(STOP_EVENTS, ()))


def test_r22_a_redelivered_message_has_no_effect_in_a_later_batch() -> None:
    """Not even with a START in between."""
    stop = a_hit("STOP")
    assert folded(stop, seen=frozenset({handled_of(stop).id})) == Folded(((),), {}, ())


def test_r22_a_redelivered_command_has_no_effect() -> None:
    block, lift = a_command(), a_command(command_id="CC2", blocked=False)
    result = folded(block, lift, block)
    assert (result.changed, result.handled) == ({ENTRY: ()}, (handled_of(block), handled_of(lift)))
    assert result.decisions[2] == ()


def test_r22_what_was_an_ordinary_message_stays_one_when_it_comes_again() -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True))
    yes = a_hit("yes", handling=handling, message_sid="SM1")
    stop = a_hit("STOP", handling=handling, message_sid="SM2")
    result = folded(yes, stop, yes)
    assert ([len(events) for events in result.decisions], list(result.changed)) == (
        [0, 3, 0],
        [ENTRY],
    )


def test_r23_effects_follow_the_order_of_the_messages() -> None:
    assert a_talk("STOP", "START").places == []
    assert a_talk("START", "STOP").places == [a_place()]
    assert a_talk("STOP", "START", "STOP").places == [a_place()]


def test_r23_operators_changes_take_their_place_by_arrival() -> None:
    stop, lift = a_hit("STOP"), a_command(blocked=False, arrival=Arrival(NOW_MS + 1_001))
    assert folded(stop, lift).changed == {ENTRY: ()}
    assert folded(lift, stop).changed == {ENTRY: (the_block(),)}
    assert folded(lift, stop).decisions[0] == ()


def test_r25_an_entry_that_ends_as_it_began_is_written_with_the_mark_of_its_changes() -> None:
    result = folded(a_hit("STOP", message_sid="SM1"), a_hit("START", message_sid="SM2"))
    assert (result.changed, len(result.events)) == ({ENTRY: ()}, 6)


def test_an_entry_whose_block_was_renewed_is_written() -> None:
    start = a_hit("START", message_sid="SM0")
    result = folded(start, a_hit("STOP"), blocks="blocked")
    assert result.changed == {ENTRY: (the_block(),)}


def test_an_entry_that_lost_its_last_block_is_empty() -> None:
    assert folded(a_hit("START"), blocks="blocked").changed == {ENTRY: ()}


def test_a_message_that_changes_nothing_is_handled_all_the_same() -> None:
    stop = a_hit("HELP")
    assert folded(stop, blocks="blocked").changed == {}
    assert folded(stop, blocks="blocked").handled == (handled_of(stop),)


def test_r19_a_stop_that_comes_again_renews_its_block_without_a_change() -> None:
    """A START that was sent earlier must not lift it."""
    result = folded(a_hit("STOP"), blocks="blocked")
    (source,) = a_block().sources
    assert result.changed == {ENTRY: (a_block(sources=(replace(source, last_ms=NOW_MS),)),)}
    assert [type(event).__name__ for event in result.events] == ["OptOutNotification"]


def test_recipients_and_channel_groups_do_not_meet() -> None:
    sms = a_hit("STOP", message_sid="SM1")
    other = a_hit("STOP", message_sid="SM2", recipient=OTHER_RECIPIENT)
    whatsapp = a_hit(
        "START", message_sid="SM3", recipient=WHATSAPP_RECIPIENT, sender=WHATSAPP_SENDER
    )
    result = folded(sms, other, whatsapp)
    assert list(result.changed) == [ENTRY, f"{ACCOUNT}/{OTHER_RECIPIENT}"]


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (a_hit("STOP"), ENTRY),
        (a_hit("STOP", recipient=f"rcs:{RECIPIENT}"), ENTRY),
        (a_hit("STOP", recipient=WHATSAPP_RECIPIENT), f"{ACCOUNT}/{WHATSAPP_RECIPIENT}"),
        (a_hit("STOP", account_sid=OTHER_ACCOUNT), f"{OTHER_ACCOUNT}/{RECIPIENT}"),
        (a_command(), ENTRY),
        (a_command(channel_group=ChannelGroup.WHATSAPP), f"{ACCOUNT}/{WHATSAPP_RECIPIENT}"),
    ],
)
def test_an_item_has_one_entry(item: Item, key: str) -> None:
    assert key_of(item) == key


def test_r22_two_messages_are_the_same_where_account_sid_and_both_addresses_are() -> None:
    """Messages with the same sid from other accounts or recipients are not duplicates."""
    hits: list[Item] = [
        a_hit("STOP"),
        a_hit("STOP", account_sid=OTHER_ACCOUNT),
        a_hit("STOP", message_sid="SM2"),
        a_hit("STOP", recipient=OTHER_RECIPIENT),
        a_hit("STOP", sender=OTHER_LONG_CODE),
        a_command(command_id=MESSAGE),
        a_command(command_id=MESSAGE, account_sid=OTHER_ACCOUNT),
        a_command(command_id=f"command:{MESSAGE}"),
    ]
    assert len({handled_of(hit).id for hit in hits}) == len(hits)
    again = a_hit("stop", arrival=Arrival(NOW_MS + 5))
    assert handled_of(again).id == handled_of(a_hit("STOP")).id


def test_r22_no_id_made_of_a_message_is_another_ones() -> None:
    """The same sid from another account, or of another recipient or sender."""
    hits = [
        a_hit("STOP", handling=TOLD, **other)
        for other in (
            {},
            {"account_sid": OTHER_ACCOUNT},
            {"recipient": OTHER_RECIPIENT},
            {"sender": OTHER_LONG_CODE},
        )
    ]
    ids = [made for hit in hits for event in folded(hit).events for made in _ids_of(event)]
    assert len(ids) == 4 * 7
    assert len(set(ids)) == 4 * 5  # a change's and a delivery's id is its CloudEvent's, too


def _ids_of(event: Event) -> list[str]:
    (ce_id,) = [value for name, value in CloudEvents("urn:x").of(event) if name == "ce_id"]
    ids = [f"ce:{(ce_id or b'').decode()}"]
    match event:
        case BlockChange():
            ids.append(f"ce:{event.change_id}")
        case ReplySend():
            ids.append(event.reply_sid)
        case OptOutNotification() | SuspectedOptOut():
            pass
        case WebhookDelivery():
            ids.append("ce:" + json.loads(write_delivery(event))["delivery_id"])
    return ids


def test_every_change_of_a_batch_carries_its_mark() -> None:
    mark = Mark(5, 6)
    result = fold([a_hit("STOP")], {}, frozenset(), scope=Scope.ACCOUNT, mark=mark)
    assert result.changed == {ENTRY: (the_block(mark=mark),)}
    assert result.events[0] == a_change(mark=mark)


def test_a_replay_makes_the_same_ids() -> None:
    hit = a_hit("STOP")
    assert isinstance(hit, Hit)
    assert folded(hit).events == folded(hit).events
    change_id = change_id_of(MESSAGE, a_place(), ACCOUNT, RECIPIENT, LONG_CODE)
    assert change_id == f"{MESSAGE}.a.{change_id[-13:]}"
