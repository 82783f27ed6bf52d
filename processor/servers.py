"""The first steps of every process: wait for Kafka and Redis, find a port, settle its memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket

from processor import clocks
from processor.config import Settings
from processor.errors import BrokerUnavailable, ConfigError, StoreUnavailable
from processor.kafka import codecs
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import Consequence
from processor.stores.redis_client import RedisClient

logger = logging.getLogger(__name__)


async def wait_for_servers(settings: Settings, redis: RedisClient | None, *, who: str) -> None:
    """Wait until Kafka, its topics and Redis are there, saying for what and where.

    Args:
        settings: of the installation.
        redis: None: this process needs none.
        who: waits.

    A problem that stops no start is logged.

    Raises:
        ConfigError: where they are there and unfit, or this process cannot read every record.
    """
    codecs.check()
    said = ""
    while True:
        try:
            if redis is not None:
                await redis.check()
            problems = await topic_admin.check(settings)
            waits = [str(one) for one in problems if one.consequence is Consequence.WAIT]
        except (BrokerUnavailable, StoreUnavailable) as error:
            problems = []
            waits = [f"{error} (Kafka {settings.kafka_bootstrap}, Redis as set)"]
        if refused := [str(one) for one in problems if one.consequence is Consequence.REFUSE]:
            raise ConfigError(refused)
        if not waits:
            break
        if waits[0] != said:
            said = waits[0]
            logger.warning(f"{who}.waits", extra={"for_": said})
        await asyncio.sleep(clocks.RETRY_S)
    for problem in problems:
        level = logging.INFO if problem.consequence is Consequence.NOTE else logging.WARNING
        logger.log(level, "topics.differ", extra={"why": str(problem)})


def free_port(wanted: int, setting: str) -> int:
    """The wanted port, or the next free one: processes share a host.

    The web server binds it only later: the UDP port of that number, which none of them uses, keeps
    others that start at this moment off it.

    Raises:
        ConfigError: where a hundred are taken.
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
        claim.detach()  # it stays bound as long as the process lives
        return port
    raise ConfigError([f"{setting}: {wanted} and the hundred after it are taken"])


def settle_memory() -> None:
    """Have the garbage collector look less often, and not at objects that stay.

    A batch or a long answer makes tens of thousands of objects and drops them all, none in a cycle.
    The collector's usual pace costs a fifth of a lane's time and finds nothing. A look through all
    objects of the API would delay every request by a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
