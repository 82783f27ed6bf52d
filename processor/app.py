"""The Faust app, and the one place that builds clients and joins stages."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
import faust.app
from mode import Service

from processor import config, logs
from processor.config import Settings
from processor.core.circuit import CircuitRules
from processor.core.retries import RetryRules
from processor.endpoints.client import Client, Limits
from processor.endpoints.endpoint import Endpoints, Rules
from processor.errors import BrokerUnavailable, ConfigError, StoreUnavailable
from processor.kafka import topic_admin
from processor.kafka.block_list_topic import BlockListTopic
from processor.kafka.delivery_lane import DeliveryLane
from processor.kafka.lanes import Lanes
from processor.kafka.partition_lane import LaneState
from processor.kafka.services_topic import ServicesTopic
from processor.stages.deliver_webhooks import DeliverWebhooks, NoTokens, Tokens
from processor.stages.gate_outbound import GateOutbound
from processor.stages.match_inbound import MatchInbound
from processor.stores.redis_block_list import RedisBlockList
from processor.stores.redis_client import RedisClient
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_HOUR_MS = 3_600_000
_RETRY_S = 1.0
_WATCH_S = 5.0


class Runtime:
    """Everything a worker runs, built from its settings.

    Args:
        settings: checked.
        at_step: see ``Lane``; for crash tests.
        tokens: that webhooks are signed with.
    """

    def __init__(
        self,
        settings: Settings,
        at_step: Callable[[str], None] = lambda step: None,
        tokens: Tokens | None = None,
    ) -> None:
        self.settings = settings
        self.topics = Topics.under(settings.topic_prefix)
        self.redis = RedisClient(settings.redis_url, timeout_s=settings.redis_timeout_s)
        self.store = block_list_store(settings, self.redis)
        self.services = ServicesTopic(settings, self.topics.messaging_services)
        self.block_list = BlockListTopic(settings, self.topics.block_list)
        self._at_step = at_step
        self.tokens = tokens or NoTokens()
        self.webhook_counts: Counter[str] = Counter()  # see ``DeliverWebhooks``
        self._client = Client(
            settings.webhook_allow_networks,
            Limits(settings.webhook_connect_s, settings.webhook_timeout_s),
        )
        makers = {
            "match": self._match_lanes,
            "gate": self._gate_lanes,
            "webhooks": self._webhook_lanes,
        }
        self.lanes: dict[str, Lanes] = {role: makers[role]() for role in settings.roles}

    def _match_lanes(self) -> Lanes:
        def stage(partition: int) -> MatchInbound:
            return MatchInbound(
                partition,
                partitions=self.settings.partitions,
                topics=self.topics,
                scope=self.settings.block_scope,
                store=self.store,
                block_list=self.block_list,
                services=self.services,
                at_step=self._at_step,
            )

        return Lanes(
            self.settings,
            group=f"{self.settings.topic_prefix}match",
            topics=[self.topics.inbound_messages, self.topics.consent_commands],
            stage=stage,
            at_step=self._at_step,
        )

    def _gate_lanes(self) -> Lanes:
        def stage(partition: int) -> GateOutbound:
            return GateOutbound(
                partition,
                partitions=self.settings.partitions,
                topics=self.topics,
                store=self.store,
                block_list=self.block_list,
                services=self.services,
                clock_ms=lambda: time.time_ns() // 1_000_000,
                max_staleness_s=self.settings.gate_max_staleness_s,
            )

        return Lanes(
            self.settings,
            group=f"{self.settings.topic_prefix}gate",
            topics=[self.topics.outbound_messages],
            stage=stage,
        )

    def _webhook_lanes(self) -> Lanes:
        settings, topics, counts = self.settings, self.topics, self.webhook_counts
        circuit = CircuitRules(settings.webhook_circuit_failures, settings.webhook_circuit_s)
        stage = DeliverWebhooks(
            topics=topics,
            services=self.services,
            tokens=self.tokens,
            client=self._client,
            endpoints=Endpoints(Rules(settings.webhook_concurrency, circuit), counts),
            rules=RetryRules(
                settings.webhook_attempts,
                settings.webhook_first_delay_s,
                settings.webhook_longest_delay_s,
            ),
            counts=counts,
        )
        return Lanes(
            settings,
            group=f"{settings.topic_prefix}webhooks",
            topics=[topics.webhook_deliveries, topics.webhook_retries, topics.message_statuses],
            stage=lambda partition: stage,
            lane=DeliveryLane,
            at_step=self._at_step,
        )

    async def close(self) -> None:
        """Drop the connections, once no lane runs."""
        await self._client.close()
        await self.store.close()

    async def wait_for_servers(self) -> None:
        """Wait until Kafka, its topics and Redis are there, saying for what and where.

        Raises:
            ConfigError: where they are there and unfit.
        """
        said = ""
        while True:
            try:
                await self.redis.check()
                problems = await topic_admin.check(self.settings)
                if problems and not all(": missing; " in problem for problem in problems):
                    raise ConfigError(problems)
            except (BrokerUnavailable, StoreUnavailable) as error:
                problems = [f"{error} (Kafka {self.settings.kafka_bootstrap}, Redis as set)"]
            if not problems:
                return
            if problems[0] != said:
                said = problems[0]
                logger.warning("worker.waits", extra={"for_": said})
            await asyncio.sleep(_RETRY_S)

    async def watch(self) -> None:
        """End the process where a lane is stuck: an orchestrator starts a new one."""
        while True:
            await asyncio.sleep(_WATCH_S)
            for role, lanes in self.lanes.items():
                if lanes.unfit:
                    os._exit(2)  # started anew, it says what to do
                for state in await lanes.stuck(self.settings.watchdog_s):
                    logger.error("worker.stuck", extra={"role": role, "partition": state.partition})
                    os._exit(1)

    def states(self) -> dict[str, list[LaneState]]:
        """How every lane is, by role."""
        return {role: lanes.states() for role, lanes in self.lanes.items()}

    def unready(self) -> list[str]:
        """Why this worker is not ready; empty where it is."""
        reasons = [f"{role}: no member" for role, lanes in self.lanes.items() if not lanes.joined]
        reasons += [f"{role}: {lanes.unfit}" for role, lanes in self.lanes.items() if lanes.unfit]
        return reasons + [
            f"{role} {state.partition}: {state.doing}"
            for role, states in self.states().items()
            for state in states
            if state.doing != "running"
        ]


def settle_memory() -> None:
    """Have the garbage collector look less often, and not at what is there to stay.

    A batch makes tens of thousands of objects and drops them all, none in a cycle: the collector's
    usual pace costs a fifth of a lane's time and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def block_list_store(settings: Settings, redis: RedisClient) -> RedisBlockList:
    """The served block list of an installation."""
    return RedisBlockList(
        redis,
        prefix=settings.topic_prefix,
        seen_ms=round(settings.dedupe_hours * _HOUR_MS),
        min_replicas=settings.redis_min_replicas,
        wait_ms=round(500 * settings.redis_timeout_s),  # to hear that it was in vain, in time
    )


class _Hosted(Service):  # type: ignore[misc]
    """What runs in Faust's service tree: the lanes, the configuration and the watchdog."""

    def __init__(self, runtime: Runtime, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self._running: list[asyncio.Task[None]] = []

    async def on_start(self) -> None:
        runtime = self._runtime
        self.add_future(runtime.services.follow())
        self.add_future(self._settle())
        self.add_future(runtime.watch())
        # Not futures of the service: it would cancel them before they have finished their batch.
        self._running = [asyncio.create_task(lanes.run()) for lanes in runtime.lanes.values()]

    async def _settle(self) -> None:
        await self._runtime.services.wait_loaded()
        settle_memory()

    async def on_stop(self) -> None:
        for lanes in self._runtime.lanes.values():
            lanes.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=25)
        await self._runtime.close()


class OptOutApp(faust.App):  # type: ignore[misc]
    """A Faust app that waits for its servers before it starts, and hosts the lanes."""

    runtime: Runtime

    class BootStrategy(faust.app.BootStrategy):  # type: ignore[misc]
        """No agent yet: Faust needs no consumer or producer of its own."""

        enable_kafka = False

    async def on_first_start(self) -> None:
        """Faust itself would die without a broker."""
        try:
            await self.runtime.wait_for_servers()
        except ConfigError as error:
            for problem in error.problems:
                logger.error("worker.unfit", extra={"why": problem})
            os._exit(2)
        await super().on_first_start()

    async def on_started_init_extra_services(self) -> None:
        """Start the lanes once Faust is up."""
        await super().on_started_init_extra_services()
        await self.add_runtime_dependency(_Hosted(self.runtime, loop=self.loop, beacon=self.beacon))


def create_app(settings: Settings) -> OptOutApp:
    """Build the worker of these settings."""
    app = OptOutApp(
        f"{settings.topic_prefix}worker",
        broker=[f"kafka://{host}" for host in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        worker_redirect_stdouts=False,
        logging_config=logs.CONFIG,
        web_port=_free_port(settings.web_port),
        datadir=Path(tempfile.gettempdir()) / f"{settings.topic_prefix}worker",
    )
    app.runtime = Runtime(settings)
    _health_pages(app)
    return app


def _health_pages(app: OptOutApp) -> None:
    @app.page("/livez")  # type: ignore[untyped-decorator]
    async def livez(view: Any, request: Any) -> Any:
        return view.json({"alive": True})

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def readyz(view: Any, request: Any) -> Any:
        reasons = app.runtime.unready()
        return view.json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


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


_claims: list[socket.socket] = []  # held as long as the process lives


def _free_port(wanted: int) -> int:
    """The wanted port, or the next one nobody has: workers share a host.

    The web server binds it only later: the UDP port of that number, which no worker uses, keeps
    others that start at this moment off it.
    """
    for port in range(wanted, min(wanted + 100, 65_536)):
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("", port))
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return port
    raise ConfigError([f"OPTOUT_WEB_PORT: {wanted} and the hundred after it are taken"])


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
