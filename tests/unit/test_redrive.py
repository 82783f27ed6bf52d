"""Which dead letters go back, and how that is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from click.testing import CliRunner

from processor.cli import main
from processor.http.console.dead_letters import _command
from processor.http.console.pages import render
from processor.kafka.lanes.finished_offsets import Offsets
from processor.kafka.topics.dead_letters import (
    Line,
    choice_of,
    fitting,
    letter_of,
    shared_out,
    taken,
)
from processor.wire import dead_letters


def letter(offset: int, reason: str = "why", redrives: int = 0) -> Any:
    given = [(dead_letters.CYCLES, str(redrives).encode())]
    headers = dead_letters.headers(
        given, topic="inbound", partition=0, offset=1, stage="match_inbound", reason=reason
    )
    return SimpleNamespace(
        partition=0, offset=offset, timestamp=0, key=b"k", value=b"null", headers=headers
    )


def sent(offsets: Offsets, records: Iterable[Any], **wanted: Any) -> int:
    def chosen(line: Line) -> bool:
        return all(line[name] == value for name, value in wanted.items())

    back, _ = taken(list(records), offsets, chosen, most=5)
    return len(back)


def test_a_letter_that_was_chosen_is_not_sent_again_and_the_others_are() -> None:
    letters = [letter(offset, "odd" if offset % 4 == 0 else "even") for offset in range(0, 40, 2)]
    first = Offsets(0)
    assert sent(first, letters, reason="odd") == 10
    again = Offsets(first.committed, first.note())
    assert sent(again, [one for one in letters if one.offset >= first.committed]) == 10
    assert again.committed == 39
    assert again.note() == ""


def test_letters_that_stay_take_one_run_of_the_note_whatever_lies_between_them() -> None:
    letters = [letter(offset) for offset in range(0, 10_000, 2)]
    offsets = Offsets(0)
    assert sent(offsets, letters, id="0:9998") == 1
    assert (offsets.committed, offsets.note(), offsets.is_noted) == (0, "9997,2", True)


@pytest.mark.slow
def test_of_letters_strewn_among_others_go_as_many_as_can_be_noted() -> None:
    letters = [letter(offset, str(offset % 2)) for offset in range(10_000)]

    def chosen(line: Line) -> bool:
        return bool(line["reason"] == "1")

    offsets = Offsets(0)
    fit = fitting(letters, offsets, chosen, None)
    assert sent(offsets, letters[:fit], reason="1") == fit // 2 >= 1_000
    assert offsets.is_noted
    assert fitting(letters[fit:], offsets, chosen, None) < 2
    # Once the letters in between have gone back, the rest can.
    again = Offsets(offsets.committed, offsets.note())
    assert sent(again, letters[:fit], reason="0") == fit - fit // 2
    assert fitting(letters[fit:], again, chosen, None) > 2


def test_a_letter_that_went_round_too_often_is_put_aside() -> None:
    offsets = Offsets(0)
    back, aside = taken([letter(0, redrives=5), letter(1)], offsets, lambda line: True, most=5)
    assert (len(back), aside, offsets.committed) == (1, 1, 2)


def test_letters_are_chosen_by_what_a_line_says() -> None:
    line = letter_of(letter(7, "odd"))
    assert choice_of({})(line)
    assert choice_of({"id": "0:7", "reason": "odd", "topic": "inbound"})(line)
    assert not choice_of({"id": "0:7", "reason": "even"})(line)


def test_a_reason_cannot_leave_the_command_that_the_console_shows() -> None:
    command = _command({"topic": "optout.inbound-messages.v1", "reason": "it's $(x) `y`; z"})
    assert command == (
        "optout dead-letters redrive --topic optout.inbound-messages.v1"
        """ --reason 'it'"'"'s $(x) `y`; z'"""
    )


@pytest.mark.parametrize(
    ("topics", "others", "shown"),
    [
        ([("t.a", 2)], [], ["<li>2 to t.a</li>", "<button", "left out"]),
        (
            [],
            [("t.b", 1, "optout x 'y'")],
            ["Nothing from this console", "<code>optout x &#39;y&#39;</code>"],
        ),
        (
            [("t.a", 2)],
            [("t.b", 1, "x")],
            ["<li>2 to t.a</li>", "<li>1 to t.b: <code>x</code></li>"],
        ),
        ([], [], ["Nothing: all letters were sent back already."]),
    ],
)
def test_the_page_says_what_goes_back_from_here_and_what_by_command(
    topics: list[Any], others: list[Any], shown: list[str]
) -> None:
    session = SimpleNamespace(csrf="c", actor="operator", caller=SimpleNamespace(operator=True))
    given = {"session": session, "said": "", "here": "/", "wanted": {}, "until": "", "since": ""}
    text = render("redrive", topics=topics, others=others, **given)
    assert [one for one in shown if one not in text] == []
    assert ('<button class="main">Send back' in text) == bool(topics)


@pytest.mark.parametrize("given", [(), ("-", "--all"), ("-", "--topic", "t")])
def test_what_goes_back_is_said_in_one_way(given: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, ("dead-letters", "redrive", *given), input="")
    assert done.exit_code == 2
    assert "name a FILE, give --all, or select by --topic" in done.output


def test_what_may_be_read_is_shared_out_and_what_is_small_goes_whole() -> None:
    sizes = {TopicPartition("letters", one): size for one, size in enumerate((50, 3, 1_000, 0))}
    for most, expected in (
        (2_000, [50, 3, 1_000, 0]),
        (103, [50, 3, 50, 0]),
        (20, [8, 3, 9, 0]),
        (2, [1, 0, 1, 0]),
        (0, [0] * 4),
    ):
        shares = shared_out(sizes, most)
        assert [shares[one] for one in sizes] == expected
