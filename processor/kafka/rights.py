"""The rights of this process's Kafka user, as the brokers report them (KIP-430)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from processor.config import Settings
from processor.kafka.administering import admin_of
from processor.kafka.protocol import operations_on

Kind = Literal["topics", "groups", "transactional_ids"]
_GROUP, _TRANSACTION = 0, 1  # types of coordinators
_REFUSALS = (GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed)
_ASK_AGAIN_S = 0.1
_BITS = {  # as the protocol numbers them
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}
_EVERY = sum(1 << bit for bit in _BITS.values())


class Right(NamedTuple):
    """An operation on a topic, a group or a transactional id, by its full name."""

    kind: Kind
    name: str
    operation: str


def rights_of(
    role: Mapping[Kind, Mapping[str, Sequence[str]]], prefix: str, topics: Collection[str]
) -> list[Right]:
    """The rights of a role, one by one.

    Args:
        role: as `acls.toml` lists them; a name that ends in * is a prefix.
        prefix: of the installation's names.
        topics: the full names of all topics, which a prefix may mean.
    """
    return sorted(
        {
            Right(kind, name, operation)
            for kind, named in role.items()
            for pattern, operations in named.items()
            for name in _names(kind, prefix + pattern, topics)
            for operation in operations
        }
    )


def _names(kind: Kind, pattern: str, topics: Collection[str]) -> Iterator[str]:
    begins = pattern.removesuffix("*")
    if begins == pattern:
        yield pattern
    elif kind == "topics":
        yield from (name for name in topics if name.startswith(begins))
    else:
        yield f"{begins}0"  # the lane of partition 0 stands for every lane


async def missing(settings: Settings, wanted: Sequence[Right]) -> list[Right]:
    """The rights that this process's user lacks; none where brokers know no users.

    Topics that are missing are left out. Of a transactional id, brokers only say whether a user may
    describe it.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    async with admin_of(settings) as admin:
        client = admin._client
        found: dict[tuple[Kind, str], int] = {}
        topics = {right.name for right in wanted if right.kind == "topics"}
        for name, bits in (await operations_on(client, topics)).items():
            found["topics", name] = bits
        for name in {right.name for right in wanted if right.kind == "groups"}:
            found["groups", name] = await _operations_on_group(client, name)
        for name in {right.name for right in wanted if right.kind == "transactional_ids"}:
            found["transactional_ids", name] = await _operations_on_transaction(client, name)
    return [right for right in wanted if _lacks(right, found)]


def _lacks(right: Right, found: Mapping[tuple[Kind, str], int]) -> bool:
    bits = found.get((right.kind, right.name))
    return bits is not None and not bits & 1 << _BITS[right.operation]


class _GroupsResponse(Response):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", String("utf-8")),
                ("state", String("utf-8")),
                ("protocol_type", String("utf-8")),
                ("protocol", String("utf-8")),
                (
                    "members",
                    Array(
                        ("member_id", String("utf-8")),
                        ("client_id", String("utf-8")),
                        ("client_host", String("utf-8")),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _GroupsRequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = _GroupsResponse
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _GroupsRequest(Request[_GroupsRequestV3]):  # type: ignore[misc]
    """Describe groups; aiokafka's own version 3 misreads the answer."""

    API_KEY = 15

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_GroupsRequestV3]) -> _GroupsRequestV3:
        """Build the one version there is."""
        return request_struct_class(self._groups, True)


async def _operations_on_group(client: AIOKafkaClient, group: str) -> int:
    while (coordinator := await _coordinator_of(client, group, _GROUP)) is not None:
        answer = await client.send(coordinator, _GroupsRequest([group]))
        [(code, *_, bits)] = answer.groups
        if not code or not for_code(code).retriable:  # a coordinator may still be loading
            return int(bits) if _is_allowed(code) else 0
        await asyncio.sleep(_ASK_AGAIN_S)
    return 0


async def _operations_on_transaction(client: AIOKafkaClient, name: str) -> int:
    return 0 if await _coordinator_of(client, name, _TRANSACTION) is None else _EVERY


async def _coordinator_of(client: AIOKafkaClient, name: str, kind: int) -> int | None:
    """The broker that has a group or a transactional id; None where this user may not see it."""
    while True:
        asked = FindCoordinatorRequest(name, kind)
        found = await client.send(client.get_random_node(), asked)
        # A new cluster first makes the topic that coordinators keep their groups in.
        if not found.error_code or not for_code(found.error_code).retriable:
            return int(found.coordinator_id) if _is_allowed(found.error_code) else None
        await asyncio.sleep(_ASK_AGAIN_S)


def _is_allowed(code: int) -> bool:
    """Whether an answer refuses nothing.

    Raises:
        aiokafka.errors.KafkaError: the broker refuses for another reason than a missing right.
    """
    error = for_code(code)
    if code and error not in _REFUSALS:
        raise error
    return not code
