"""The requests of users to servers, and the rights that these needed.

The broker writes down whom it allows what (`deploy/local/log4j2.properties`), Redis tells of each
command. So one run of a role shows of each of its rights whether anything would have been refused
without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import partial
from itertools import dropwhile, takewhile
from typing import Any, NamedTuple

from redis.asyncio import Redis

from processor.config import Settings
from tests.installation import until
from tests.secured import REDIS_RULES, Right, Secured, rights_of

_KINDS = {"Topic": "topics", "Group": "groups", "TransactionalId": "transactional_ids"}
_LINE = (
    r"Principal = User:{user} is {outcome} operation = (\w+) from host = \S+ "
    r"on resource = (\w+):LITERAL:(\S+) for request"
)
_INCLUDED = {"Read": "Describe", "Write": "Describe", "AlterConfigs": "DescribeConfigs"}
_DEADLINE_S = 20.0  # counts are written each second, and what waits is tried again


def asked_of_kafka(secured: Secured, user: Settings, outcome: str = "Allowed") -> set[Right]:
    """A user's requests to this installation, allowed or refused."""
    line = _LINE.format(user=user.kafka_username, outcome=outcome)
    return {
        Right(_KINDS[kind], name.removeprefix(secured.prefix), operation.title().replace("_", ""))
        for operation, kind, name in re.findall(line, secured.servers.log.read_text())
        if kind in _KINDS and not name.startswith("sign-of-")
    }


def allows(right: Right, asked: Right) -> bool:
    """Whether a right is enough for what was asked."""
    prefixed = right.name.endswith("*") and asked.name.startswith(right.name[:-1])
    return (
        right.kind == asked.kind
        and (prefixed or right.name == asked.name)
        and asked.operation in (right.operation, _INCLUDED.get(right.operation))
    )


def needless(rights: Sequence[Right], asked: Iterable[Right]) -> set[Right]:
    """The rights without which nothing would have been refused."""
    enough = [[right for right in rights if allows(right, one)] for one in asked]
    return set(rights) - {each[0] for each in enough if len(each) == 1}


class Command(NamedTuple):
    """A command that a user gave a Redis, and its keys without the prefix."""

    name: str
    keys: tuple[str, ...]

    def is_allowed_by(self, rule: str) -> bool:
        """Whether a rule of `acls.toml` is for it; which of them Redis took is not seen."""
        patterns = patterns_of(rule)
        return f"+{self.name}" in rule.split() and (
            not patterns or all(any(map(partial(fnmatchcase, one), patterns)) for one in self.keys)
        )


def patterns_of(rule: str) -> list[str]:
    """Of the keys that a rule is for."""
    return [word.partition("~")[2] for word in rule.split() if "~" in word]


def unused(rule: str, given: Iterable[Command]) -> set[str]:
    """The commands and patterns of a rule that no request needed."""
    needed = [one for one in given if one.is_allowed_by(rule)]
    commands = {f"+{one.name}" for one in needed}
    keys = {key for one in needed for key in one.keys}
    return {
        word
        for word in rule.split()
        if not (
            any(fnmatchcase(key, word.partition("~")[2]) for key in keys)
            if "~" in word
            else word in commands
        )
    }


Given = Mapping[str, set[Command]]
"""Which commands users of a Redis gave."""


@asynccontextmanager
async def commands_given(url: str, prefix: str) -> AsyncIterator[Given]:
    """What users ask a Redis for keys with a prefix, as long as this lasts, in scripts too."""
    given: dict[str, set[Command]] = defaultdict(set)
    async with (
        Redis.from_url(url, socket_timeout=None) as told,  # it waits for others to ask
        Redis.from_url(url, decode_responses=True) as asked,
        told.monitor() as monitor,
    ):
        noting = asyncio.create_task(_note(monitor, asked, prefix, given))
        try:
            yield given
        finally:
            noting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await noting


async def _note(monitor: Any, asked: Any, prefix: str, given: dict[str, set[Command]]) -> None:
    users: dict[str, str] = {}
    user = ""
    async for one in monitor.listen():
        if one["client_type"] != "lua":  # those come right behind the script's own
            address = f"{one['client_address']}:{one['client_port']}"
            if address not in users:
                users |= {each["addr"]: each["user"] for each in await asked.client_list()}
            user = users.get(address, "")
        given[user].add(command_of(one["command"], prefix))


def command_of(text: str, prefix: str) -> Command:
    """A command as MONITOR prints it; its keys are the arguments with the prefix, in a row."""
    name, *words = text.split(" ")
    found = dropwhile(lambda word: not word.startswith(prefix), words)
    keys = takewhile(lambda word: word.startswith(prefix), found)
    return Command(name.lower(), tuple(key.removeprefix(prefix) for key in keys))


async def assert_each_right_was_needed(
    secured: Secured, role: str, user: Settings, given: Given | None = None
) -> None:
    """Wait until a run of a role has needed each of its rights, and asked for nothing else."""
    left: set[Right | str] = set()

    async def none_left() -> bool:
        left.clear()
        left.update(needless(rights_of(role), asked_of_kafka(secured, user)))
        if given is not None:
            mine = given[str(user.kafka_username)]
            for rule in REDIS_RULES[role]:
                left.update(f"{word} of {rule}" for word in unused(rule, mine))
        return not left

    with contextlib.suppress(AssertionError):
        await until(none_left, "right that was needed", _DEADLINE_S)
    assert left == set(), f"{role} was not seen to need {left}"
    refused = asked_of_kafka(secured, user, "Denied")
    assert refused == set(), f"{role} asked for what it may not: {refused}"
