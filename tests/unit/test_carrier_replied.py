"""R42: we send no reply to a message that its carrier answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.decide import decide
from processor.core.events import BlockChange, OptOutNotification, ReplySend, ReplySent
from processor.core.messages import Scope
from tests.builders import MARK, a_handling, a_match, an_inbound, decided, the_block


@pytest.mark.parametrize("body", ["STOP", "START", "HELP"])
def test_r42_the_effect_is_the_same_and_no_reply_is_sent(body: str) -> None:
    for blocks in ({}, {the_block().place: the_block()}):
        made = [
            decide(
                an_inbound(body, carrier_replied=replied),
                a_match(body),
                a_handling(),
                blocks,
                country="US",
                scope=Scope.ACCOUNT,
                mark=MARK,
            )
            for replied in (False, True)
        ]
        ours, theirs = ([type(event) for event in one.events] for one in made)
        assert ReplySend not in theirs
        assert [one for one in ours if one is BlockChange] == [
            one for one in theirs if one is BlockChange
        ]
        [note] = [one for one in made[1].events if isinstance(one, OptOutNotification)]
        assert note.reply_sent is ReplySent.CARRIER


def test_r42_without_it_we_answer() -> None:
    events = decided("STOP").events
    assert ReplySend in map(type, events)
    assert replace(an_inbound("STOP"), carrier_replied=False) == an_inbound("STOP")
