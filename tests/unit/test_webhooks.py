"""R28: an application gets a webhook for every inbound message of its service."""

from __future__ import annotations

import json

import pytest

from processor.core.decide import ordinary
from processor.core.events import Event, WebhookDelivery
from processor.core.fold import Item, Ordinary, fold, handled_of
from processor.core.identity import id_behind
from processor.core.messages import OptOutType, Scope
from processor.core.services import Directory, Webhook
from processor.wire.events import write_delivery
from tests.builders import (
    LONG_CODE,
    MARK,
    MESSAGE,
    SERVICE,
    a_config,
    a_handling,
    a_hit,
    a_service,
    an_inbound,
    decided,
    default_handling,
)

URL = "https://example.com/inbound"
WEBHOOK = Webhook(URL, "GET", "https://example.com/fallback")
TOLD = a_handling(webhook=WEBHOOK)


def deliveries(events: tuple[Event, ...]) -> list[WebhookDelivery]:
    return [event for event in events if isinstance(event, WebhookDelivery)]


@pytest.mark.parametrize("kind", OptOutType)
def test_r28_a_match_is_told_with_its_type(kind: OptOutType) -> None:
    [told] = deliveries(decided(kind.value, handling=TOLD).events)
    assert told == WebhookDelivery(an_inbound(kind.value), SERVICE, WEBHOOK, kind)


def test_r28_the_type_is_told_only_where_aoo_is_enabled() -> None:
    handling = default_handling(service_sid=SERVICE, webhook=WEBHOOK)
    [told] = deliveries(decided("STOP", handling=handling).events)
    assert told.opt_out_type is None


def test_r28_an_ordinary_message_is_told_without_a_type() -> None:
    message = an_inbound("see you")
    assert ordinary(message, TOLD) == (WebhookDelivery(message, SERVICE, WEBHOOK, None),)


def test_r19_r28_a_yes_that_is_an_ordinary_message_is_told_as_one() -> None:
    handling = a_handling(a_config(yes_only_when_blocked=True), webhook=WEBHOOK)
    [told] = decided("YES", handling=handling).events
    assert told == WebhookDelivery(an_inbound("YES"), SERVICE, WEBHOOK, None)


def test_r28_without_an_address_nobody_is_told() -> None:
    assert deliveries(decided("STOP").events) == []
    assert ordinary(an_inbound("see you"), a_handling()) == ()


def test_r22_r28_a_match_handled_before_is_not_told_again() -> None:
    hit = a_hit("STOP", handling=TOLD)
    folded = fold([hit, hit], {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK)
    assert len(deliveries(folded.events)) == 1
    seen = fold([hit], {}, frozenset({handled_of(hit).id}), scope=Scope.ACCOUNT, mark=MARK)
    assert seen.events == ()


def test_r23_r28_messages_are_told_in_their_order() -> None:
    items: list[Item | Ordinary] = [
        Ordinary(an_inbound("hello", message_sid="SM1"), TOLD),
        a_hit("STOP", handling=TOLD, message_sid="SM2"),
        Ordinary(an_inbound("sorry", message_sid="SM3"), TOLD),
    ]
    folded = fold(items, {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK)
    assert [one.message.message_sid for one in deliveries(folded.events)] == ["SM1", "SM2", "SM3"]
    assert folded.handled == (handled_of(a_hit("STOP", message_sid="SM2")),)


def test_r28_the_address_is_the_services() -> None:
    directory = Directory([a_service(LONG_CODE, webhook=WEBHOOK)])
    assert directory.handling(a_service().account_sid, None, LONG_CODE).webhook == WEBHOOK
    assert directory.has_webhooks
    assert not Directory([a_service(LONG_CODE)]).has_webhooks


def test_r28_a_delivery_has_twilios_parameters() -> None:
    [told] = deliveries(decided("STOP", handling=TOLD).events)
    delivery = json.loads(write_delivery(told))
    assert delivery["parameters"] == {
        "ApiVersion": "2010-04-01",
        "MessageSid": MESSAGE,
        "SmsSid": MESSAGE,
        "SmsMessageSid": MESSAGE,
        "SmsStatus": "received",
        "AccountSid": told.message.account_sid,
        "MessagingServiceSid": SERVICE,
        "From": told.message.recipient,
        "To": LONG_CODE,
        "Body": "STOP",
        "NumMedia": "0",
        "NumSegments": "1",
        "FromCountry": "US",
        "OptOutType": "STOP",
    }
    assert delivery["delivery_id"] == id_behind(an_inbound("STOP"), "inbound")
    assert delivery["url"] == URL
    assert (delivery["method"], delivery["fallback_url"], delivery["fallback_method"]) == (
        "GET",
        WEBHOOK.fallback_url,
        "POST",
    )
