"""Four requests, or versions of them, that aiokafka does not speak yet.

Metadata 10 returns a topic's id, which differs from that of a later topic of the same name
(KIP-516). It also says what this user may do with the topic (KIP-430). CreateTopics 4 leaves the
replication factor to the broker (KIP-464). IncrementalAlterConfigs sets some settings of a topic
and leaves the others as they are (KIP-339).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.admin import CreateTopicsRequest_v3, CreateTopicsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

NONE = UUID(int=0)
_MAY_WRITE = 1 << 4  # among a topic's authorized operations (KIP-430)


class _Uuid(AbstractType[UUID]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


_Text = CompactString("utf-8")


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _Text),
                ("port", Int32),
                ("rack", _Text),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _Text),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _Text),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestV10(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", _Text), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestV10]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Iterable[str], *, operations: bool = False) -> None:
        self._topics: list[tuple[object, ...]] = [(NONE, topic, {}) for topic in topics]
        self._operations = operations

    def build(self, request_struct_class: type[_MetadataRequestV10]) -> _MetadataRequestV10:
        return request_struct_class(self._topics, False, False, self._operations, {})


class TopicNow(NamedTuple):
    """A topic as a broker knows it."""

    id: str
    led: frozenset[int]  # partitions that have a leader
    error: type[KafkaError] | None  # with which the broker answers for it


async def topics_now(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, TopicNow]:
    """Topics by their names, as any broker of a started aiokafka client knows them.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    response = await client.send(client.get_random_node(), _MetadataRequest(topics))
    return {
        name: TopicNow(
            str(id_),
            frozenset(one[1] for one in partitions if one[2] >= 0),
            for_code(error_code) if error_code else None,
        )
        for error_code, name, id_, _, partitions, *_ in response.topics
    }


async def operations_on(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, int]:
    """The operations that a started aiokafka client's user may do on topics; all without users.

    Returns:
        By topic, a bit for each operation as the protocol numbers them (KIP-430). A topic that the
        user may not see has none, and a topic that is missing is left out.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    asked = _MetadataRequest(topics, operations=True)
    response = await client.send(client.get_random_node(), asked)
    return {
        name: 0 if error_code else operations
        for error_code, name, _, _, _, operations, *_ in response.topics
        if for_code(error_code) is not UnknownTopicOrPartitionError
    }


async def writable(client: AIOKafkaClient, topics: Iterable[str]) -> frozenset[str]:
    """Those of topics that the user of a started aiokafka client may write to; all without users.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    found = await operations_on(client, topics)
    return frozenset(name for name, operations in found.items() if operations & _MAY_WRITE)


async def topic_ids(client: AIOKafkaClient, topics: Iterable[str]) -> dict[str, str]:
    """The ids of topics by their names.

    Raises:
        aiokafka.errors.KafkaError: as the broker answers, an unknown topic among them.
    """
    found = await topics_now(client, topics)
    for name, topic in found.items():
        if topic.error:
            raise topic.error(name)
    return {name: topic.id for name, topic in found.items()}


async def topic_id(client: AIOKafkaClient, topic: str) -> str:
    """See ``topic_ids``."""
    return (await topic_ids(client, [topic]))[topic]


class _CreateTopicsResponseV4(CreateTopicsResponse_v3):  # type: ignore[misc]
    API_VERSION = 4


class _CreateTopicsRequestV4(CreateTopicsRequest_v3):  # type: ignore[misc]
    API_VERSION = 4
    RESPONSE_TYPE = _CreateTopicsResponseV4


class CreateTopics(Request[_CreateTopicsRequestV4]):  # type: ignore[misc]
    """Create topics with the broker's default replication.

    Args:
        topics: name, partitions and configuration of each.
        timeout_ms: for the broker to have created them.
    """

    API_KEY = 19

    def __init__(
        self, topics: Sequence[tuple[str, int, Mapping[str, str]]], *, timeout_ms: int = 30_000
    ) -> None:
        self._topics: list[tuple[object, ...]] = [
            (name, partitions, -1, [], list(config.items())) for name, partitions, config in topics
        ]
        self._timeout_ms = timeout_ms

    def build(self, request_struct_class: type[_CreateTopicsRequestV4]) -> _CreateTopicsRequestV4:
        """Build the one version there is."""
        return request_struct_class(self._topics, self._timeout_ms, False)


class _AlterResponse(Response):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _AlterRequestV0(RequestStruct):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(
                        ("name", String("utf-8")),
                        ("operation", Int8),
                        ("value", String("utf-8")),
                    ),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class SetTopicConfigs(Request[_AlterRequestV0]):  # type: ignore[misc]
    """Set settings of topics.

    Args:
        settings: by full name, each setting's value.
    """

    API_KEY = 44
    _TOPIC, _SET = 2, 0

    def __init__(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        self._resources = [
            (self._TOPIC, topic, [(name, self._SET, value) for name, value in values.items()])
            for topic, values in settings.items()
        ]

    def build(self, request_struct_class: type[_AlterRequestV0]) -> _AlterRequestV0:
        """Build the one version there is."""
        return request_struct_class(self._resources, False)


class _LeaveGroupResponse(Response):  # type: ignore[misc]
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(
                ("member_id", String("utf-8")),
                ("group_instance_id", String("utf-8")),
                ("error_code", Int16),
            ),
        ),
    )


class _LeaveGroupRequestV3(RequestStruct):  # type: ignore[misc]
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        (
            "members",
            Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8"))),
        ),
    )


class LeaveGroup(Request[_LeaveGroupRequestV3]):  # type: ignore[misc]
    """Have a member leave its group at once.

    Args:
        group: its name.
        member_id: that the group gave it.
        instance_id: of a static member, else None.
    """

    API_KEY = 13

    def __init__(self, group: str, member_id: str, instance_id: str | None) -> None:
        self._group = group
        self._members = [(member_id, instance_id)]

    def build(self, request_struct_class: type[_LeaveGroupRequestV3]) -> _LeaveGroupRequestV3:
        """Build the one version there is."""
        return request_struct_class(self._group, self._members)
