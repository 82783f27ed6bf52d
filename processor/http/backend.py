"""What every request stands on: the configuration, the topics, Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request

from processor import servers
from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError
from processor.http.auth import Credentials
from processor.kafka.client import Outgoing, Writer, writer
from processor.kafka.configuration import Configuration
from processor.stores.redis_client import RedisClient
from processor.wire.topics import Topics

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


class Backend:
    """Built once a process; ``running`` keeps it alive."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics.under(settings.topic_prefix)
        self.redis = RedisClient(settings.redis_url, timeout_s=settings.redis_timeout_s)
        self.configuration = Configuration(settings)
        self.credentials = Credentials(settings, self.configuration.accounts)
        self._writer: Writer | None = None
        self._unfit = ""

    def unready(self) -> list[str]:
        """Why requests cannot be served now; empty where they can."""
        if self._unfit:
            return [self._unfit]
        if self._writer is None:
            return ["waits for Kafka and Redis"]
        return [] if self.configuration.loaded else ["reads the configuration"]

    async def send(self, *records: Outgoing) -> None:
        """Write records to the partition of their key, and wait until they are written.

        Raises:
            BrokerUnavailable: where the broker does not take them.
        """
        if self._writer is None:
            raise BrokerUnavailable("not connected yet")
        await self._writer.send_all(records)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, as soon as there is something to connect to, and let go at the end."""
        working = asyncio.create_task(self._work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self.configuration.close()
            await self.redis.close()

    async def _work(self) -> None:
        try:
            await servers.wait_for_servers(self.settings, self.redis, who="api")
        except ConfigError as error:
            for problem in error.problems:
                logger.error("api.unfit", extra={"why": problem})
            self._unfit = "; ".join(error.problems)
            return
        async with AsyncExitStack() as stack:
            self._writer = await self._connect(stack)
            async with asyncio.TaskGroup() as group:
                for work in self._works():
                    group.create_task(work)

    def _works(self) -> list[Coroutine[Any, Any, None]]:
        """What runs as long as the process does."""
        return [self.configuration.follow()]

    async def _connect(self, stack: AsyncExitStack) -> Writer:
        while True:
            try:
                return await stack.enter_async_context(
                    writer(self.settings, linger_ms=0, enable_idempotence=True)
                )
            except BrokerUnavailable as error:
                logger.warning("api.waits", extra={"for_": str(error)})
                await asyncio.sleep(_RETRY_S)


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


BackendIs = Annotated[Backend, Depends(_backend)]
"""A parameter of every route that needs one."""
