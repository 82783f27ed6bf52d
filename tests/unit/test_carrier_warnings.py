"""Warnings where a provider and we both answer a keyword, or neither, or only we lift a block."""

from __future__ import annotations

from processor.configuration.apply import apply
from processor.configuration.carrier_warnings import (
    BOTH,
    LEFT_BLOCKED,
    NEITHER,
    carrier_warnings,
)
from schemas.carrier import Carrier
from schemas.messaging_service import MessagingService
from tests.builders import LONG_CODE
from tests.carriers import NOW, a_carrier
from tests.clinic import CLINIC


def service(
    *, enabled: bool, sender: str = LONG_CODE, back: str = "comeback"
) -> dict[str, MessagingService]:
    """A clinic, perhaps with a way back, one that no provider knows if no other is given."""
    standard = {"START": {"keywords": [back], "reply": "You are back."}}
    opt_out = {"enabled": True, "standard": standard} if enabled else {}
    document = {**CLINIC, "senders": [{"address": sender}], "opt_out": opt_out}
    made = apply([document], {}, now=NOW, new_sid=lambda: "MG1")
    assert not made.problems
    return dict(made.changed)


def codes(carrier: Carrier, services: dict[str, MessagingService]) -> list[str]:
    return [one.code for one in carrier_warnings({carrier.name: carrier}, services)]


def test_a_warning_says_where_both_answer_or_no_one_does() -> None:
    assert codes(a_carrier("twilio"), service(enabled=True)) == [BOTH, LEFT_BLOCKED]
    assert codes(a_carrier("twilio", answers=[]), service(enabled=True)) == []
    assert codes(a_carrier("twilio"), service(enabled=False)) == []
    assert codes(a_carrier("kannel", senders=["12345"]), {}) == [NEITHER]
    assert (
        codes(a_carrier("kannel", senders=["12345"]), service(enabled=True, sender="12345")) == []
    )
    assert codes(a_carrier("whatsapp"), {}) == [NEITHER]


def test_the_warning_names_the_way_back_that_the_provider_does_not_know() -> None:
    twilio = a_carrier("twilio")
    [_, warning] = carrier_warnings({twilio.name: twilio}, service(enabled=True))
    assert str(warning) == (
        "carrier twilio-1: answers: comeback of MGclinic (Clinic reminders) lifts our block,"
        " but not the provider's: sends would still fail there"
    )


def test_a_way_back_that_the_provider_knows_too_leaves_no_one_blocked() -> None:
    twilio = a_carrier("twilio")
    assert codes(twilio, service(enabled=True, back="yes")) == [BOTH]
    [warning] = carrier_warnings({twilio.name: twilio}, service(enabled=True, back="yes"))
    assert str(warning) == (
        "carrier twilio-1: answers: the provider answers cancel, end, help, info, optout and 8 more"
        " itself, so the replies of MGclinic (Clinic reminders) to them are never sent. Switch its"
        " answers off and set `answers: []`, or take the words out of the service"
    )
    only_help = a_carrier("twilio", answers=["HELP"])  # it blocks no one
    assert codes(only_help, service(enabled=True)) == [BOTH]
