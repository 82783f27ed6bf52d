"""Faust as the host of a worker: its signals, its web server, the agent of the rates.

Only this module ends the process: Faust's own clients may wait without limit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import faust
import faust.app
from mode import Service

from processor import certificates, logs, servers
from processor.config import Settings
from processor.errors import ConfigError
from processor.stages import opt_out_rates
from processor.webhooks import descriptors
from processor.worker import pages
from processor.worker.runtime import Runtime
from processor.worker.tracing import tracer_provider
from processor.worker.watchdog import End

if TYPE_CHECKING:  # it need not be installed
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

_FAUST_STOP_S = 5.0  # Faust's own clients, once no lane runs
_STOP_S = 45.0  # all of it; orchestrators kill after 60


class _Hosted(Service):  # type: ignore[misc]
    """A worker in Faust's service tree, with the care that the whole process needs."""

    def __init__(self, runtime: Runtime, provider: TracerProvider | None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._runtime = runtime
        self._provider = provider

    async def on_start(self) -> None:
        # The lanes are not futures of the service: it would cancel them within a batch.
        self._runtime.start()
        self.add_future(self._runtime.wait())
        self.add_future(self._settle())
        self.add_future(self._watch())
        self.add_future(certificates.keep_current())

    async def _settle(self) -> None:
        await self._runtime.loaded()
        servers.settle_memory()

    async def _watch(self) -> None:
        end = await self._runtime.watch()
        os._exit(end.value)

    async def on_stop(self) -> None:
        await self._runtime.stop()
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)  # sends the spans that are left


class OptOutApp(faust.App):  # type: ignore[misc]
    """A Faust app that waits for its servers before it starts, and hosts a worker."""

    runtime: Runtime
    provider: TracerProvider | None = None  # of OpenTelemetry's tracers
    _hosted: _Hosted | None = None

    async def on_first_start(self) -> None:
        """Faust itself would die without a broker."""
        try:
            await self.runtime.wait_for_servers()
        except ConfigError as error:
            for problem in error.problems:
                logger.error("worker.unfit", extra={"why": problem})
            os._exit(End.UNFIT.value)
        await super().on_first_start()
        # A child does not wait for an agent's tables.
        self._hosted = _Hosted(self.runtime, self.provider, loop=self.loop, beacon=self.beacon)
        self.add_dependency(self._hosted)

    async def on_stop(self) -> None:
        """Stop the lanes first: Faust's own clients wait without limit where no broker answers."""
        loop = asyncio.get_running_loop()
        loop.call_later(_STOP_S, os._exit, 1)  # even if something blocks the stop
        if self._hosted:
            await self._hosted.stop()
        loop.call_later(_FAUST_STOP_S, os._exit, 1 if self.crashed else 0)
        await super().on_stop()


def create_app(settings: Settings) -> OptOutApp:
    """Build the worker of these settings.

    Raises:
        ConfigError: a setting needs what is not installed, or no port is free.
    """
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
        logging_config=logs.configuration(),
        web_bind=settings.web_host,
        web_port=servers.free_port(settings.web_port, "OPTOUT_WEB_PORT"),
        datadir=Path(tempfile.gettempdir()) / f"{settings.topic_prefix}worker",
    )
    app.provider = tracer_provider(settings)
    runtime = app.runtime = Runtime(settings, provider=app.provider)
    # Faust needs a consumer and a producer of its own only for an agent.
    app.boot_strategy.enable_kafka = "rates" in settings.roles
    metrics = runtime.shared.metrics
    if app.boot_strategy.enable_kafka:
        opt_out_rates.add_to(
            app, runtime.shared.topics.opt_out_counts, settings.partitions, metrics
        )
    pages.add_to(app, settings, unready=runtime.unready, metrics=metrics.text)
    return app


def _credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
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
