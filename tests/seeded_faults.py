"""Ways to change a record of a healthy partition, so that an audit must find a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from processor.audit.values import LETTERS
from tests.builders import ACCOUNT, LONG_CODE, OTHER_LONG_CODE, SERVICE
from tests.small_world import World, Written

STOP_REPLY = "You are out. START brings you back."
OPT_OUT = {
    "enabled": True,
    "standard": {"STOP": {"keywords": ["stop", "halt"], "reply": STOP_REPLY}},
    "languages": {"fr": {"STOP": {"keywords": ["arrêt"], "reply": "Fini."}}},
    "countries": {
        "CA": {"languages": {"en": {"HELP": {"keywords": ["assist"], "reply": "Call us."}}}}
    },
}


def a_clinic(version: int = 1, **changes: Any) -> dict[str, Any]:
    """A service as it is stored."""
    return {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "senders": [{"address": LONG_CODE}, {"address": OTHER_LONG_CODE}],
        "inbound_request_url": "https://example.com/inbound",
        "opt_out": OPT_OUT,
        "active": OPT_OUT,
        "version": version,
    } | changes


def altered(topic: str, index: int, **changes: Any) -> Callable[[World], None]:
    """Change fields of a record."""

    def harm(world: World) -> None:
        record = world.logs[topic][index]
        fields = json.loads(record.value or b"")
        for name, value in changes.items():
            place = fields
            *path, last = name.split("__")
            for one in path:
                place = place[int(one) if isinstance(place, list) else one]
            place[last] = value
        world.logs[topic][index] = record._replace(value=json.dumps(fields).encode())

    return harm


def headed(topic: str, index: int, **headers: bytes | None) -> Callable[[World], None]:
    """Change headers of a record; None removes one."""

    def harm(world: World) -> None:
        record = world.logs[topic][index]
        changes = {name.replace("_", "."): value for name, value in headers.items()}
        kept = [pair for pair in record.headers if pair[0] not in changes]
        new = [(name, value) for name, value in changes.items() if value is not None]
        world.logs[topic][index] = record._replace(headers=(*kept, *new))

    return harm


def removed(topic: str, index: int) -> Callable[[World], None]:
    """Take a record away."""

    def harm(world: World) -> None:
        del world.logs[topic][index]

    return harm


def copied(topic: str, index: int) -> Callable[[World], None]:
    """Write a record again."""

    def harm(world: World) -> None:
        record = world.logs[topic][index]
        world.append(topic, record.key, record.value, record.headers)

    return harm


def swapped(topic: str, one: int, other: int) -> Callable[[World], None]:
    """Let two records change places."""

    def harm(world: World) -> None:
        log = world.logs[topic]
        first, second = log[one], log[other]
        log[one] = second._replace(offset=first.offset, timestamp=first.timestamp)
        log[other] = first._replace(offset=second.offset, timestamp=second.timestamp)

    return harm


def put_aside(topic: str, offset: int) -> Callable[[World], None]:
    """Write a dead letter of a record."""

    def harm(world: World) -> None:
        where = {"topic": topic, "partition": "0", "offset": str(offset)}
        headers = [(f"__connect.errors.{name}", text.encode()) for name, text in where.items()]
        world.append(LETTERS, b"", b"", headers)

    return harm


def unhandled(write: Callable[[World], Written]) -> Callable[[World], None]:
    """Write a record that is committed without any result."""

    def harm(world: World) -> None:
        record = write(world)
        world.done[record.topic] = record.offset + 1

    return harm


class Harm(NamedTuple):
    """A fault, and what the audit must say of it."""

    of: Callable[[], Any]
    harm: Callable[[World], None]
    kind: str
    what: str
