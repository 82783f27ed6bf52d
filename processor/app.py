"""The Faust app, and the one place that builds clients and joins stages."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import faust
import faust.app
from mode import Service

from processor import certificates, config, logs, servers
from processor.config import Settings
from processor.errors import ConfigError, StoreUnavailable
from processor.kafka.lanes.at_least_once import DeliveryLane
from processor.kafka.lanes.partition_lane import LaneState
from processor.kafka.lanes.supervisor import Lanes
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.block_list_topic import BlockListTopic
from processor.kafka.topics.counts_topic import CountsTopic
from processor.kafka.topics.handled_messages import HandledTopics
from processor.kafka.topics.services_topic import ServicesTopic
from processor.metrics import (
    GateMetrics,
    LaneLook,
    LaneMetrics,
    MatchMetrics,
    Metrics,
)
from processor.stages import opt_out_rates
from processor.stages.deliver_webhooks import DeliverWebhooks, Tokens
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.measured_block_list import MeasuredBlockList
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import redis_client
from processor.webhooks import descriptors
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.client import Client, Limits
from processor.webhooks.endpoint import Endpoints, Rules
from processor.webhooks.retries import RetryRules
from processor.wire.cloud_events import CloudEvents
from processor.wire.credentials import Unopened
from processor.wire.topics import Topics
from processor.worker import pages

logger = logging.getLogger(__name__)

_WATCH_S = 5.0
_OLD_S = 60.0  # of the configuration
_COUNTS_S = 2.0
_NAMED = 10  # accounts in a reason
_FAUST_STOP_S = 5.0  # Faust's own clients, once no lane runs
_STOP_S = 45.0  # all of it; orchestrators kill after 60


class Runtime:
    """Everything a worker runs, built from its settings.

    Args:
        settings: checked.
        at_step: see ``Lane``; for crash tests.
        provider: of OpenTelemetry's tracers, None for no spans.
        tokens: that webhooks are signed with, the accounts' own if None.

    Raises:
        ConfigError: what a setting needs is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        at_step: Callable[[str], None] = lambda step: None,
        provider: Any = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.settings = settings
        self.provider = provider
        self.topics = Topics.under(settings.topic_prefix)
        self.redis = redis_client(settings)
        self.store = block_list_store(settings, self.redis)
        self.metrics = Metrics(self._looks, lambda: len(self.services.directory.services))
        self.services = ServicesTopic(settings, self.topics.messaging_services, self.metrics)
        self.counts = CountsTopic(settings, self.topics.opt_out_counts, self.metrics)
        self._truths: list[BlockListTopic] = []  # of the list; each role asks by itself
        self.cloud_events = CloudEvents(settings.source())
        self.handled = HandledTopics(
            settings,
            notifications=self.topics.opt_out_notifications,
            commands=self.topics.consent_commands,
            dead_letters=self.topics.dead_letters,
            metrics=self.metrics,
        )
        self._at_step = at_step
        self.accounts = AccountsView(settings, self.topics.accounts, self.metrics)
        self.tokens: Tokens = tokens or self.accounts
        self.webhook_counts: Counter[str] = Counter(unexpected=0)  # see ``DeliverWebhooks``
        self.metrics.webhook_results = self.webhook_counts
        self._client: Client | None = None
        self._redis_unfit: str | None = None  # as last looked at
        makers = {
            "match": self._match_lanes,
            "gate": self._gate_lanes,
            "webhooks": self._webhook_lanes,
        }
        self.lanes: dict[str, Lanes] = {
            role: makers[role]() for role in settings.roles if role in makers
        }

    async def follow(self) -> None:
        """Follow the configuration for ever, where there is a lane that goes by it."""
        async with asyncio.TaskGroup() as group:
            if self.lanes:
                group.create_task(self.services.follow())
            if self.lanes.keys() & {"gate", "webhooks"}:
                group.create_task(self.accounts.topic.follow())

    def _traces(self, group: str) -> Traces:
        if self.provider is None:
            return Traces()
        from processor.stages.spans import Spans

        return Spans(self.provider.get_tracer("optout"), group)

    def truth(self, topic: str | None = None) -> BlockListTopic:
        """A reader of the block list's topic, or of another like it; closed with the worker."""
        self._truths.append(BlockListTopic(self.settings, topic or self.topics.block_list))
        return self._truths[-1]

    def _match_lanes(self) -> Lanes:
        group = f"{self.settings.topic_prefix}match"
        needs = MatchDependencies(
            partitions=self.settings.partitions,
            topics=self.topics,
            scope=self.settings.block_scope,
            store=MeasuredBlockList(self.store, self.metrics, "match"),
            block_list=self.truth(),
            services=self.services,
            cloud_events=self.cloud_events,
            counts=self.counts,
            metrics=MatchMetrics(self.metrics),
            traces=self._traces(group),
            handled=self.handled,
            at_step=self._at_step,
        )
        return Lanes(
            self.settings,
            group=group,
            topics=self.topics.sources("match"),
            outputs=self.topics.outputs("match"),
            stage=lambda partition: MatchInbound(partition, needs),
            metrics=LaneMetrics(self.metrics, "match"),
            prepared=self.services.wait_loaded,
            at_step=self._at_step,
        )

    def _gate_lanes(self) -> Lanes:
        group = f"{self.settings.topic_prefix}gate"
        needs = GateDependencies(
            partitions=self.settings.partitions,
            topics=self.topics,
            store=MeasuredBlockList(self.store, self.metrics, "gate"),
            block_list=self.truth(),
            services=self.services,
            accounts=self.accounts,
            cloud_events=self.cloud_events,
            metrics=GateMetrics(self.metrics),
            traces=self._traces(group),
            max_staleness_s=self.settings.gate_max_staleness_s,
        )

        async def prepared() -> None:
            await self.services.wait_loaded()
            await self.accounts.wait_loaded()

        return Lanes(
            self.settings,
            group=group,
            topics=self.topics.sources("gate"),
            outputs=self.topics.outputs("gate"),
            stage=lambda partition: GateOutbound(partition, needs),
            metrics=LaneMetrics(self.metrics, "gate"),
            prepared=prepared,
            at_step=self._at_step,
        )

    def _webhook_lanes(self) -> Lanes:
        settings, topics, counts = self.settings, self.topics, self.webhook_counts
        most_requests = descriptors.most_requests(settings.webhook_worker_concurrency)
        self._client = Client(
            settings.webhook_allow_networks,
            Limits(settings.webhook_connect_s, settings.webhook_timeout_s),
            most_idle=most_requests // 4,
        )
        rules = Rules(
            settings.webhook_concurrency,
            settings.webhook_account_concurrency,
            most_requests,
            CircuitRules(settings.webhook_circuit_failures, settings.webhook_circuit_s),
        )
        stage = DeliverWebhooks(
            topics=topics,
            services=self.services,
            tokens=self.tokens,
            accounts=self.accounts,
            client=self._client,
            endpoints=Endpoints(rules, counts),
            rules=RetryRules(
                settings.webhook_attempts,
                settings.webhook_first_delay_s,
                settings.webhook_longest_delay_s,
            ),
            counts=counts,
            request_seconds=self.metrics.webhook_request_seconds,
            traces=self._traces(f"{settings.topic_prefix}webhooks"),
        )
        return Lanes(
            settings,
            group=f"{settings.topic_prefix}webhooks",
            topics=topics.sources("webhooks"),
            outputs=topics.outputs("webhooks"),
            stage=lambda partition: stage,
            lane=DeliveryLane,
            metrics=LaneMetrics(self.metrics, "webhooks"),
            prepared=stage.begin,
            at_step=self._at_step,
        )

    async def close(self) -> None:
        """Drop the connections, once no lane runs."""
        if self._client is not None:
            await self._client.close()
        for truth in self._truths:
            await truth.close()
        await self.store.close()

    async def wait_for_servers(self) -> None:
        """See ``servers``."""
        await servers.wait_for_servers(self.settings, self.redis, who="worker")

    async def watch(self) -> None:
        """Look at Kafka and Redis; end the process where a lane is stuck: a new one is started."""
        redis_since: float | None = None
        while True:
            await asyncio.sleep(_WATCH_S)
            try:
                await self.redis.check()
                self._redis_unfit = None
                redis_since = redis_since or time.monotonic()
            except (ConfigError, StoreUnavailable) as error:
                self._redis_unfit, redis_since = str(error), None
            for role, lanes in self.lanes.items():
                if lanes.unfit:
                    os._exit(2)  # started anew, it says what to do
                stuck = await lanes.stuck(self.settings.watchdog_s, redis_since=redis_since)
                for state in stuck:
                    extra = {"role": role, "partition": state.partition, "why": state.doing}
                    logger.error("worker.stuck", extra=extra)
                if stuck:
                    await self._hand_over()

    async def _hand_over(self) -> None:
        """Let other workers have the partitions at once, and end."""
        await asyncio.gather(*(lanes.hand_over() for lanes in self.lanes.values()))
        os._exit(1)

    def states(self) -> dict[str, list[LaneState]]:
        """How every lane is, by role."""
        return {role: lanes.states() for role, lanes in self.lanes.items()}

    def unready(self) -> list[str]:
        """Why this worker is not ready; empty where it is."""
        reasons = [self._redis_unfit] if self._redis_unfit else []
        if self.services.age_s > _OLD_S:
            reasons.append(f"the configuration was current {self.services.age_s:.0f} s ago")
        if (age_s := self.accounts.topic.age_s) > _OLD_S:
            reasons.append(f"the accounts were current {age_s:.0f} s ago")
        for role, lanes in self.lanes.items():
            if not lanes.joined:
                reasons.append(f"{role}: {lanes.failed or 'no member'}")
            elif lanes.unheard:
                reasons.append(f"{role}: Kafka does not answer")
        if "webhooks" in self.lanes and (unopened := self.tokens.unopened()):
            reasons.append(f"webhooks: {_said_of(unopened)}")
        reasons += [f"{role}: {lanes.unfit}" for role, lanes in self.lanes.items() if lanes.unfit]
        return reasons + [
            f"{role} {state.partition}: {state.doing}"
            for role, states in self.states().items()
            for state in states
            if state.doing != "running"
        ]

    def _looks(self) -> Iterable[LaneLook]:
        for role, lanes in self.lanes.items():
            for state in lanes.states():
                works = state.doing == "running"
                yield LaneLook(role, state.partition, works, lanes.lags.get(state.partition))


def _said_of(unopened: Mapping[str, Unopened]) -> str:
    """Which accounts' webhooks wait for which keys; neither is a secret."""
    keys = sorted({one.key_id for one in unopened.values()})
    named = sorted(unopened)[:_NAMED]
    more = f" and {len(unopened) - len(named)} more" if len(unopened) > len(named) else ""
    return (
        f"OPTOUT_SECRET_KEYS opens no token of {', '.join(named)}{more}, sealed with"
        f" key {', '.join(keys)}; their deliveries wait"
    )


def tracer_provider(settings: Settings) -> Any:
    """OpenTelemetry's provider of tracers, None where none is wanted.

    Raises:
        ConfigError: one is asked for, and OpenTelemetry is not installed.
    """
    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ
    if not (endpoint if settings.tracing is None else settings.tracing):
        return None
    try:
        from processor.stages.spans import provider
    except ImportError:
        problem = "OPTOUT_TRACING: needs OpenTelemetry: pip install 'optout[tracing]'"
        if settings.tracing:
            raise ConfigError([problem]) from None
        logger.warning("tracing.off", extra={"why": problem})
        return None
    return provider()


class _Hosted(Service):  # type: ignore[misc]
    """What runs in Faust's service tree: the lanes, the configuration and the watchdog."""

    def __init__(self, runtime: Runtime, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self._running: list[asyncio.Task[None]] = []
        self._counting: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        runtime = self._runtime
        self.add_future(runtime.follow())
        self.add_future(self._settle())
        self.add_future(runtime.watch())
        self.add_future(certificates.keep_current())
        # Not futures of the service: it would cancel them before they have finished their batch.
        self._running = [asyncio.create_task(lanes.run()) for lanes in runtime.lanes.values()]
        self._counting = asyncio.create_task(runtime.counts.run())

    async def _settle(self) -> None:
        if self._runtime.lanes:
            await self._runtime.services.wait_loaded()
        servers.settle_memory()

    async def on_stop(self) -> None:
        for lanes in self._runtime.lanes.values():
            lanes.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=25)
        self._runtime.counts.stop()
        if self._counting:
            await asyncio.wait([self._counting], timeout=_COUNTS_S)
        await self._runtime.close()
        if self._runtime.provider is not None:
            await asyncio.to_thread(self._runtime.provider.shutdown)  # with what is not sent yet


class OptOutApp(faust.App):  # type: ignore[misc]
    """A Faust app that waits for its servers before it starts, and hosts the lanes."""

    runtime: Runtime
    _hosted: _Hosted | None = None

    async def on_first_start(self) -> None:
        """Faust itself would die without a broker."""
        try:
            await self.runtime.wait_for_servers()
        except ConfigError as error:
            for problem in error.problems:
                logger.error("worker.unfit", extra={"why": problem})
            os._exit(2)
        await super().on_first_start()
        # A child does not wait for an agent's tables.
        self._hosted = _Hosted(self.runtime, loop=self.loop, beacon=self.beacon)
        self.add_dependency(self._hosted)

    async def on_stop(self) -> None:
        """Stop the lanes first: Faust's own clients wait without limit where no broker answers."""
        loop = asyncio.get_running_loop()
        loop.call_later(_STOP_S, os._exit, 1)  # whatever still holds it up
        if self._hosted:
            await self._hosted.stop()
        loop.call_later(_FAUST_STOP_S, os._exit, 1 if self.crashed else 0)
        await super().on_stop()


def create_app(settings: Settings) -> OptOutApp:
    """Build the worker of these settings."""
    descriptors.raise_limit()
    app = OptOutApp(
        f"{settings.topic_prefix}rates",  # the agent's group
        broker=[f"kafka://{host}" for host in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        Topic=opt_out_rates.MadeTopic,
        Table=opt_out_rates.MadeTable,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id,
        worker_redirect_stdouts=False,
        logging_config=logs.CONFIG,
        web_bind=settings.web_host,
        web_port=servers.free_port(settings.web_port, "OPTOUT_WEB_PORT"),
        datadir=Path(tempfile.gettempdir()) / f"{settings.topic_prefix}worker",
    )
    app.runtime = Runtime(settings, provider=tracer_provider(settings))
    # Faust needs a consumer and a producer of its own only for an agent.
    app.boot_strategy.enable_kafka = "rates" in settings.roles
    if app.boot_strategy.enable_kafka:
        topic = app.runtime.topics.opt_out_counts
        opt_out_rates.add_to(app, topic, settings.partitions, app.runtime.metrics)
    runtime = app.runtime
    pages.add_to(app, settings, unready=runtime.unready, metrics=runtime.metrics.text)
    return app


def _credentials(settings: Settings) -> Any:
    options = settings.kafka()
    tls = options["ssl_context"]
    if settings.kafka_security_protocol.startswith("SASL_"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=tls,
        )
    return faust.SSLCredentials(tls) if tls else None


def __getattr__(name: str) -> Any:
    """``app``, built when ``faust -A processor.app`` first asks for it."""
    if name != "app":
        raise AttributeError(name)
    logs.set_up()
    try:
        app = create_app(config.load())
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
        raise SystemExit(2) from None
    globals()["app"] = app
    return app
