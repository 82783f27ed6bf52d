"""A carrier of an installation in memory: the real stage, with responses that a test chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from processor.carriers.directory import Carriers
from processor.kafka.writing import Outgoing
from processor.metrics import Metrics
from processor.stages.accounts import AllActive
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.handing_over import HandOver
from processor.stages.send_by_carriers import SendByCarriers
from processor.statistics.carrier_figures import Tally
from processor.stores.memory import MemoryBlockList
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.endpoint import Endpoints, Rules
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import RetryRules
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics
from tests.builders import LONG_CODE, OTHER_LONG_CODE
from tests.carriers import a_connection

TOPICS = Topics.under("")


class _Provider:
    """Answers 201, unless a test says otherwise."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    async def call(self, request: Request) -> Answered:
        """See ``Client``."""
        return Answered(self.statuses.pop(0) if self.statuses else 201, None, b'{"sid": "SMx"}')


class SmallCarrier:
    """Reads the topics of a world's partition, each record once.

    Args:
        store: the served list.
        fakes: the services, and the list's topic.
        now_ms: the time.
    """

    def __init__(
        self, store: MemoryBlockList, fakes: SimpleNamespace, now_ms: Callable[[], int]
    ) -> None:
        self._read: Counter[str] = Counter()
        self._provider = _Provider()
        provider: Any = self._provider
        connection = a_connection("twilio", senders=[LONG_CODE, OTHER_LONG_CODE])
        rules = Rules(8, 8, 8, CircuitRules(20, 1.0))
        needs = CarrierDependencies(
            partitions=1,
            topics=TOPICS,
            store=store,
            block_list=fakes.block_list,
            services=fakes.services,
            accounts=AllActive(),
            carriers=Carriers([connection]),
            loaded=fakes.services.wait_loaded,
            client=provider,
            endpoints=Endpoints(rules, Counter()),
            rules=RetryRules(12, 0.001, 0.008),
            cloud_events=CloudEvents("urn:test"),
            metrics=Metrics(),
            figures=Tally(),
            public_url=None,
            share=lambda: 1.0,
            clock=lambda: datetime.fromtimestamp(now_ms() / 1000, UTC),
        )
        self._stage = SendByCarriers(0, needs)

    async def hand_over(
        self, logs: Mapping[str, Sequence[Any]], statuses: Sequence[int]
    ) -> list[Outgoing]:
        """Work the new records of its topics; return what it writes."""
        await self._stage.begin()
        self._provider.statuses = list(statuses)
        made: list[Outgoing] = []
        for topic in (TOPICS.reply_sends, TOPICS.allowed_sends, *TOPICS.carrier_retries):
            new = logs[topic][self._read[topic] :]
            self._read[topic] += len(new)
            for record in new:
                work = self._stage.work_of(record)
                assert isinstance(work, HandOver)
                made += await work.do()
        return made
