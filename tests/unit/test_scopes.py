"""R21: the senders that a block stops."""

from __future__ import annotations

import pytest

from processor.core.blocks import Place, place_for, scope_for
from processor.core.gate import ALLOWED, Allowed, Refused, Verdict, judge
from processor.core.messages import (
    ChannelGroup,
    Scope,
    bare_number,
    channel_group_of,
    list_key,
)
from processor.core.services import Directory
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_SERVICE,
    RCS_RECIPIENT,
    RCS_SENDER,
    RECIPIENT,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_RECIPIENT,
    WHATSAPP_SENDER,
    a_block,
    a_place,
    a_send,
    a_service,
    decided,
    default_handling,
)


@pytest.mark.parametrize(
    ("scope", "place"),
    [
        (Scope.ACCOUNT, Place(Scope.ACCOUNT, "")),
        (Scope.SERVICE, Place(Scope.SERVICE, SERVICE)),
        (Scope.SENDER, Place(Scope.SENDER, LONG_CODE)),
    ],
)
def test_r21_a_stop_blocks_under_the_scope_that_is_set(scope: Scope, place: Place) -> None:
    assert [block.place for block in decided("STOP", scope=scope).blocks] == [place]


def test_r21_under_service_a_sender_outside_any_service_uses_its_own_pair() -> None:
    decision = decided("STOP", scope=Scope.SERVICE, handling=default_handling())
    assert [block.place for block in decision.blocks] == [a_place(Scope.SENDER)]


def test_a_place_that_needs_a_sender_must_be_told_one() -> None:
    with pytest.raises(ValueError, match="names no sender"):
        place_for(Scope.SERVICE, service_sid=None, sender=None)


@pytest.mark.parametrize(
    ("said", "service_sid", "sender", "scope"),
    [
        (None, None, None, Scope.ACCOUNT),
        (None, SERVICE, None, Scope.SERVICE),
        (None, None, LONG_CODE, Scope.SENDER),
        (Scope.ACCOUNT, SERVICE, LONG_CODE, Scope.ACCOUNT),
    ],
)
def test_a_change_that_says_no_scope_has_that_of_what_it_names(
    said: Scope | None, service_sid: str | None, sender: str | None, scope: Scope
) -> None:
    found = scope_for(said, service_sid=service_sid, sender=sender, default=Scope.ACCOUNT)
    assert found is scope


def test_a_change_that_names_a_service_and_a_sender_must_say_which_is_meant() -> None:
    with pytest.raises(ValueError, match="say which is meant"):
        scope_for(None, service_sid=SERVICE, sender=LONG_CODE, default=Scope.ACCOUNT)
    usual = scope_for(None, service_sid=SERVICE, sender=LONG_CODE, default=Scope.SENDER)
    assert usual is Scope.SENDER


SENDS = {
    "same pair": a_send(service_sid=SERVICE),
    "same sender, no service": a_send(),
    "other sender of the service": a_send(service_sid=SERVICE, sender=OTHER_LONG_CODE),
    "service, sender not chosen": a_send(service_sid=SERVICE, sender=None),
    "other service": a_send(service_sid=OTHER_SERVICE, sender=OTHER_LONG_CODE),
    "other sender, no service": a_send(sender=OTHER_LONG_CODE),
}


@pytest.mark.parametrize(
    ("place", "stopped"),
    [
        (
            a_place(Scope.ACCOUNT),
            list(SENDS),
        ),
        (
            a_place(Scope.SERVICE),
            ["same pair", "other sender of the service", "service, sender not chosen"],
        ),
        (a_place(Scope.SENDER), ["same pair", "same sender, no service"]),
        (a_place(Scope.SENDER, carrier=True), ["same pair", "same sender, no service"]),
    ],
)
def test_r21_a_block_stops_the_sends_it_covers_and_no_others(
    place: Place, stopped: list[str]
) -> None:
    block = a_block(place)
    verdicts = {name: judge(send, (block,)) for name, send in SENDS.items()}
    goes_on: dict[str, Verdict] = dict.fromkeys(SENDS, ALLOWED)
    if place.scope is Scope.SENDER:
        goes_on["service, sender not chosen"] = Allowed((LONG_CODE,))
    assert verdicts == goes_on | {name: Refused(block) for name in stopped}


def test_r21_a_send_without_a_sender_is_refused_where_every_sender_is_blocked() -> None:
    send = a_send(service_sid=SERVICE, sender=None)
    first = a_block(a_place(Scope.SENDER), since_ms=2)
    other = a_block(a_place(Scope.SENDER, target=OTHER_LONG_CODE), since_ms=1)
    elsewhere = a_block(a_place(Scope.SENDER, target=TOLL_FREE, carrier=True), since_ms=0)
    pool = [LONG_CODE, OTHER_LONG_CODE]
    assert judge(send, (first, elsewhere), pool) == Allowed((LONG_CODE, TOLL_FREE))
    assert judge(send, (first, other, elsewhere), pool) == Refused(other)
    assert judge(send, (first, other), ()) == Allowed((LONG_CODE, OTHER_LONG_CODE))
    assert judge(send, (), pool) == ALLOWED


def test_r21_the_pool_of_a_send_are_the_senders_of_its_channels() -> None:
    directory = Directory([a_service(LONG_CODE, SHORT_CODE, RCS_SENDER, WHATSAPP_SENDER)])
    pool = directory.pool_for
    assert pool(ACCOUNT, SERVICE, RECIPIENT) == [LONG_CODE, SHORT_CODE, RCS_SENDER]
    assert pool(ACCOUNT, SERVICE, WHATSAPP_RECIPIENT) == [WHATSAPP_SENDER]
    assert pool(OTHER_ACCOUNT, SERVICE, RECIPIENT) == []
    assert pool(ACCOUNT, None, RECIPIENT) == pool(ACCOUNT, OTHER_SERVICE, RECIPIENT) == []


@pytest.mark.parametrize(
    ("address", "number", "group", "key"),
    [
        (RECIPIENT, RECIPIENT, ChannelGroup.SMS, RECIPIENT),
        (RCS_RECIPIENT, RECIPIENT, ChannelGroup.SMS, RECIPIENT),
        (WHATSAPP_RECIPIENT, RECIPIENT, ChannelGroup.WHATSAPP, f"whatsapp:{RECIPIENT}"),
    ],
)
def test_r21_sms_and_rcs_share_a_list_and_whatsapp_has_its_own(
    address: str, number: str, group: ChannelGroup, key: str
) -> None:
    found = channel_group_of(address)
    assert (bare_number(address), found, list_key(address, found)) == (number, group, key)


def test_a_list_key_is_that_of_the_bare_number_too() -> None:
    assert list_key(RECIPIENT, ChannelGroup.WHATSAPP) == WHATSAPP_RECIPIENT
