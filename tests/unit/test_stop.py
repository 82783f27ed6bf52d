"""R18: the effects of STOP."""

from __future__ import annotations

import pytest

from processor.core.events import ReplySent
from processor.core.gate import ALLOWED, Refused, judge
from processor.core.lookup import Tier
from processor.core.messages import ChannelGroup, OptOutType, Scope
from tests.builders import (
    LONG_CODE,
    RCS_RECIPIENT,
    RCS_SENDER,
    WHATSAPP_RECIPIENT,
    WHATSAPP_SENDER,
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
    a_send,
    an_inbound,
    decided,
    the_block,
)

STOP = OptOutType.STOP


def test_r18_stop_blocks_replies_and_notifies() -> None:
    assert decided("STOP") == Decided(
        (the_block(),), (a_change(), a_reply(text="standard STOP"), a_notification())
    )


def test_r18_stop_by_a_tolerant_match_does_the_same() -> None:
    assert decided("“End!”") == Decided(
        (the_block(),),
        (
            a_change(cause=a_cause(STOP, "end")),
            a_reply("“End!”", text="standard STOP"),
            a_notification("“End!”"),
        ),
    )
    assert a_match("“End!”").tier is Tier.TOLERANT


def test_r17_stop_in_a_language_is_answered_in_it() -> None:
    assert decided("baja") == Decided(
        (the_block(),),
        (
            a_change(cause=a_cause(STOP, "baja")),
            a_reply("baja", text="es STOP", language="es"),
            a_notification("baja"),
        ),
    )


def test_r18_a_second_stop_only_notifies() -> None:
    blocks = (a_block(),)
    assert decided("STOP", blocks).events == (a_notification(reply_sent=ReplySent.NONE),)


def test_r18_a_second_stop_is_confirmed_again_where_the_service_says_so() -> None:
    blocks = (a_block(),)
    handling = a_handling(a_config(repeat_reply=True))
    assert decided("STOP", blocks, handling=handling).events == (
        a_reply(text="standard STOP"),
        a_notification(),
    )


def test_r18_blocked_is_under_the_scope_that_applies() -> None:
    """A block on this sender alone does not make a STOP to the account a repeat."""
    before = a_block(a_place(Scope.SENDER))
    assert decided("STOP", (before,), scope=Scope.ACCOUNT) == Decided(
        (before, the_block()), (a_change(), a_reply(text="standard STOP"), a_notification())
    )


@pytest.mark.parametrize("scope", Scope)
def test_r18_the_confirmation_is_sent_though_the_gate_would_refuse_any_other(scope: Scope) -> None:
    decision = decided("STOP", scope=scope)
    assert [type(event).__name__ for event in decision.events] == [
        "BlockChange",
        "ReplySend",
        "OptOutNotification",
    ]
    (block,) = decision.blocks
    service_sid = a_handling().service_sid
    assert judge(a_send(service_sid=service_sid), decision.blocks) == Refused(block)
    assert judge(a_send(service_sid=service_sid), ()) == ALLOWED


@pytest.mark.parametrize(
    ("recipient", "sender", "group"),
    [
        (WHATSAPP_RECIPIENT, WHATSAPP_SENDER, ChannelGroup.WHATSAPP),
        (RCS_RECIPIENT, RCS_SENDER, ChannelGroup.SMS),
    ],
)
def test_r21_a_change_names_the_bare_number_and_the_channel_group(
    recipient: str, sender: str, group: ChannelGroup
) -> None:
    message = an_inbound(recipient=recipient, sender=sender)
    assert decided("STOP", recipient=recipient, sender=sender) == Decided(
        (the_block(sender=sender, address=recipient),),
        (
            a_change(channel_group=group, sender=sender, address=recipient),
            a_reply(text="standard STOP", message=message),
            a_notification(message=message),
        ),
    )


def test_the_sender_of_the_stop_is_in_its_cause_whatever_the_scope() -> None:
    change = decided("STOP", scope=Scope.ACCOUNT).events[0]
    assert change == a_change(cause=a_cause(STOP, "stop", LONG_CODE))
