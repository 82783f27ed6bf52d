"""R18 to R26 hold for all messages and commands, in any batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.blocks import Block, Blocks
from processor.core.brakes import Replies
from processor.core.events import BlockChange, Event, OptOutNotification, ReplySend
from processor.core.fold import Hit, Item, Reported, fold, handled_of, key_of
from processor.core.gate import ALLOWED, ERROR_CODE, Allowed, Refused, judge
from processor.core.identity import cause_of
from processor.core.merging import differs
from processor.core.messages import (
    Arrival,
    ConsentCommand,
    OptOutType,
    OutboundSend,
    PersonCommand,
    Scope,
    SenderType,
    UnreadStop,
    channel_group_of,
    entry_key,
    list_key,
)
from tests.builders import ACCOUNT, MARK, OTHER_ACCOUNT, OTHER_SERVICE, SERVICE, a_hit
from tests.strategies import BARE_RECIPIENTS, SENDERS, batches, histories, redelivered

STOP, START, HELP = OptOutType
scopes = st.sampled_from(Scope)


class Told(NamedTuple):
    """The results of a history."""

    lists: dict[str, Blocks]  # the entries with a block
    events: tuple[Event, ...]


def told(batches: Sequence[Sequence[Item]], scope: Scope) -> Told:
    lists: dict[str, Blocks] = {}
    seen: set[bytes] = set()
    replied: dict[bytes, Replies] = {}
    events: list[Event] = []
    for batch in batches:
        folded = fold(batch, lists, seen, replied=replied, scope=scope, mark=MARK)
        lists |= folded.changed
        replied |= folded.replied
        seen |= {one.id for one in folded.handled}
        events += folded.events
    return Told({key: blocks for key, blocks in lists.items() if blocks}, tuple(events))


class Step(NamedTuple):
    """One item, its events, and every entry after it."""

    item: Item
    events: tuple[Event, ...]
    lists: dict[str, Blocks]


def steps(items: Sequence[Item], scope: Scope) -> Iterator[Step]:
    lists: dict[str, Blocks] = {}
    replied: dict[bytes, Replies] = {}
    for item in items:
        folded = fold([item], lists, frozenset(), replied=replied, scope=scope, mark=MARK)
        lists = {**lists, **folded.changed}
        replied |= folded.replied
        yield Step(item, folded.events, lists)


def send_like(hit: Hit) -> OutboundSend:
    """A send from the sender that a message went to."""
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
    for key in {key_of(item) for item in items}:
        own = [item for item in items if key_of(item) == key]
        assert told([own], scope).lists.get(key) == whole.get(key)


# The gate


@given(histories(), scopes)
def test_r24_from_a_stop_to_a_start_every_send_of_its_sender_is_refused(
    items: list[Item], scope: Scope
) -> None:
    """An operator may also lift a block."""
    stopped: dict[str, list[OutboundSend]] = {}
    for item, _, lists in steps(items, scope):
        key = key_of(item)
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
            assert judge(send, lists.get(key_of(item), ())) == ALLOWED


@given(histories(), scopes)
def test_r19_a_start_that_took_effect_lets_its_sender_write(
    items: list[Item], scope: Scope
) -> None:
    for item, events, lists in steps(items, scope):
        for notification in events:
            if isinstance(notification, OptOutNotification) and notification.match.kind is START:
                assert isinstance(item, Hit)
                verdict = judge(send_like(item), lists.get(key_of(item), ()))
                assert (verdict == ALLOWED) is notification.effective


# Events


@given(histories(), scopes)
def test_r27_changes_alone_tell_the_block_list(items: list[Item], scope: Scope) -> None:
    """A change is emitted where the list changes, and only there."""
    standing: dict[str, dict[object, Block]] = {}
    for change in told([items], scope).events:
        if isinstance(change, BlockChange):
            on = list_key(change.recipient, change.channel_group)
            entry = standing.setdefault(entry_key(change.account_sid, on), {})
            before = entry.pop(change.place, None)
            assert change.previous is (before is not None)
            assert change.blocked is (change.block is not None)
            if change.block:
                assert before is None or differs(before, change.block)
                entry[change.place] = change.block
    lists = told([items], scope).lists
    assert _without_repeats({key: entry.values() for key, entry in standing.items()}) == (
        _without_repeats(lists)
    )


def _without_repeats(lists: Mapping[str, Iterable[Block]]) -> dict[str, dict[object, object]]:
    """The contents of the list, without the times of repeats."""
    return {
        key: {
            block.place: [(one.kind, one.change_id, one.since_ms) for one in block.sources]
            for block in blocks
        }
        for key, blocks in lists.items()
        if blocks
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


# A separate model, written from the rules.


class Cause(NamedTuple):
    """A cause of a block in the model."""

    id: str
    since_ms: int
    last_ms: int


Where = tuple[str, str]  # the blocked party, and its kind
Stands = dict[str, Cause]  # by "keyword" and "command"


def modelled(items: Sequence[Item], scope: Scope) -> dict[str, dict[Where, Stands]]:
    """Each entry's blocks by place, with every cause that is left."""
    entries: dict[str, dict[Where, Stands]] = {}
    for item in items:
        assert not isinstance(item, UnreadStop | Reported | PersonCommand)
        entry = entries.setdefault(key_of(item), {})
        if isinstance(item, Hit):
            _say(item, entry, scope)
            continue
        target = {"account": "", "service": item.service_sid, "sender": item.sender}[item.scope]
        place = (str(target), item.scope.value)
        assert item.arrival
        if item.blocked:
            _block(entry, place, "command", item.command_id, item.arrival)
        elif place in entry:
            lifted = [
                kind
                for kind, cause in entry[place].items()
                if _came_before(kind, cause, item.arrival, by="command")
            ]
            if item.reason or "keyword" not in lifted:
                _lift(entry, place, lifted)
    return {key: entry for key, entry in entries.items() if entry}


def _block(entry: dict[Where, Stands], place: Where, kind: str, id_: str, came: Arrival) -> bool:
    """Add a cause; return whether it is the first of its kind there."""
    stands = entry.setdefault(place, {})
    at_ms = came.appended_ms
    if there := stands.get(kind):
        stands[kind] = there._replace(last_ms=max(there.last_ms, at_ms))
        return False
    stands[kind] = Cause(id_, at_ms, at_ms)
    return True


def _lift(entry: dict[Where, Stands], place: Where, kinds: Iterable[str]) -> None:
    for kind in kinds:
        del entry[place][kind]
    if not entry[place]:
        del entry[place]


def _came_before(kind: str, cause: Cause, arrival: Arrival, *, by: str) -> bool:
    said_ms = min(arrival.appended_ms, arrival.first_ms or arrival.appended_ms)
    if kind != by:
        return said_ms - cause.last_ms > 1_000
    return said_ms == arrival.appended_ms or said_ms >= cause.last_ms


def _say(hit: Hit, entry: dict[Where, Stands], scope: Scope) -> None:
    sender, arrival = hit.message.sender, hit.message.arrival
    service = hit.handling.service_sid
    word = hit.message.body.lower()
    everywhere, pair, carrier = ("", "account"), (sender, "sender"), (sender, "carrier")
    if hit.match.kind is STOP:
        per_service = (service, "service") if service else pair
        place = {"account": everywhere, "service": per_service, "sender": pair}[scope]
        _block(entry, place, "keyword", hit.message.message_sid, arrival)
        network = hit.handling.sender_type is SenderType.TOLL_FREE and hit.country in ("US", "CA")
        if network and word == "stop":
            _block(entry, carrier, "keyword", hit.message.message_sid, arrival)
    elif hit.match.kind is START:
        if carrier in entry and word not in ("start", "unstop"):
            return
        for place in (everywhere, (str(service), "service"), pair, carrier):
            lifted = [
                kind
                for kind, cause in entry.get(place, {}).items()
                if _came_before(kind, cause, arrival, by="keyword")
                and (kind == "keyword" or word != "yes")
            ]
            if lifted:
                _lift(entry, place, lifted)


@given(histories(), scopes)
@example([a_hit("STOP"), a_hit("START", message_sid="SM2")], Scope.ACCOUNT)
def test_r18_to_r21_the_block_list_is_that_of_the_model(items: list[Item], scope: Scope) -> None:
    found = {
        key: {
            (block.target, "carrier" if block.carrier else block.scope.value): {
                source.kind.value: Cause(
                    cause_of(source.change_id), source.since_ms, source.last_ms
                )
                for source in block.sources
            }
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
        on = list_key(send.recipient, channel_group_of(send.recipient))
        key = entry_key(send.account_sid, on)
        covering = {
            cause.id
            for (target, of), stands in model.get(key, {}).items()
            for cause in stands.values()
            if target == {"account": "", "service": send.service_sid}.get(of, send.sender)
        }
        verdict = judge(send, lists.get(key, ()))
        if covering:
            assert isinstance(verdict, Refused)
            assert cause_of(verdict.block.change_id) in covering
        else:
            assert isinstance(verdict, Allowed)
            senders = {target for target, of in model.get(key, {}) if of in ("sender", "carrier")}
            assert set(verdict.except_from) == (senders if send.sender is None else set())


@pytest.mark.parametrize("scope", Scope)
def test_r22_an_item_that_was_seen_long_ago_is_as_good_as_absent(scope: Scope) -> None:
    stop, start = a_hit("STOP", message_sid="SM1"), a_hit("START", message_sid="SM2")
    folded = fold([stop, start], {}, {handled_of(start).id}, scope=scope, mark=MARK)
    assert folded.changed == fold([stop], {}, set(), scope=scope, mark=MARK).changed
