"""R36, R37: how long a reply is presumed lawful, and when no further reply is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from processor.cli.simulate import is_late
from processor.core.brakes import (
    CLOCKS_DIFFER_MS,
    MOST_REPLIES,
    WINDOW_MS,
    Reply,
    lately,
    with_reply,
)
from processor.core.events import BlockChange, OptOutNotification, ReplySend, ReplySent
from processor.core.fold import Folded, Hit, brake_for, fold, handled_of
from processor.core.identity import brake_of, reply_to
from processor.core.messages import Arrival, OptOutType, Scope, SenderType
from processor.core.policy import LateReply
from processor.wire.events import write_reply
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    MARK,
    NOW_MS,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
    WHATSAPP_RECIPIENT,
    a_block,
    a_command,
    a_config,
    a_handling,
    a_hit,
    a_reply,
    decided,
)

STOP, START, HELP = OptOutType
ALWAYS = a_handling(a_config(repeat_reply=True))
MINUTE_MS = 60_000


def hits(*bodies: str, every_ms: int = 0, **given: Any) -> list[Hit]:
    """Successive messages of the recipient."""
    return [
        a_hit(
            body,
            message_sid=f"SM{index:032}",
            arrival=Arrival(NOW_MS + index * every_ms),
            **given,
        )
        for index, body in enumerate(bodies)
    ]


def folded(*items: Hit) -> Folded:
    return fold(items, {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK)


def told(found: Folded) -> list[tuple[ReplySent, bool]]:
    """The origin of each message's answer, and whether a brake kept the answer back."""
    return [
        (event.reply_sent, event.braked)
        for event in found.events
        if isinstance(event, OptOutNotification)
    ]


SENT, BRAKED = (ReplySent.AOO, False), (ReplySent.NONE, True)


@pytest.mark.parametrize("body", ["HELP", "START"])
def test_r37_the_fifth_reply_of_a_kind_within_an_hour_is_not_sent(body: str) -> None:
    found = folded(*hits(*[body] * 6))
    assert told(found) == [*[SENT] * 4, *[BRAKED] * 2]
    assert sum(isinstance(event, ReplySend) for event in found.events) == 4


def test_r37_a_kind_has_its_own_brake() -> None:
    found = folded(*hits(*["HELP"] * 5, *["START"] * 5))
    assert told(found) == [*[SENT] * 4, BRAKED] * 2


@pytest.mark.parametrize("limit", [1, 2, MOST_REPLIES])
def test_r37_a_service_sets_its_limit(limit: int) -> None:
    handling = a_handling(a_config(reply_limit=limit))
    found = folded(*hits(*["HELP"] * (limit + 2), handling=handling))
    assert told(found) == [*[SENT] * limit, *[BRAKED] * 2]


def test_r37_a_stop_that_changed_the_list_is_never_braked() -> None:
    found = folded(*hits(*["STOP", "START"] * 6))
    answers = told(found)
    assert answers[::2] == [SENT] * 6
    assert answers[1::2] == [*[SENT] * 4, *[BRAKED] * 2]


def test_r37_a_braked_start_takes_effect() -> None:
    blocks = (a_block(),)
    after = decided("START", blocks, replied=4)
    change, notification = after.events
    assert isinstance(change, BlockChange)
    assert not change.blocked
    assert isinstance(notification, OptOutNotification)
    assert (notification.effective, notification.braked) == (True, True)
    assert after.blocks == ()


def test_r37_a_repeated_stop_is_braked_and_counts_those_that_changed_the_list() -> None:
    found = folded(*hits(*["STOP"] * 6, handling=ALWAYS))
    assert told(found) == [*[SENT] * 4, *[BRAKED] * 2]


@pytest.mark.parametrize("body", ["HELP", "STOP"])
def test_r37_where_no_reply_is_due_none_is_braked(body: str) -> None:
    notification = decided(body, (a_block(),), replied=9).events[-1]
    assert isinstance(notification, OptOutNotification)
    assert (notification.reply_sent, notification.braked) == (ReplySent.NONE, False)


@pytest.mark.parametrize(
    ("later_ms", "answers"),
    [(WINDOW_MS - 1, BRAKED), (WINDOW_MS, SENT), (-CLOCKS_DIFFER_MS, BRAKED)],
)
def test_r37_an_hour_is_counted_by_append_times(later_ms: int, answers: object) -> None:
    first = hits(*["HELP"] * 4)
    last = a_hit("HELP", message_sid="SMlast", arrival=Arrival(NOW_MS + later_ms))
    assert told(folded(*first, last))[-1] == answers


def test_r37_replies_leave_the_hour_one_by_one() -> None:
    found = folded(*hits(*["HELP"] * 9, every_ms=20 * MINUTE_MS))
    # Three in an hour: never four before one.
    assert told(found) == [SENT] * 9
    found = folded(*hits(*["HELP"] * 9, every_ms=12 * MINUTE_MS))
    # Five in an hour: the fifth finds four, and the sixth finds three, as the fifth was not sent.
    assert told(found) == [*[SENT] * 4, BRAKED, *[SENT] * 4]


def test_r37_a_batch_begins_with_what_was_replied_before_it() -> None:
    first = folded(*hits(*["HELP"] * 3))
    rest = hits(*["HELP"] * 5)[3:]
    after = fold(rest, {}, frozenset(), replied=first.replied, scope=Scope.ACCOUNT, mark=MARK)
    assert told(after) == [SENT, BRAKED]
    assert after.replied == folded(*hits(*["HELP"] * 5)).replied


def test_r37_a_message_delivered_again_is_counted_once() -> None:
    one = hits("HELP")
    assert folded(*one, *one).replied == folded(*one).replied
    assert folded(*one).replied == {
        brake_of(ACCOUNT, RECIPIENT, LONG_CODE, HELP, 0).id: (reply_to(handled_of(one[0])),)
    }


def test_r37_brakes_differ_by_account_recipient_sender_and_kind() -> None:
    brakes = {
        brake_of(ACCOUNT, RECIPIENT, LONG_CODE, HELP, 0).id,
        brake_of(OTHER_ACCOUNT, RECIPIENT, LONG_CODE, HELP, 0).id,
        brake_of(ACCOUNT, OTHER_RECIPIENT, LONG_CODE, HELP, 0).id,
        brake_of(ACCOUNT, WHATSAPP_RECIPIENT, LONG_CODE, HELP, 0).id,
        brake_of(ACCOUNT, RECIPIENT, OTHER_LONG_CODE, HELP, 0).id,
        brake_of(ACCOUNT, RECIPIENT, LONG_CODE, START, 0).id,
    }
    assert len(brakes) == 6
    assert {len(one) for one in brakes} == {10}


def test_r37_a_command_has_no_brake() -> None:
    assert brake_for(a_command()) is None


def test_r37_a_brake_remembers_the_latest_replies_in_any_order() -> None:
    ones = [Reply(NOW_MS + number, bytes(4)) for number in range(MOST_REPLIES + 5)]
    assert with_reply((), *ones) == with_reply(ones[:7], *reversed(ones)) == tuple(ones[5:])
    assert lately(ones, NOW_MS) == len(ones)
    assert with_reply(()) == ()


def test_r37_a_brake_forgets_what_no_message_can_find() -> None:
    old, new = Reply(NOW_MS, b"old!"), Reply(NOW_MS + WINDOW_MS + CLOCKS_DIFFER_MS, b"new!")
    assert with_reply((old,), new) == (new,)
    assert with_reply((old,), new._replace(at_ms=new.at_ms - 1)) != (new,)


# R18


@pytest.mark.parametrize("kind", [SenderType.SHORT_CODE, SenderType.LONG_CODE])
def test_r18_a_short_code_confirms_every_stop(kind: SenderType) -> None:
    handling = replace(a_handling(), sender_type=kind)
    notification = decided("STOP", (a_block(),), handling=handling).events[-1]
    assert isinstance(notification, OptOutNotification)
    answers = kind is SenderType.SHORT_CODE
    assert notification.reply_sent == (ReplySent.AOO if answers else ReplySent.NONE)


def test_r18_a_service_names_the_senders_that_confirm_every_stop() -> None:
    config = a_config(stop_when_blocked=frozenset({SenderType.LONG_CODE}))
    assert told(folded(*hits("STOP", "STOP", handling=a_handling(config)))) == [SENT, SENT]
    short_code = replace(a_handling(config), sender_type=SenderType.SHORT_CODE)
    assert told(folded(*hits("STOP", "STOP", handling=short_code))) == [
        SENT,
        (ReplySent.NONE, False),
    ]


# R36


@pytest.mark.parametrize(
    ("arrival", "since_ms"),
    [
        (Arrival(NOW_MS), NOW_MS),
        (Arrival(NOW_MS, NOW_MS - 5), NOW_MS - 5),
        (Arrival(NOW_MS, NOW_MS + 5), NOW_MS),  # a forged header
    ],
)
def test_r36_a_reply_is_presumed_lawful_for_five_minutes(arrival: Arrival, since_ms: int) -> None:
    hit = a_hit("STOP", arrival=arrival)
    assert a_reply(text="", message=hit.message).send_before_ms == since_ms + 5 * MINUTE_MS


def test_r36_a_reply_says_what_becomes_of_it_when_it_is_late() -> None:
    config = a_config(late_reply=LateReply.DROP)
    for handling, late in (
        (a_handling(), LateReply.SEND),
        (a_handling(config), LateReply.DROP),
    ):
        (reply,) = (
            event
            for event in decided("STOP", handling=handling).events
            if isinstance(event, ReplySend)
        )
        assert reply.late_reply is late


@pytest.mark.parametrize(("later_ms", "late"), [(5 * MINUTE_MS, False), (5 * MINUTE_MS + 1, True)])
def test_r36_the_sender_of_a_reply_finds_it_late(later_ms: int, late: bool) -> None:
    reply = json.loads(write_reply(a_reply(text="")))
    assert is_late(reply, NOW_MS + later_ms) is late
