"""The parts that the lanes of the role carriers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cachetools import LRUCache

from processor.carriers.adapter import Accepted, Connection
from processor.carriers.directory import Carriers
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import Metrics
from processor.stages.accounts import Accounts
from processor.stages.pace import Pace
from processor.statistics.carrier_figures import State, Tally
from processor.stores.block_list import BlockListReader
from processor.stores.trusted_list import ListTruth
from processor.webhooks.client import Client
from processor.webhooks.endpoint import Endpoints
from processor.webhooks.retries import RetryRules
from processor.wire.cloud_events import CloudEvents
from processor.wire.records import Header
from processor.wire.topics import Topics

_TAKEN = 20_000  # messages that carriers took, which are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierDependencies:
    """Everything but a lane's own look at the block list."""

    partitions: int  # of every topic
    topics: Topics
    store: BlockListReader
    block_list: ListTruth
    services: ServicesTopic
    accounts: Accounts
    carriers: Carriers
    loaded: Callable[[], Awaitable[None]]  # waits until the carriers are known
    client: Client
    endpoints: Endpoints
    rules: RetryRules
    cloud_events: CloudEvents
    metrics: Metrics
    figures: Tally
    public_url: str | None  # the beginning of the URLs for reports
    share: Callable[[], float]  # see ``Pace``
    max_staleness_s: float | None = None  # see ``TrustedList``
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    paces: dict[str, Pace] = field(default_factory=dict)  # by carrier
    # Outcomes by record, and by what they were judged: a lane that lost Kafka before its commit
    # reads the same records again.
    taken: LRUCache[tuple[str, int, int, str], tuple[Accepted, Sequence[Header]]] = field(
        default_factory=lambda: LRUCache(_TAKEN)
    )

    def pace_of(self, name: str) -> Pace:
        """The pace of a carrier."""
        if name not in self.paces:
            self.paces[name] = Pace(self.share)
        return self.paces[name]

    def count(self, carrier: str, result: str) -> None:
        """Count what became of a message."""
        self.metrics.carrier_sends.labels(carrier, result).inc()
        self.figures.count(carrier, result)

    def states(self) -> dict[str, State]:
        """How every carrier is in this process, by name."""
        return {one.name: self._state_of(one) for one in self.carriers.all()}

    def _state_of(self, connection: Connection) -> State:
        endpoint = self.endpoints.known(connection.name, connection.api_url)
        pace = self.paces.get(connection.name)
        return State(
            waiting=endpoint.in_hand if endpoint else 0,
            paused=endpoint is not None and endpoint.is_failing,
            at_limit=pace is not None and not pace.is_free(connection.sends_per_second),
            closed=connection.closed,
        )
