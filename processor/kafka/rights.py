"""The rights of this process's Kafka user, as the brokers report them (KIP-430)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TransactionalIdAuthorizationFailed, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from processor.config import Settings
from processor.kafka.administering import admin_of
from processor.kafka.failures import unavailable
from processor.kafka.protocol import operations_on

Kind = Literal["topics", "groups", "transactional_ids"]
_GROUP, _TRANSACTION = 0, 1  # types of coordinators
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
    found = await client.send(client.get_random_node(), FindCoordinatorRequest(group, _GROUP))
    if found.error_code:
        return _none_unless_unavailable(found.error_code)
    if not await client.ready(found.coordinator_id):
        raise unavailable(KafkaError("the coordinator of a group does not answer"))
    answer = await client.send(found.coordinator_id, _GroupsRequest([group]))
    [(code, *_, bits)] = answer.groups
    return _none_unless_unavailable(code) if code else int(bits)


async def _operations_on_transaction(client: AIOKafkaClient, name: str) -> int:
    asked = FindCoordinatorRequest(name, _TRANSACTION)
    found = await client.send(client.get_random_node(), asked)
    return _none_unless_unavailable(found.error_code) if found.error_code else _EVERY


def _none_unless_unavailable(code: int) -> int:
    """No operation where a right is missing.

    Raises:
        aiokafka.errors.KafkaError: the broker has another reason.
    """
    error = for_code(code)
    if "Authorization" in error.__name__ or error is TransactionalIdAuthorizationFailed:
        return 0
    raise error
