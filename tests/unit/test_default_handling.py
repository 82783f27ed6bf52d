"""R3: the default handling of keywords, where Advanced Opt-Out is not enabled."""

from __future__ import annotations

import pytest

from processor.core.events import ReplySent
from processor.core.messages import OptOutType, SenderType
from processor.core.policy import Tier
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


def test_r20_holds_in_default_handling_too() -> None:
    handling = default_handling(sender_type=SenderType.TOLL_FREE)
    decision = decided("STOP", handling=handling, sender=TOLL_FREE)
    assert [block.carrier for block in decision.blocks] == [False, True]
    assert [type(event).__name__ for event in decision.events] == [
        "BlockChange",
        "BlockChange",
        "OptOutNotification",
    ]
