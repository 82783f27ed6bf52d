"""R18, R29: a request becomes one command, with its scope and its channel."""

from __future__ import annotations

from typing import Any

import pytest

from processor.core.consents import TargetMissing, consent_command
from processor.core.messages import ChannelGroup, ConsentCommand, Scope
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
