"""The check that finds unused rights of a role."""

from __future__ import annotations

import pytest

from tests.asked import Command, command_of, needless, unused
from tests.secured import Right

EVERY = Right("topics", "*", "Describe")
READ = Right("topics", "a.v1", "Read")
WRITE = Right("topics", "a.v1", "Write")
GROUP = Right("groups", "a.v1", "Read")


def of_a(operation: str) -> Right:
    return Right("topics", "a.v1", operation)


@pytest.mark.parametrize(
    ("rights", "asked", "left"),
    [
        ([READ, WRITE], [of_a("Read"), of_a("Write")], set()),
        ([READ, WRITE], [of_a("Read"), of_a("Describe")], {WRITE}),
        ([EVERY, READ], [of_a("Read"), of_a("Describe")], {EVERY}),
        ([EVERY, READ], [of_a("Read"), Right("topics", "b.v1", "Describe")], set()),
        ([READ, GROUP], [of_a("Read")], {GROUP}),
        ([READ, READ], [of_a("Read")], {READ}),
        ([READ], [], {READ}),
    ],
)
def test_a_right_is_needless_where_nothing_would_be_refused_without_it(
    rights: list[Right], asked: list[Right], left: set[Right]
) -> None:
    assert needless(rights, asked) == left


LIST = "+evalsha +hmget %R~{*}:meta ~{*}:entries"


@pytest.mark.parametrize(
    ("rule", "given", "left"),
    [
        ("+time +info", [Command("time", ()), Command("info", ())], set()),
        ("+time +info", [Command("time", ())], {"+info"}),
        (
            LIST,
            [Command("evalsha", ("{0}:meta", "{0}:entries")), Command("hmget", ("{0}:meta",))],
            set(),
        ),
        (LIST, [Command("evalsha", ("{0}:meta",))], {"+hmget", "~{*}:entries"}),
        (LIST, [Command("hmget", ("{0}:undo",))], set(LIST.split())),
        (LIST, [Command("hmget", ("{0}:meta", "message:SM1"))], set(LIST.split())),
    ],
)
def test_a_word_of_a_rule_is_unused_where_no_command_needed_it(
    rule: str, given: list[Command], left: set[str]
) -> None:
    assert unused(rule, given) == left


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ("TIME", Command("time", ())),
        ("HMGET t.{0}:entries AC1/+1555 AC2/+1555", Command("hmget", ("{0}:entries",))),
        ("rename t.{0}:rebuilt t.{0}:entries", Command("rename", ("{0}:rebuilt", "{0}:entries"))),
        (
            "EVALSHA abc 2 t.{0}:meta t.{0}:entries x",
            Command("evalsha", ("{0}:meta", "{0}:entries")),
        ),
        (
            "EVAL return redis.call('T', KEYS[1]) 1 t.message:SM1 x",
            Command("eval", ("message:SM1",)),
        ),
    ],
)
def test_keys_are_what_has_the_prefix_in_a_row(told: str, command: Command) -> None:
    assert command_of(told, "t.") == command
