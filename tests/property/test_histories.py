"""R18 to R26: whatever recipients and operators say, in whatever batches it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.blocks import Blocks
from processor.core.events import BlockChange, Event, OptOutNotification, ReplySend
from processor.core.fold import Hit, Item, fold, id_of, list_key_of
from processor.core.gate import ALLOWED, ERROR_CODE, Refused, judge
from processor.core.messages import (
    Arrival,
    ConsentCommand,
    OptOutType,
    OutboundSend,
    Scope,
    SenderType,
    UnreadStop,
    channel_group_of,
    list_key,
)
from tests.builders import ACCOUNT, MARK, OTHER_ACCOUNT, OTHER_SERVICE, SERVICE, a_hit
from tests.strategies import BARE_RECIPIENTS, SENDERS, batches, histories, redelivered

STOP, START, HELP = OptOutType
scopes = st.sampled_from(Scope)


class Told(NamedTuple):
    """What a history came to."""

    lists: dict[str, Blocks]  # the entries that hold a block
    events: tuple[Event, ...]


def told(batches: Sequence[Sequence[Item]], scope: Scope) -> Told:
    lists: dict[str, Blocks] = {}
    seen: set[str] = set()
    events: list[Event] = []
    for batch in batches:
        folded = fold(batch, lists, seen, scope=scope, mark=MARK)
        lists |= folded.changed
        seen |= set(folded.handled)
        events += folded.events
    return Told({key: blocks for key, blocks in lists.items() if blocks}, tuple(events))


class Step(NamedTuple):
    """One item, what it emitted, and every entry after it."""

    item: Item
    events: tuple[Event, ...]
    lists: dict[str, Blocks]


def steps(items: Sequence[Item], scope: Scope) -> Iterator[Step]:
    lists: dict[str, Blocks] = {}
    for item in items:
        folded = fold([item], lists, frozenset(), scope=scope, mark=MARK)
        lists = {**lists, **folded.changed}
        yield Step(item, folded.events, lists)


def send_like(hit: Hit) -> OutboundSend:
    """A send from the sender that a message was texted to."""
    return OutboundSend(
        "SM", hit.message.account_sid, hit.handling.service_sid, hit.message.sender, "+1"
    )


# Batches and redelivery


@given(st.data(), histories(), scopes)
def test_r23_batches_may_end_anywhere(data: st.DataObject, items: list[Item], scope: Scope) -> None:
    assert told(data.draw(batches(items)), scope) == told([items], scope)


@given(st.data(), histories(), scopes)
def test_r22_redelivery_changes_nothing(
    data: st.DataObject, items: list[Item], scope: Scope
) -> None:
    again = data.draw(redelivered(items))
    assert told(data.draw(batches(again)), scope) == told([items], scope)


@given(histories(), scopes)
def test_r23_recipients_do_not_touch_each_other(items: list[Item], scope: Scope) -> None:
    whole = told([items], scope).lists
    for key in {list_key_of(item) for item in items}:
        own = [item for item in items if list_key_of(item) == key]
        assert told([own], scope).lists.get(key) == whole.get(key)


# The gate


@given(histories(), scopes)
def test_r24_from_a_stop_to_a_start_every_send_of_its_sender_is_refused(
    items: list[Item], scope: Scope
) -> None:
    """What lifts a block may also be an operator."""
    stopped: dict[str, list[OutboundSend]] = {}
    for item, _, lists in steps(items, scope):
        key = list_key_of(item)
        if isinstance(item, Hit):
            if item.match.kind is STOP:
                stopped.setdefault(key, []).append(send_like(item))
            lifts = item.match.kind is START
        else:
            lifts = isinstance(item, ConsentCommand) and not item.blocked
        if lifts:
            stopped.pop(key, None)
        for recipient, sends in stopped.items():
            for send in sends:
                assert isinstance(judge(send, lists.get(recipient, ())), Refused)
    assert ERROR_CODE == 21610


@given(histories(), scopes)
def test_r24_no_send_but_the_stop_confirmation_reaches_a_blocked_recipient(
    items: list[Item], scope: Scope
) -> None:
    for item, events, lists in steps(items, scope):
        for reply in events:
            if not isinstance(reply, ReplySend) or reply.kind is STOP:
                continue
            assert isinstance(item, Hit)
            policy = item.handling.policy
            assert policy is not None
            if reply.kind is HELP and item.handling.sender_type in policy.config.help_when_blocked:
                continue
            send = replace(send_like(item), sender=reply.message.sender)
            assert judge(send, lists.get(list_key_of(item), ())) == ALLOWED


@given(histories(), scopes)
def test_r19_a_start_that_took_effect_lets_its_sender_write(
    items: list[Item], scope: Scope
) -> None:
    for item, events, lists in steps(items, scope):
        for notification in events:
            if isinstance(notification, OptOutNotification) and notification.match.kind is START:
                assert isinstance(item, Hit)
                verdict = judge(send_like(item), lists.get(list_key_of(item), ()))
                assert (verdict == ALLOWED) is notification.effective


# What is emitted


@given(histories(), scopes)
def test_r27_changes_alone_tell_the_block_list(items: list[Item], scope: Scope) -> None:
    """A change is emitted where the list changes, and only there."""
    standing: dict[str, dict[object, str]] = {}
    for change in told([items], scope).events:
        if isinstance(change, BlockChange):
            entry = standing.setdefault(list_key(change.recipient, change.channel_group), {})
            assert change.previous is (change.place in entry)
            taken_over = change.blocked and change.cause.kind is STOP
            assert change.previous is not change.blocked or taken_over
            if change.blocked:
                entry[change.place] = change.change_id
            else:
                del entry[change.place]
    lists = told([items], scope).lists
    assert {key: entry for key, entry in standing.items() if entry} == {
        key: {block.place: block.change_id for block in blocks} for key, blocks in lists.items()
    }


@given(histories(), scopes)
def test_r27_every_match_is_notified_once_and_answered_at_most_once(
    items: list[Item], scope: Scope
) -> None:
    for item, events, _ in steps(items, scope):
        kinds = [type(event) for event in events]
        replies = kinds.count(ReplySend)
        if not isinstance(item, Hit):
            assert set(kinds) <= {BlockChange}
        elif events:
            assert kinds == sorted(kinds, key=[BlockChange, ReplySend, OptOutNotification].index)
            (notification,) = (e for e in events if isinstance(e, OptOutNotification))
            assert replies == (notification.reply_sent in ("aoo", "default"))
        else:
            assert item.match.key == "yes"


@given(histories(), scopes)
def test_change_ids_are_never_used_twice(items: list[Item], scope: Scope) -> None:
    events = told([items], scope).events
    ids = [event.change_id for event in events if isinstance(event, BlockChange)]
    assert len(ids) == len(set(ids))


# A model of its own, written from the rules


class Stands(NamedTuple):
    """A block of the model."""

    cause: str
    since_ms: int
    by_keyword: bool


Where = tuple[str, str, str]  # account, who may not write, of which kind


def modelled(items: Sequence[Item], scope: Scope) -> dict[str, dict[Where, str]]:
    """Each entry's blocks by place, to what caused them."""
    entries: dict[str, dict[Where, Stands]] = {}
    for item in items:
        assert not isinstance(item, UnreadStop)
        entry = entries.setdefault(list_key_of(item), {})
        if isinstance(item, Hit):
            _say(item, entry, scope)
            continue
        target = {"account": "", "service": item.service_sid, "sender": item.sender}[item.scope]
        place = (item.account_sid, str(target), item.scope.value)
        assert item.arrival
        if item.blocked:
            new = Stands(item.command_id, item.arrival.appended_ms, by_keyword=False)
            entry.setdefault(place, new)
        elif place in entry and _came_before(entry[place], item.arrival, by_keyword=False):
            del entry[place]
    return {
        key: {place: block.cause for place, block in entry.items()}
        for key, entry in entries.items()
        if entry
    }


def _came_before(block: Stands, arrival: Arrival, *, by_keyword: bool) -> bool:
    said_ms = min(arrival.appended_ms, arrival.first_ms or arrival.appended_ms)
    if block.by_keyword != by_keyword:
        return said_ms - block.since_ms > 1_000
    return said_ms == arrival.appended_ms or said_ms >= block.since_ms


def _say(hit: Hit, entry: dict[Where, Stands], scope: Scope) -> None:
    account, sender = hit.message.account_sid, hit.message.sender
    service = hit.handling.service_sid
    word = hit.message.body.lower()
    everywhere, pair, carrier = (account, "", "account"), (account, sender, "sender"), "carrier"
    if hit.match.kind is STOP:
        per_service = (account, service, "service") if service else pair
        new = Stands(hit.message.message_sid, hit.message.arrival.appended_ms, by_keyword=True)
        place = {"account": everywhere, "service": per_service, "sender": pair}[scope]
        if place not in entry or not entry[place].by_keyword:
            entry[place] = new
        network = hit.handling.sender_type is SenderType.TOLL_FREE and hit.country in ("US", "CA")
        if network and word == "stop":
            entry.setdefault((account, sender, carrier), new)
    elif hit.match.kind is START:
        if (account, sender, carrier) in entry and word not in ("start", "unstop"):
            return
        service_place = (account, str(service), "service")
        for place in (everywhere, service_place, pair, (account, sender, carrier)):
            if (
                (block := entry.get(place))
                and _came_before(block, hit.message.arrival, by_keyword=True)
                and (block.by_keyword or word != "yes")
            ):
                del entry[place]


@given(histories(), scopes)
@example([a_hit("STOP"), a_hit("START", message_sid="SM2")], Scope.ACCOUNT)
def test_r18_to_r21_the_block_list_is_that_of_the_model(items: list[Item], scope: Scope) -> None:
    found = {
        key: {
            (
                block.account_sid,
                block.target,
                "carrier" if block.carrier else block.scope.value,
            ): block.change_id.rpartition(".")[0]
            for block in blocks
        }
        for key, blocks in told([items], scope).lists.items()
    }
    assert found == modelled(items, scope)


EVERY_SEND = [
    OutboundSend("SM", account, service, sender, prefix + recipient)
    for account in (ACCOUNT, OTHER_ACCOUNT)
    for service in (None, SERVICE, OTHER_SERVICE)
    for sender in (None, *SENDERS)
    for prefix in ("", "whatsapp:")
    for recipient in BARE_RECIPIENTS
]


@given(histories(), scopes)
def test_r21_the_gate_refuses_what_the_model_covers_and_nothing_else(
    items: list[Item], scope: Scope
) -> None:
    lists, model = told([items], scope).lists, modelled(items, scope)
    for send in EVERY_SEND:
        key = list_key(send.recipient, channel_group_of(send.recipient))
        covering = {
            cause
            for (account, target, of), cause in model.get(key, {}).items()
            if account == send.account_sid
            and target == {"account": "", "service": send.service_sid}.get(of, send.sender)
        }
        verdict = judge(send, lists.get(key, ()))
        if covering:
            assert isinstance(verdict, Refused)
            assert verdict.block.change_id.rpartition(".")[0] in covering
        else:
            assert verdict == ALLOWED


@pytest.mark.parametrize("scope", Scope)
def test_r22_an_item_that_was_seen_long_ago_is_as_good_as_absent(scope: Scope) -> None:
    stop, start = a_hit("STOP", message_sid="SM1"), a_hit("START", message_sid="SM2")
    folded = fold([stop, start], {}, {id_of(start)}, scope=scope, mark=MARK)
    assert folded.changed == fold([stop], {}, set(), scope=scope, mark=MARK).changed
