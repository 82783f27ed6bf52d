"""R24, R26: the gate."""

from __future__ import annotations

import json

import pytest

from processor.core.blocks import Mark
from processor.core.gate import ALLOWED, ERROR_CODE, ERROR_MESSAGE, Refused, judge
from processor.core.messages import Scope
from processor.core.policy import STANDARD
from processor.wire import outbound_messages
from tests.builders import (
    OTHER_SERVICE,
    SERVICE,
    a_block,
    a_place,
    a_send,
    decided,
    outbound_record,
)


def test_r24_a_send_to_who_is_not_blocked_goes_on() -> None:
    assert judge(a_send(), ()) == ALLOWED


def test_r24_a_refusal_names_the_block_that_caused_it() -> None:
    blocks = (a_block(a_place(Scope.SERVICE, target=OTHER_SERVICE)), a_block(a_place(Scope.SENDER)))
    assert judge(a_send(), blocks) == Refused(blocks[1])


def test_r24_the_error_is_21610() -> None:
    assert (ERROR_CODE, ERROR_MESSAGE) == (21610, "Attempt to send to unsubscribed recipient")


@pytest.mark.parametrize("scope", Scope)
def test_r24_from_stop_to_start_sends_are_refused(scope: Scope) -> None:
    send = a_send(service_sid=SERVICE)
    stopped = decided("STOP", scope=scope).blocks
    helped = decided("HELP", stopped, scope=scope).blocks
    started = decided("START", helped, scope=scope).blocks
    verdicts = [judge(send, blocks) for blocks in ((), stopped, helped, started)]
    assert verdicts == [ALLOWED, Refused(stopped[0]), Refused(stopped[0]), ALLOWED]


@pytest.mark.parametrize("text", [keyword_set.reply for keyword_set in STANDARD.values()])
def test_r26_a_text_that_looks_like_a_confirmation_has_no_exemption(text: str) -> None:
    fields = outbound_messages.read(json.dumps(outbound_record(body=text)).encode())
    send = outbound_messages.send_of(fields, SERVICE)
    assert judge(send, (a_block(),)) == Refused(a_block())


def test_r26_marks_are_ordered_by_owner_and_write_and_keep_their_text() -> None:
    marks = [Mark(9, 1), Mark(9, 2), Mark(10, 1)]
    assert marks[0] < marks[1] < marks[2]
    assert [str(mark) for mark in marks] == ["9-1", "9-2", "10-1"]
    assert [Mark.parse(str(mark)) for mark in marks] == marks


@pytest.mark.parametrize("text", ["", "7", "7-", "7-8-9", "a-b"])
def test_r26_a_text_that_is_no_mark_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Mark.parse(text)
