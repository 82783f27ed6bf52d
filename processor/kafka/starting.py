"""Starting and stopping aiokafka's clients so that none leaves a connection or a task behind.

Every consumer, producer and admin client is started and stopped here. The ``stop`` of aiokafka
leaves connections open if a task of the client has failed or the caller is cancelled. It also waits
for a silent broker as long as for any answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

from aiokafka.errors import ProducerClosed

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
AnyClient: TypeAlias = Any  # aiokafka's consumer, producer or admin client
_STOP_S = 5.0  # to write what is in hand, and to leave the group
_END_S = 1.0  # for tasks to end that are cancelled
_CONNECT_S = 5.0


async def start(client: AnyClient) -> None:
    """Start a consumer, a producer or an admin client; one that does not start is closed.

    Raises:
        aiokafka.errors.KafkaError, AssertionError: as the client's own ``start``.
    """
    try:
        await client.start()
    except BaseException:
        await stop(client)
        raise


async def stop(client: AnyClient) -> None:
    """Stop a client, started or not; stopping it again changes nothing.

    It has ``_STOP_S`` to end in good order. After that, after a failure, or if the caller is
    cancelled meanwhile, its tasks are cancelled and its connections aborted. A failure to stop is
    only logged, because writes and commits have already reported their results.
    """
    in_order = asyncio.ensure_future(_stop_in_order(client))
    try:
        await asyncio.wait([in_order], timeout=_STOP_S)
    finally:
        left = {in_order, *_tasks_of(client)}
        _close(client)
        for task in left:
            task.cancel()
    await asyncio.sleep(0)  # aborted connections close in the loop's next turn
    _, late = await asyncio.wait(left, timeout=_END_S)
    for task in late:  # a sender, cancelled once, still waits for its requests
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=_END_S)


async def _stop_in_order(client: AnyClient) -> None:
    try:
        await (client.stop() if hasattr(client, "stop") else client.close())
    except (Exception, asyncio.CancelledError) as error:
        logger.info("client.aborted", extra={"why": type(error).__name__})


def _close(client: AnyClient) -> None:
    """Close what a client may have left open, without waiting."""
    if producer := getattr(client, "_message_accumulator", None):
        producer.fail_all(ProducerClosed())  # or who awaits a record would wait for ever
    inner = client.client if hasattr(client, "client") else client._client
    for connection in list(inner._conns.values()):
        connection.close()
    inner.connections.close()


def _tasks_of(client: AnyClient) -> list[asyncio.Task[object]]:
    """A client's tasks in the background."""
    parts = {
        "_client": ["_sync_task"],
        "client": ["_sync_task"],
        "_coordinator": [
            "_coordination_task",
            "_heartbeat_task",
            "_commit_refresh_task",
            "_reset_committed_task",
        ],
        "_fetcher": ["_fetch_task"],
        "_sender": ["_sender_task"],
    }
    found = [
        getattr(getattr(client, part, None), name, None)
        for part, names in parts.items()
        for name in names
    ]
    fetches = getattr(getattr(client, "_fetcher", None), "_pending_tasks", ())
    return [task for task in [*found, *fetches] if task is not None and not task.done()]


async def to_its_end(work: Coroutine[object, object, _T]) -> _T:
    """Await short work; given up, it may still end, unless it takes more than ``_CONNECT_S``."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task], timeout=_CONNECT_S)
        finally:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
