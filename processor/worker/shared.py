"""The clients, views of topics and counts that the lanes of a worker share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from processor.config import Settings
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.carrier_figures_topic import CarrierFiguresWriter
from processor.kafka.topics.carriers_topic import CarriersView
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.handled_messages import HandledTopics
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import LaneLook, Metrics
from processor.stages.deliver_webhooks import Tokens
from processor.stages.tracing import Traces
from processor.statistics.carrier_figures import State, Tally
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import redis_client
from processor.webhooks.addresses import Network
from processor.webhooks.client import Client, Limits
from processor.wire import opt_out_counts, send_counts
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics

if TYPE_CHECKING:  # it need not be installed
    from opentelemetry.sdk.trace import TracerProvider


class Shared:
    """The parts that the lanes of every role are built from, made once per process.

    Args:
        settings: checked.
        looks: asked for every lane whenever the metrics are read.
        at_step: see ``Lane``; for crash tests.
        provider: of OpenTelemetry's tracers, None for no spans.
        tokens: that webhooks are signed with, the accounts' own if None.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        looks: Callable[[], Iterable[LaneLook]] = lambda: (),
        at_step: Callable[[str], None] = lambda step: None,
        provider: TracerProvider | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.settings = settings
        self.at_step = at_step
        self.topics = Topics.under(settings.topic_prefix)
        self.redis = redis_client(settings)
        self.store = block_list_store(settings, self.redis)
        self.metrics = Metrics(looks, lambda: len(self.services.directory.services))
        self.services = ServicesTopic(settings, self.topics.messaging_services, self.metrics)
        self.accounts = AccountsView(settings, self.topics.accounts, self.metrics)
        self.tokens: Tokens = tokens or self.accounts
        self.carriers = CarriersView(settings, self.topics.carriers, self.metrics)
        self.counts = CountsTopic(
            settings, self.topics.opt_out_counts, self.metrics, write=opt_out_counts.write
        )
        self.send_counts = CountsTopic(
            settings,
            self.topics.send_counts,
            self.metrics,
            write=send_counts.write,
            every_s=send_counts.EVERY_S,
        )
        self.carrier_tally = Tally()
        self.carrier_states: Callable[[], Mapping[str, State]] = dict  # its lanes replace it
        self.carrier_figures = CarrierFiguresWriter(
            settings,
            self.topics.carrier_figures,
            "outbound",
            self.carrier_tally,
            lambda: self.carrier_states(),
        )
        self.cloud_events = CloudEvents(settings.source())
        self.handled = HandledTopics(
            settings,
            notifications=self.topics.opt_out_notifications,
            suspected=self.topics.suspected_opt_outs,
            commands=self.topics.consent_commands,
            dead_letters=self.topics.dead_letters,
            metrics=self.metrics,
        )
        self.webhook_counts: Counter[str] = Counter(unexpected=0)  # see ``DeliverWebhooks``
        self.metrics.webhook_results = self.webhook_counts
        self._provider = provider
        self._truths: list[BlockListTopic] = []
        self._clients: list[Client] = []

    async def follow(self, roles: Iterable[str]) -> None:
        """Follow the configuration for ever, as far as the lanes of these roles go by it."""
        roles = set(roles)
        async with asyncio.TaskGroup() as group:
            if roles:
                group.create_task(self.services.follow())
            if "carriers" in roles:
                group.create_task(self.carriers.topic.follow())
            if roles & {"gate", "webhooks", "carriers"}:
                group.create_task(self.accounts.topic.follow())

    def traces(self, role: str) -> Traces:
        """The spans of a role; none where no provider is given."""
        if self._provider is None:
            return Traces()
        from processor.stages.spans import Spans

        return Spans(self._provider.get_tracer("optout"), self.group(role))

    def group(self, role: str) -> str:
        """A role's consumer group."""
        return f"{self.settings.topic_prefix}{role}"

    def truth(self, topic: str | None = None) -> BlockListTopic:
        """A reader of the block list's topic, or of another like it; each role has its own."""
        self._truths.append(BlockListTopic(self.settings, topic or self.topics.block_list))
        return self._truths[-1]

    def client(
        self,
        *,
        most_idle: int,
        total_s: float | None = None,
        allowed: Sequence[Network] | None = None,
    ) -> Client:
        """A client for webhooks, or for carriers.

        Args:
            most_idle: connections that are kept open while no request uses them.
            total_s: of a request; None: that of webhooks.
            allowed: networks that are not public; None: those that webhooks may reach.
        """
        settings = self.settings
        limits = Limits(settings.webhook_connect_s, total_s or settings.webhook_timeout_s)
        networks = settings.webhook_allow_networks if allowed is None else allowed
        client = Client(networks, limits, most_idle=most_idle)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Drop the connections, once no lane runs."""
        for client in self._clients:
            await client.close()
        for truth in self._truths:
            await truth.close()
        await self.store.close()
