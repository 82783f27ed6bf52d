"""A member of a consumer group that learns which partitions it owns, and reads nothing.

An aiokafka consumer stops reading all partitions while its group rebalances. The coordinator alone
does not: a lane that keeps its partition need not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.connections import Client
from processor.kafka.lanes.assignor import NOTHING, Owned, shares
from processor.kafka.protocol import LeaveGroup

logger = logging.getLogger(__name__)

_REQUEST_S = 4.0  # above the next limit: a request to join is answered when all have asked
_REBALANCE_MS = 3_000  # for all members to ask; a later one starts another rebalance
_HEARTBEAT_MS = 250  # at most: it is how members hear of a rebalance
_METADATA_MS = 30_000  # until a topic that was given more partitions is noticed
_LEAVE_S = 2.0


class Membership:
    """A member of one group, from its start until it is stopped; see ``starting``.

    Args:
        settings: of the clients.
        group: the consumer group.
        topics: their partitions are shared out; partitions with the same number stay together.
        revoked: called when a rebalance begins; the new owners are not known yet.
        assigned: called with this member's partitions when they are known; it must not wait for
            anything.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Sequence[str],
        revoked: Callable[[], None],
        assigned: Callable[[Iterable[TopicPartition]], None],
    ) -> None:
        self._settings = settings
        self._group = group
        self._topics = list(topics)
        self._sticky = _Sticky()
        self._listener = _Listener(revoked, assigned)
        self._subscription: Any = None
        self._coordinator: Any = None
        # It answers for partitions and offsets, too: no fetch for records holds its connections up.
        self.client = Client(
            **settings.kafka(request_s=_REQUEST_S), metadata_max_age_ms=_METADATA_MS
        )

    @property
    def generation(self) -> int:
        """The group's generation, as this member knows it; it grows with each rebalance."""
        return int(self._coordinator.generation)

    @property
    def id(self) -> str:
        """The group's id for this member; it changes if the group dropped the member."""
        return str(self._coordinator.member_id)

    @property
    def is_rebalancing(self) -> bool:
        """Whether partitions may soon move to another member."""
        return bool(self._subscription.reassignment_in_progress)

    def owns(self, partitions: Iterable[int]) -> None:
        """Name the partitions worked here at the next rebalance, so that they stay."""
        self._sticky.owned = Owned(self.generation, frozenset(partitions))

    def partition_counts(self) -> dict[str, int]:
        """How many partitions each topic has; 0 if the brokers do not know at the moment."""
        known = self.client.cluster.partitions_for_topic
        return {topic: len(known(topic) or ()) for topic in self._topics}

    async def start(self) -> None:
        """Request membership.

        Raises:
            aiokafka.errors.KafkaError: no broker answers, or has the topics.
        """
        settings = self._settings
        await self.client.bootstrap()
        for topic in self._topics:
            await self.client._wait_on_metadata(topic)
        self._subscription = SubscriptionState()
        self._subscription.register_fetch_waiters(set())
        self._subscription.subscribe(set(self._topics), self._listener)
        name = settings.instance_id
        self._coordinator = GroupCoordinator(
            self.client,
            self._subscription,
            group_id=self._group,
            group_instance_id=f"{self._group}-{name}" if name else None,
            session_timeout_ms=round(1000 * settings.session_timeout_s),
            heartbeat_interval_ms=min(_HEARTBEAT_MS, round(100 * settings.session_timeout_s)),
            rebalance_timeout_ms=_REBALANCE_MS,
            enable_auto_commit=False,  # the lanes say what is done
            assignors=(self._sticky,),
            max_poll_interval_ms=math.inf,  # lanes may wait long for Redis; the watchdog is our own
        )

    async def watch(self) -> None:
        """Wait until membership ends.

        Raises:
            aiokafka.errors.KafkaError: the reason why the group refuses it.
            BrokerUnavailable: the task that maintains membership has ended.
        """
        coordination = self._coordinator._coordination_task
        while True:
            assignment = self._subscription.wait_for_assignment()
            await asyncio.wait((assignment, coordination), return_when=asyncio.FIRST_COMPLETED)
            if coordination.done():
                raise BrokerUnavailable("Kafka: the task that coordinates with the group has ended")
            assignment.result()

    async def is_current(self) -> bool:
        """Ask the group whether this member still owns its partitions."""
        one = self._coordinator
        me = one.generation, one.member_id
        if self.is_rebalancing or one.coordinator_id is None:
            return False
        try:
            # Not over the coordinator's own connection, where it may wait behind a request to join
            answer = await self.client.send(one.coordinator_id, HeartbeatRequest(self._group, *me))
        except KafkaError:
            return False
        is_known = me == (one.generation, one.member_id) and not self.is_rebalancing
        return is_known and answer.error_code == 0

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit offsets with their notes.

        Raises:
            aiokafka.errors.KafkaError: the group does not take them.
        """
        assignment = self._subscription.subscription.assignment
        await self._coordinator.commit_offsets(assignment, offsets)

    async def leave(self) -> None:
        """Leave the group, so that it shares this member's partitions out at once."""
        one = self._coordinator
        if one is None or one.coordinator_id is None or not one.member_id:
            return
        request = LeaveGroup(self._group, one.member_id, one._group_instance_id)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_LEAVE_S):
                await self.client.send(one.coordinator_id, request)

    async def stop(self) -> None:
        """Leave the group and close the connections, without waiting for a rebalance to end."""
        if (one := self._coordinator) is not None:
            for task in (one._coordination_task, one._heartbeat_task, one._commit_refresh_task):
                if task is not None:
                    task.cancel()  # or it would join again
        await self.leave()
        await self.client.close()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(
        self, revoked: Callable[[], None], assigned: Callable[[Iterable[TopicPartition]], None]
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(assigned)


class _Sticky:
    """Shares partitions out when aiokafka asks; see ``shares``."""

    name = "optout"

    def __init__(self) -> None:
        self.owned = NOTHING

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """The data that this member sends to the member that shares partitions out."""
        owned = {"generation": self.owned.generation, "partitions": sorted(self.owned.partitions)}
        return ConsumerProtocolMemberMetadata(0, sorted(topics), orjson.dumps(owned))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Share out; aiokafka calls this at one member, for all."""
        topics = sorted({topic for one in members.values() for topic in one.subscription})
        owned = {member: _owned_in(one.user_data) for member, one in members.items()}
        # A broker that is catching up may not know a topic; partitions worked now still count.
        count = max(
            *(len(cluster.partitions_for_topic(topic) or ()) for topic in topics),
            *(1 + partition for one in owned.values() for partition in one.partitions),
            0,
        )
        return {
            member: ConsumerProtocolMemberAssignment(
                0, [(topic, sorted(partitions)) for topic in topics], b""
            )
            for member, partitions in shares(count, owned).items()
        }

    def on_assignment(self, assignment: object) -> None:
        """Do nothing: the lanes claim their partitions themselves."""


def _owned_in(said: bytes | None) -> Owned:
    try:
        found = orjson.loads(said or b"")
        return Owned(int(found["generation"]), frozenset(map(int, found["partitions"])))
    except (ValueError, TypeError, KeyError):
        return NOTHING  # a stranger
