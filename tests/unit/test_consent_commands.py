"""R18, R29: a request becomes one command, with its scope and its channel."""

from __future__ import annotations

from typing import Any

import pytest

from processor.configuration.documents import read_document
from processor.core.blocks import place_for
from processor.core.consents import TargetMissing, consent_command, place_of
from processor.core.messages import ChannelGroup, ConsentCommand, Scope
from processor.wire.consent_commands import new_command_id
from processor.wire.quick_reader import Known
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT, SERVICE

REST = {"source": "api", "reason": "asked", "actor": "AC1", "claimed_ms": 7}


def asked(**given: Any) -> ConsentCommand:
    usual = {"scope": None, "service_sid": None, "sender": None, "default_scope": Scope.ACCOUNT}
    return consent_command(
        command_id="CC1",
        account_sid=ACCOUNT,
        blocked=True,
        **{"recipient": RECIPIENT, **usual, **REST, **given},
    )


def test_a_channels_address_is_a_number_and_its_channel() -> None:
    assert asked(recipient=f"whatsapp:{RECIPIENT}", sender=LONG_CODE) == ConsentCommand(
        command_id="CC1",
        account_sid=ACCOUNT,
        scope=Scope.SENDER,
        service_sid=None,
        sender=LONG_CODE,
        recipient=RECIPIENT,
        channel_group=ChannelGroup.WHATSAPP,
        blocked=True,
        **REST,  # type: ignore[arg-type]  # of several types
    )


@pytest.mark.parametrize(
    ("scope", "field"), [(Scope.SERVICE, "service_sid"), (Scope.SENDER, "sender")]
)
def test_a_scope_needs_its_target_named_or_by_default(scope: Scope, field: str) -> None:
    for given in ({"scope": scope}, {"default_scope": scope}):
        with pytest.raises(TargetMissing) as refused:
            asked(**given)
        assert (refused.value.scope, refused.value.field) == (scope, field)
    with pytest.raises(ValueError, match="say which is meant"):
        asked(service_sid=SERVICE, sender=LONG_CODE)


def test_a_command_has_an_id_of_its_own_and_a_place_on_the_list() -> None:
    assert new_command_id() != new_command_id()
    assert place_of(asked()) == place_for(Scope.ACCOUNT, service_sid=None, sender=None)
    of_service = asked(scope=Scope.SERVICE, service_sid=SERVICE)
    assert place_of(of_service) == place_for(Scope.SERVICE, service_sid=SERVICE, sender=None)


def test_values_that_a_reader_knows_are_forgotten_once_there_are_too_many() -> None:
    known = Known[str](2)
    for value in ("a", "b", "c"):
        known.learn(value)
    assert set(known) == {"c"}


def test_a_country_without_a_mapping_is_a_problem_of_its_own() -> None:
    given = {"friendly_name": "A", "opt_out": {"countries": {"MX": 5, "CA": {}}}}
    document, problems = read_document(given)
    assert document is None
    assert any(problem.place[:3] == ("opt_out", "countries", "MX") for problem in problems)
