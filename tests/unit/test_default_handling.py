"""R3: the default handling of keywords, where Advanced Opt-Out is not enabled."""

from __future__ import annotations

from functools import partial

import pytest

from processor.core.events import ReplySent
from processor.core.lookup import _UNMISTAKABLE, Tier
from processor.core.messages import OptOutType, SenderType
from processor.core.policy import RCS_POLICY
from processor.core.services import Directory
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    RCS_SENDER,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
    Decided,
    a_cause,
    a_change,
    a_match,
    a_notification,
    a_reply,
    a_service,
    decided,
    default_handling,
    the_block,
)

STOP, START, HELP = OptOutType
REPLIES = {
    STOP: "You have successfully been unsubscribed. You will not receive any more messages from"
    " this number. Reply START to resubscribe.",
    START: "You have successfully been re-subscribed to messages from this number. Reply HELP for"
    " help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    HELP: "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}
WORDS = {
    STOP: "STOP UNSUBSCRIBE END QUIT STOPALL REVOKE OPTOUT CANCEL",
    START: "START YES UNSTOP",
    HELP: "HELP INFO",
}


@pytest.mark.parametrize("sender", [LONG_CODE, TOLL_FREE, RCS_SENDER])
@pytest.mark.parametrize(
    ("kind", "word"), [(kind, word) for kind, words in WORDS.items() for word in words.split()]
)
def test_r3_the_default_words_and_replies(sender: str, kind: OptOutType, word: str) -> None:
    match = a_match(word, Directory().handling(ACCOUNT, None, sender))
    assert (match.kind, match.keyword, match.tier, match.reply) == (
        kind,
        word.lower(),
        Tier.EXACT,
        REPLIES[kind],
    )


@pytest.mark.parametrize("sender", [SHORT_CODE, WHATSAPP_SENDER])
def test_r3_short_codes_and_whatsapp_are_left_to_the_application(sender: str) -> None:
    assert Directory().handling(ACCOUNT, None, sender).policy is None
    service = a_service(sender, active=None)
    assert Directory([service]).handling(ACCOUNT, SERVICE, sender).policy is None


def test_r3_default_matching_is_tolerant_but_for_start() -> None:
    policy = default_handling().policy
    assert policy is not None
    tiers = [match and match.tier for match in (policy.match(w, "US") for w in ("Stop!", "Yes!"))]
    assert tiers == [Tier.TOLERANT, None]


def test_r3_a_service_without_aoo_is_handled_by_default() -> None:
    """Its draft, which knows `baja`, has no effect."""
    handling = Directory([a_service(active=None)]).handling(ACCOUNT, None, LONG_CODE)
    assert handling == default_handling(service_sid=SERVICE, config_version=3)
    assert handling.policy is not None
    assert handling.policy.match("baja", "US") is None


@pytest.mark.parametrize("word", ["END", "Quit!"])
def test_r3_default_handling_blocks_replies_and_notifies(word: str) -> None:
    match = a_match(word, default_handling())
    assert decided(word, handling=default_handling()) == Decided(
        (the_block(),),
        (
            a_change(cause=a_cause(STOP, match.keyword)),
            a_reply(word, text=REPLIES[STOP], service_sid=None),
            a_notification(
                word,
                match=match,
                service_sid=None,
                reply_sent=ReplySent.DEFAULT,
                aoo_enabled=False,
                config_version=None,
            ),
        ),
    )


BUTTONS = [
    ("ES", "BAJA", STOP, "baja"),
    ("MX", "Baja", STOP, "baja"),
    ("BR", "parar", STOP, "parar"),
    ("ES", "ALTA", START, "alta"),
    ("BR", "Começar", START, "começar"),
    ("BR", "comecar", START, "comecar"),
    ("FR", "Démarrer", START, "démarrer"),
    ("FR", "DEMARRER", START, "demarrer"),
]


@pytest.mark.parametrize(("country", "word", "kind", "keyword"), BUTTONS)
def test_r3_the_buttons_of_an_rcs_chat_count_in_their_own_country(
    country: str, word: str, kind: OptOutType, keyword: str
) -> None:
    handling = Directory().handling(ACCOUNT, None, RCS_SENDER)
    match = a_match(word, handling, country)
    assert (match.kind, match.keyword, match.country, match.reply) == (
        kind,
        keyword,
        country,
        REPLIES[kind],
    )
    assert handling.policy is not None
    assert [handling.policy.match(text, country) for text in (f"{word}!", f"({word})")] == [
        None
    ] * 2
    assert handling.policy.match(word, "US") is None
    assert handling.policy.asks_country


def test_r3_the_words_that_no_other_script_imitates_are_those_of_stop_and_help() -> None:
    words = {word for kind in (STOP, HELP) for word in WORDS[kind].lower().split()}
    assert words == _UNMISTAKABLE


def test_r3_the_buttons_words_are_those_of_rcs_senders_only() -> None:
    directory = Directory()
    assert directory.may_match("BAJA")
    for sender in (LONG_CODE, TOLL_FREE):
        policy = directory.handling(ACCOUNT, None, sender).policy
        assert policy is not None
        assert policy.match("BAJA", "ES") is None


def test_r3_the_usual_words_are_tolerant_on_rcs_as_elsewhere() -> None:
    handling = Directory().handling(ACCOUNT, None, RCS_SENDER)
    assert a_match("*STOP*", handling, "FR").tier is Tier.TOLERANT
    assert a_match("Start!", handling, "ES").tier is Tier.CLEAN


def test_r3_an_opt_in_button_acts_on_a_blocked_recipient_only() -> None:
    rcs = default_handling(sender_type=SenderType.RCS, policy=RCS_POLICY)
    alta = partial(decided, "ALTA", handling=rcs, sender=RCS_SENDER, country="ES")
    assert alta().events == ()
    lifted = alta((the_block(),))
    assert lifted.blocks == ()
    assert [type(event).__name__ for event in lifted.events] == [
        "BlockChange",
        "ReplySend",
        "OptOutNotification",
    ]


def test_r20_holds_in_default_handling_too() -> None:
    handling = default_handling(sender_type=SenderType.TOLL_FREE)
    decision = decided("STOP", handling=handling, sender=TOLL_FREE)
    assert [block.carrier for block in decision.blocks] == [False, True]
    assert [type(event).__name__ for event in decision.events] == [
        "BlockChange",
        "BlockChange",
        "OptOutNotification",
    ]
