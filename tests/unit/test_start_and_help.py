"""R19: the effects of START and HELP."""

from __future__ import annotations

import pytest

from processor.core.blocks import Place
from processor.core.events import ReplySent
from processor.core.messages import OptOutType, Scope, SenderType
from tests.builders import (
    OTHER_LONG_CODE,
    OTHER_SERVICE,
    Decided,
    a_block,
    a_cause,
    a_change,
    a_config,
    a_handling,
    a_match,
    a_notification,
    a_place,
    a_reply,
    decided,
    sets,
)

START, HELP = OptOutType.START, OptOutType.HELP


def test_r19_start_lifts_the_block_and_replies() -> None:
    assert decided("START", (a_block(),)) == Decided(
        (),
        (
            a_change(blocked=False, cause=a_cause(START, "start")),
            a_reply("START", text="standard START"),
            a_notification("START"),
        ),
    )


def test_r19_start_replies_where_there_is_no_block_too() -> None:
    assert decided("START") == Decided(
        (), (a_reply("START", text="standard START"), a_notification("START"))
    )


def test_r19_start_lifts_every_block_that_would_stop_the_sender_and_no_other() -> None:
    stopping = [a_place(), a_place(Scope.SERVICE), a_place(Scope.SENDER)]
    others = (
        a_block(a_place(Scope.SERVICE, target=OTHER_SERVICE)),
        a_block(a_place(Scope.SENDER, target=OTHER_LONG_CODE)),
        a_block(a_place(Scope.SENDER, target=OTHER_LONG_CODE, carrier=True)),
    )
    blocks = (*others[:1], *map(a_block, stopping), *others[1:])
    cause = a_cause(START, "start")
    assert decided("START", blocks, scope=Scope.SENDER) == Decided(
        others,
        (
            *(a_change(place, blocked=False, cause=cause) for place in stopping),
            a_reply("START", text="standard START"),
            a_notification("START"),
        ),
    )


@pytest.mark.parametrize("word", ["yes", "unstop", "YES", "alta"])
def test_r19_any_opt_in_keyword_lifts_a_block(word: str) -> None:
    decision = decided(word, (a_block(),))
    assert decision.blocks == ()
    assert decision.events[0] == a_change(
        blocked=False, cause=a_cause(START, a_match(word).keyword)
    )


def test_r19_yes_is_an_ordinary_message_where_only_the_blocked_may_say_it() -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True))
    elsewhere = (a_block(a_place(Scope.SENDER, target=OTHER_LONG_CODE)),)
    assert decided("Yes", handling=handling) == Decided(())
    assert decided("Yes", elsewhere, handling=handling) == Decided(elsewhere)


def test_r19_yes_from_the_blocked_is_an_opt_in_all_the_same() -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True))
    assert decided("Yes", (a_block(),), handling=handling) == Decided(
        (),
        (
            a_change(blocked=False, cause=a_cause(START, "yes")),
            a_reply("Yes", text="standard START", kind=START),
            a_notification("Yes"),
        ),
    )


@pytest.mark.parametrize("word", ["start", "unstop", "alta"])
def test_r19_other_opt_in_keywords_are_never_ordinary_messages(word: str) -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True))
    assert len(decided(word, handling=handling).events) == 2


def test_r19_help_leaves_the_list_alone_and_replies() -> None:
    assert decided("HELP") == Decided(
        (), (a_reply("HELP", text="standard HELP"), a_notification("HELP"))
    )


@pytest.mark.parametrize(
    "place",
    [
        a_place(),
        a_place(Scope.SERVICE),
        a_place(Scope.SENDER),
        a_place(Scope.SENDER, carrier=True),
    ],
)
def test_r19_help_is_silent_to_the_blocked(place: Place) -> None:
    blocks = (a_block(place),)
    assert decided("HELP", blocks) == Decided(
        blocks, (a_notification("HELP", reply_sent=ReplySent.NONE),)
    )


def test_r19_help_replies_where_only_another_sender_is_blocked() -> None:
    blocks = (a_block(a_place(Scope.SENDER, target=OTHER_LONG_CODE)),)
    assert decided("HELP", blocks) == Decided(
        blocks, (a_reply("HELP", text="standard HELP"), a_notification("HELP"))
    )


@pytest.mark.parametrize("sender_type", SenderType)
def test_r19_help_replies_to_the_blocked_for_the_sender_types_that_answer(
    sender_type: SenderType,
) -> None:
    config = a_config(help_when_blocked=frozenset({SenderType.SHORT_CODE}))
    decision = decided("HELP", (a_block(),), handling=a_handling(config, sender_type=sender_type))
    answers = sender_type is SenderType.SHORT_CODE
    assert (decision.blocks, len(decision.events)) == ((a_block(),), 2 if answers else 1)


def test_r17_start_and_help_in_a_language_are_answered_in_it() -> None:
    config = a_config(languages={"fr": sets("fr", start="reprise", help="aide")})
    replies = [decided(word, handling=a_handling(config)).events[0] for word in ("reprise", "aide")]
    assert replies == [
        a_reply("reprise", text="fr START", kind=START, language="fr"),
        a_reply("aide", text="fr HELP", kind=HELP, language="fr"),
    ]
