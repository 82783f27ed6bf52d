"""R1, R2, R4, R12: which service answers, and with which configuration."""

from __future__ import annotations

import pytest

from processor.core.messages import OptOutType, SenderType, sender_type_of
from processor.core.policy import KeywordSet
from processor.core.services import Directory, Handling, PoolSender, Webhook
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_SERVICE,
    RCS_SENDER,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
    a_config,
    a_service,
    default_handling,
    sets,
)

THIRD_SERVICE = "MG00000000000000000000000000000003"


def test_r1_the_service_the_event_names_answers() -> None:
    named = a_service(OTHER_LONG_CODE, sid=OTHER_SERVICE)
    directory = Directory([a_service(LONG_CODE), named])
    assert directory.service_of(ACCOUNT, OTHER_SERVICE, LONG_CODE) is named
    assert directory.handling(ACCOUNT, OTHER_SERVICE, LONG_CODE).service_sid == OTHER_SERVICE


def test_r1_else_the_service_whose_pool_holds_the_sender() -> None:
    service = a_service(LONG_CODE)
    directory = Directory([service, a_service(OTHER_LONG_CODE, sid=OTHER_SERVICE)])
    assert directory.service_of(ACCOUNT, None, LONG_CODE) is service
    assert directory.handling(ACCOUNT, None, LONG_CODE) == Handling(
        service_sid=SERVICE,
        sender_type=SenderType.LONG_CODE,
        policy=service.policy,
        aoo_enabled=True,
        config_version=3,
    )


def test_r1_a_sender_in_no_pool_has_no_service() -> None:
    directory = Directory([a_service(LONG_CODE)])
    assert directory.service_of(ACCOUNT, None, OTHER_LONG_CODE) is None
    assert directory.service_of(ACCOUNT, None, None) is None
    assert directory.handling(ACCOUNT, None, OTHER_LONG_CODE) == default_handling()


def test_r1_a_service_nobody_knows_is_handled_by_default_under_its_name() -> None:
    directory = Directory([a_service(LONG_CODE)])
    handling = directory.handling(ACCOUNT, OTHER_SERVICE, LONG_CODE)
    assert handling == default_handling(service_sid=OTHER_SERVICE)
    assert directory.service_sid_of(ACCOUNT, OTHER_SERVICE, LONG_CODE) == OTHER_SERVICE


def test_r21_accounts_do_not_see_each_others_services_and_pools() -> None:
    directory = Directory([a_service(LONG_CODE, account_sid=OTHER_ACCOUNT)])
    assert directory.service_of(ACCOUNT, SERVICE, LONG_CODE) is None
    assert directory.service_of(ACCOUNT, None, LONG_CODE) is None
    assert not directory.handling(ACCOUNT, SERVICE, LONG_CODE).aoo_enabled


def test_r1_a_send_is_of_the_service_that_answers_its_sender() -> None:
    directory = Directory([a_service(LONG_CODE)])
    sids = [directory.service_sid_of(ACCOUNT, None, sender) for sender in (LONG_CODE, None)]
    assert sids == [SERVICE, None]


@pytest.mark.parametrize(
    ("address", "sender_type"),
    [
        ("+15551234567", SenderType.LONG_CODE),
        ("+447700900123", SenderType.LONG_CODE),
        *[(f"+1{npa}5550100", SenderType.TOLL_FREE) for npa in (800, 833, 844, 855, 866, 877, 888)],
        ("+18225550100", SenderType.LONG_CODE),
        ("+80055501000", SenderType.LONG_CODE),
        ("+180055501000", SenderType.LONG_CODE),
        ("123", SenderType.SHORT_CODE),
        ("12345678", SenderType.SHORT_CODE),
        ("123456789", SenderType.ALPHANUMERIC),
        ("whatsapp:+18005550100", SenderType.WHATSAPP),
        ("rcs:+18005550100", SenderType.RCS),
        ("rcs:clinic_agent", SenderType.RCS),
        ("Clinic", SenderType.ALPHANUMERIC),
        ("4 You", SenderType.ALPHANUMERIC),
    ],
)
def test_r2_the_address_tells_the_type_where_no_pool_does(
    address: str, sender_type: SenderType
) -> None:
    assert sender_type_of(address) is sender_type
    assert Directory().handling(ACCOUNT, None, address).sender_type is sender_type


def test_r2_the_pool_entry_tells_the_type_first() -> None:
    hosted = PoolSender(LONG_CODE, SenderType.TOLL_FREE)
    directory = Directory([a_service(senders=(hosted,))])
    assert directory.handling(ACCOUNT, None, LONG_CODE).sender_type is SenderType.TOLL_FREE


@pytest.mark.parametrize(
    "sender", [LONG_CODE, TOLL_FREE, SHORT_CODE, WHATSAPP_SENDER, RCS_SENDER, OTHER_LONG_CODE]
)
def test_r4_the_active_configuration_answers_for_every_sender(sender: str) -> None:
    service = a_service(LONG_CODE, TOLL_FREE, SHORT_CODE, WHATSAPP_SENDER, RCS_SENDER)
    handling = Directory([service]).handling(ACCOUNT, SERVICE, sender)
    assert handling == Handling(SERVICE, sender_type_of(sender), service.policy, True, 3)


def test_r12_a_handling_carries_the_version_of_its_service() -> None:
    directory = Directory([a_service(version=8)])
    asked = [(None, LONG_CODE), (SERVICE, LONG_CODE), (SERVICE, OTHER_LONG_CODE)]
    assert {directory.handling(ACCOUNT, *one).config_version for one in asked} == {8}
    directory.change({SERVICE: a_service(version=9)})
    assert {directory.handling(ACCOUNT, *one).config_version for one in asked} == {9}


def test_a_change_forgets_the_handlings_it_touches_and_no_other() -> None:
    others = a_service(OTHER_LONG_CODE, sid=OTHER_SERVICE)
    directory = Directory([a_service(LONG_CODE), others])
    kept = [
        directory.handling(ACCOUNT, OTHER_SERVICE, OTHER_LONG_CODE),
        directory.handling(ACCOUNT, OTHER_SERVICE, TOLL_FREE),
        directory.handling(ACCOUNT, None, OTHER_LONG_CODE),
        directory.handling(OTHER_ACCOUNT, None, LONG_CODE),
    ]
    directory.handling(ACCOUNT, OTHER_SERVICE, LONG_CODE)
    hosted = PoolSender(LONG_CODE, SenderType.TOLL_FREE)
    directory.change({SERVICE: a_service(senders=(hosted,))})
    again = [
        directory.handling(ACCOUNT, OTHER_SERVICE, OTHER_LONG_CODE),
        directory.handling(ACCOUNT, OTHER_SERVICE, TOLL_FREE),
        directory.handling(ACCOUNT, None, OTHER_LONG_CODE),
        directory.handling(OTHER_ACCOUNT, None, LONG_CODE),
    ]
    assert all(one is other for one, other in zip(kept, again, strict=True))
    # The type of a sender is its pool's, whichever service a message names.
    of_another = directory.handling(ACCOUNT, OTHER_SERVICE, LONG_CODE)
    assert of_another.sender_type is SenderType.TOLL_FREE


def test_a_change_that_cannot_be_read_changes_nothing() -> None:
    directory = Directory([a_service(LONG_CODE, version=8)])
    broken = a_config(languages={"de": {OptOutType.STOP: KeywordSet((None,), "")}})  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        directory.change({SERVICE: a_service(version=9), OTHER_SERVICE: a_service(active=broken)})
    assert directory.services == {SERVICE: a_service(LONG_CODE, version=8)}


def test_a_service_that_is_gone_leaves_its_senders_and_no_keywords() -> None:
    german = a_config(languages={"de": sets("de", stop="abbestellen")})
    webhook = Webhook("https://example.com")
    directory = Directory([a_service(LONG_CODE, active=german, webhook=webhook)])
    assert (directory.may_match("abbestellen"), directory.has_webhooks) == (True, True)
    other = a_service(OTHER_LONG_CODE, sid=OTHER_SERVICE)
    directory.change({SERVICE: None, OTHER_SERVICE: other})
    assert directory.services == {OTHER_SERVICE: other}
    assert directory.handling(ACCOUNT, None, LONG_CODE) == default_handling()
    assert (directory.may_match("abbestellen"), directory.has_webhooks) == (False, False)
    assert directory.may_match("stop")


def test_a_sender_that_leaves_the_pool_is_handled_by_default() -> None:
    directory = Directory([a_service(LONG_CODE)])
    assert directory.handling(ACCOUNT, None, LONG_CODE).aoo_enabled
    directory.change({SERVICE: a_service(OTHER_LONG_CODE)})
    assert directory.handling(ACCOUNT, None, LONG_CODE) == default_handling()


def test_a_body_passes_where_it_may_be_a_keyword_of_any_service() -> None:
    bodies = ("Stop!", "Abbestellen", "hello")
    directory = Directory([a_service(LONG_CODE, active=None)])
    assert [directory.may_match(body) for body in bodies] == [True, False, False]
    german = a_config(languages={"de": sets("de", stop="abbestellen")})
    for sid in (OTHER_SERVICE, THIRD_SERVICE):
        directory.change({sid: a_service(OTHER_LONG_CODE, sid=sid, active=german)})
    directory.change({OTHER_SERVICE: None})
    assert [directory.may_match(body) for body in bodies] == [True, True, False]


def test_handlings_that_were_kept_are_found_anew_once_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("processor.core.services._KEPT", 2)
    directory = Directory([a_service(LONG_CODE)])
    senders = [LONG_CODE, OTHER_LONG_CODE, "+15551234569", LONG_CODE]
    found = [directory.handling(ACCOUNT, None, sender).service_sid for sender in senders]
    assert found == [SERVICE, None, None, SERVICE]


def test_a_sender_in_two_pools_goes_back_to_the_other_service() -> None:
    first, second = a_service(LONG_CODE), a_service(LONG_CODE, sid=OTHER_SERVICE)
    directory = Directory([first, second])
    directory.change({OTHER_SERVICE: None})
    assert directory.service_of(ACCOUNT, None, LONG_CODE) == first
