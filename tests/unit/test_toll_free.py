"""R20: the toll-free network blocks and unblocks on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from processor.core.blocks import Place
from processor.core.events import BlockChange, OptOutNotification, ReplySend, ReplySent
from processor.core.gate import ALLOWED, Allowed, Refused, judge
from processor.core.messages import OptOutType, Scope, SenderType
from processor.core.policy import MatchMode
from processor.core.services import Handling
from tests.builders import (
    LONG_CODE,
    OTHER_TOLL_FREE,
    TOLL_FREE,
    Decided,
    Talk,
    a_block,
    a_cause,
    a_change,
    a_config,
    a_handling,
    a_match,
    a_notification,
    a_place,
    a_reply,
    a_send,
    a_talk,
    an_inbound,
    decided,
    default_handling,
    sets,
    the_block,
)

START = OptOutType.START
NONE, AOO, CARRIER = ReplySent.NONE, ReplySent.AOO, ReplySent.CARRIER
CONFIG = a_config(
    standard=sets(
        "standard",
        stop="stop, cancel, end, stopall",
        start="start, unstop, yes",
        help="help",
    )
)
AOO_HANDLING = a_handling(CONFIG, sender_type=SenderType.TOLL_FREE)
DEFAULT = default_handling(sender_type=SenderType.TOLL_FREE)
THE_CARRIER = a_place(Scope.SENDER, target=TOLL_FREE, carrier=True)


def the_place(scope: Scope) -> Place:
    return a_place(scope, target=TOLL_FREE) if scope is Scope.SENDER else a_place(scope)


def talk(*bodies: str, **given: Any) -> Talk:
    return a_talk(*bodies, **{"sender": TOLL_FREE, "handling": AOO_HANDLING, **given})


class Outcome(NamedTuple):
    """The effect of the last message of a conversation."""

    ours: bool  # whether our block exists afterwards
    carrier: bool  # whether the network's does
    changes: int
    reply_sent: ReplySent
    effective: bool = True


def outcome(talk: Talk, scope: Scope) -> Outcome:
    *events, notification = talk.decisions[-1]
    assert isinstance(notification, OptOutNotification)
    replies = [event for event in events if isinstance(event, ReplySend)]
    assert len(replies) == (notification.reply_sent in (AOO, ReplySent.DEFAULT))
    return Outcome(
        the_place(scope) in talk.places,
        THE_CARRIER in talk.places,
        sum(isinstance(event, BlockChange) for event in events),
        notification.reply_sent,
        notification.effective,
    )


TABLE = [
    (["stop"], Outcome(True, True, 2, CARRIER)),
    (["cancel"], Outcome(True, False, 1, AOO)),
    (["Stop!"], Outcome(True, False, 1, AOO)),
    (["start"], Outcome(False, False, 0, AOO)),
    (["yes"], Outcome(False, False, 0, AOO)),
    (["help"], Outcome(False, False, 0, AOO)),
    (["cancel", "yes"], Outcome(False, False, 1, AOO)),
    (["cancel", "start"], Outcome(False, False, 1, AOO)),
    (["Stop!", "yes"], Outcome(False, False, 1, AOO)),
    (["Stop!", "unstop"], Outcome(False, False, 1, AOO)),
    (["stop", "yes"], Outcome(True, True, 0, NONE, effective=False)),
    (["stop", "alta"], Outcome(True, True, 0, NONE, effective=False)),
    (["stop", "start"], Outcome(False, False, 2, AOO)),
    (["stop", "unstop"], Outcome(False, False, 2, AOO)),
    (["stop", "yes", "start"], Outcome(False, False, 2, AOO)),
    (["stop", "yes", "yes"], Outcome(True, True, 0, NONE, effective=False)),
    (["stop", "start", "yes"], Outcome(False, False, 0, AOO)),
    (["stop", "start", "cancel", "yes"], Outcome(False, False, 1, AOO)),
    (["stop", "cancel"], Outcome(True, True, 0, NONE)),
    (["stop", "Stop!"], Outcome(True, True, 0, NONE)),
    (["stop", "help"], Outcome(True, True, 0, NONE)),
    (["cancel", "cancel"], Outcome(True, False, 0, NONE)),
    (["cancel", "stop"], Outcome(True, True, 1, CARRIER)),
    (["Stop!", "stop"], Outcome(True, True, 1, CARRIER)),
    (["cancel", "stop", "yes"], Outcome(True, True, 0, NONE, effective=False)),
    (["cancel", "stop", "yes", "start"], Outcome(False, False, 2, AOO)),
    (["stop", "cancel", "yes"], Outcome(True, True, 0, NONE, effective=False)),
    (["stop", "start", "stop"], Outcome(True, True, 2, CARRIER)),
]
ELSEWHERE = [
    (["stop"], Outcome(True, False, 1, AOO)),
    (["stop", "stop"], Outcome(True, False, 0, NONE)),
    (["stop", "yes"], Outcome(False, False, 1, AOO)),
    (["stop", "start"], Outcome(False, False, 1, AOO)),
    (["cancel", "stop"], Outcome(True, False, 0, NONE)),
    (["cancel", "stop", "yes"], Outcome(False, False, 1, AOO)),
]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("country", ["US", "CA"])
@pytest.mark.parametrize(("bodies", "expected"), TABLE)
def test_r20_in_us_and_canada_the_network_acts_too(
    bodies: list[str], expected: Outcome, country: str, scope: Scope
) -> None:
    assert outcome(talk(*bodies, country=country, scope=scope), scope) == expected


@pytest.mark.parametrize("country", ["JM", "BS", "MX", None])
@pytest.mark.parametrize(("bodies", "expected"), ELSEWHERE)
def test_r20_elsewhere_a_toll_free_number_is_like_any_other(
    bodies: list[str], expected: Outcome, country: str | None
) -> None:
    """The Caribbean shares +1, but not the toll-free network."""
    assert outcome(talk(*bodies, country=country), Scope.ACCOUNT) == expected


@pytest.mark.parametrize("sender_type", [t for t in SenderType if t is not SenderType.TOLL_FREE])
@pytest.mark.parametrize(("bodies", "expected"), ELSEWHERE)
def test_r20_other_senders_have_no_such_network(
    bodies: list[str], expected: Outcome, sender_type: SenderType
) -> None:
    config = replace(CONFIG, stop_when_blocked=frozenset())
    handling = a_handling(config, sender_type=sender_type)
    assert outcome(talk(*bodies, handling=handling), Scope.ACCOUNT) == expected


@pytest.mark.parametrize(("bodies", "expected"), [row for row in TABLE if "alta" not in row[0]])
def test_r20_the_network_does_not_ask_whose_configuration_it_is(
    bodies: list[str], expected: Outcome
) -> None:
    reply_sent = ReplySent.DEFAULT if expected.reply_sent is AOO else expected.reply_sent
    conversation = talk(*bodies, handling=DEFAULT)
    assert outcome(conversation, Scope.ACCOUNT) == expected._replace(reply_sent=reply_sent)


@pytest.mark.parametrize("body", ["stop", "STOP", "Stop", " stop \n"])
def test_r20_the_network_knows_the_bare_word_in_any_case(body: str) -> None:
    assert outcome(talk(body), Scope.ACCOUNT) == Outcome(True, True, 2, CARRIER)


@pytest.mark.parametrize(
    "body",
    [
        "Stop!",
        "stop.",
        '"stop"',
        "stop 🛑",
        "s\u200btop",
        "STÓP",
        "ЅТОР",
        "ＳＴＯＰ",
        "end",
        "stop all",
        "baja",
    ],
)
def test_r20_the_network_knows_nothing_else(body: str) -> None:
    assert outcome(talk(body), Scope.ACCOUNT) == Outcome(True, False, 1, AOO)


def test_r20_stop_blocks_twice_and_our_reply_is_not_sent() -> None:
    message = an_inbound(sender=TOLL_FREE)
    assert decided("STOP", handling=AOO_HANDLING, sender=TOLL_FREE) == Decided(
        (the_block(sender=TOLL_FREE), the_block(THE_CARRIER, sender=TOLL_FREE)),
        (
            a_change(sender=TOLL_FREE),
            a_change(THE_CARRIER, sender=TOLL_FREE),
            a_notification(message=message, reply_sent=CARRIER),
        ),
    )


def test_r20_the_two_blocks_of_one_stop_are_two_changes_of_their_own() -> None:
    decision = decided("STOP", handling=AOO_HANDLING, sender=TOLL_FREE, scope=Scope.SENDER)
    ids = [event.change_id for event in decision.events if isinstance(event, BlockChange)]
    letters = [id_.removeprefix(an_inbound().message_sid)[:3] for id_ in ids]
    assert letters == [".s.", ".c."]


def test_r20_start_lifts_both_and_our_reply_is_sent_beside_the_carriers() -> None:
    message = an_inbound("START", sender=TOLL_FREE)
    cause = a_cause(START, "start", TOLL_FREE)
    blocks = (a_block(), a_block(THE_CARRIER))
    assert decided("START", blocks, handling=AOO_HANDLING, sender=TOLL_FREE) == Decided(
        (),
        (
            a_change(blocked=False, cause=cause, sender=TOLL_FREE),
            a_change(THE_CARRIER, blocked=False, cause=cause, sender=TOLL_FREE),
            a_reply("START", text="standard START", message=message, kind=START),
            a_notification("START", message=message),
        ),
    )


@pytest.mark.parametrize("handling", [AOO_HANDLING, DEFAULT], ids=["aoo", "default"])
def test_r20_yes_after_stop_has_no_effect_and_says_so(handling: Handling) -> None:
    blocks = (a_block(), a_block(THE_CARRIER))
    assert decided("YES", blocks, handling=handling, sender=TOLL_FREE) == Decided(
        blocks,
        (
            a_notification(
                message=an_inbound("YES", sender=TOLL_FREE),
                match=a_match("YES", handling),
                service_sid=handling.service_sid,
                effective=False,
                reply_sent=NONE,
                aoo_enabled=handling.aoo_enabled,
                config_version=handling.config_version,
            ),
        ),
    )


def test_r20_yes_after_stop_is_no_ordinary_message() -> None:
    """The recipient is blocked, so `yes_only_when_blocked` lets it through to say so."""
    config = a_config(standard=CONFIG.standard, yes_only_when_blocked=True)
    handling = a_handling(config, sender_type=SenderType.TOLL_FREE)
    conversation = talk("stop", "yes", handling=handling)
    assert outcome(conversation, Scope.ACCOUNT) == Outcome(True, True, 0, NONE, effective=False)


@pytest.mark.parametrize("scope", Scope)
def test_r20_the_carriers_block_stops_its_own_sender_only(scope: Scope) -> None:
    blocks = (a_block(THE_CARRIER),)
    assert judge(a_send(sender=TOLL_FREE), blocks) == Refused(blocks[0])
    assert judge(a_send(), blocks) == ALLOWED
    assert judge(a_send(sender=OTHER_TOLL_FREE), blocks) == ALLOWED
    not_chosen = a_send(sender=None, service_sid=a_handling().service_sid)
    assert judge(not_chosen, blocks, [TOLL_FREE, LONG_CODE]) == Allowed((TOLL_FREE,))
    assert judge(not_chosen, blocks, [TOLL_FREE]) == Refused(blocks[0])


@pytest.mark.parametrize("word", ["yes", "START"])
def test_r20_another_sender_lifts_our_block_and_leaves_the_carriers(word: str) -> None:
    """START lifts the blocks on the sender it was texted to, but not the carrier's block."""
    blocks = (a_block(), a_block(THE_CARRIER))
    after = decided(word, blocks).blocks
    assert after == (a_block(THE_CARRIER),)
    assert judge(a_send(), after) == ALLOWED
    assert judge(a_send(sender=TOLL_FREE), after) == Refused(a_block(THE_CARRIER))


def test_r20_stop_to_two_toll_free_numbers_is_lifted_at_each() -> None:
    other = a_place(Scope.SENDER, target=OTHER_TOLL_FREE, carrier=True)
    first = decided("stop", handling=AOO_HANDLING, sender=TOLL_FREE).blocks
    both = decided("stop", first, handling=AOO_HANDLING, sender=OTHER_TOLL_FREE).blocks
    assert [block.place for block in both] == [a_place(), THE_CARRIER, other]
    one = decided("start", both, handling=AOO_HANDLING, sender=TOLL_FREE).blocks
    assert [block.place for block in one] == [other]
    assert decided("start", one, handling=AOO_HANDLING, sender=OTHER_TOLL_FREE).blocks == ()


def test_r20_a_stop_by_the_network_to_who_is_blocked_already_adds_its_mark() -> None:
    conversation = talk("cancel", "stop")
    assert conversation.places == [a_place(), THE_CARRIER]
    changes = [event for event in conversation.decisions[1] if isinstance(event, BlockChange)]
    assert [change.place for change in changes] == [THE_CARRIER]


def test_r20_exact_mode_hides_nothing_from_the_network() -> None:
    config = a_config(standard=CONFIG.standard, match=MatchMode.EXACT)
    handling = a_handling(config, sender_type=SenderType.TOLL_FREE)
    assert outcome(talk("STOP", handling=handling), Scope.ACCOUNT).carrier
