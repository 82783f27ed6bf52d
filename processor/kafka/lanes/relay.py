"""Two transactional producers that take turns: one's transaction ends while the other's begins.

A broker that still ends a producer's transaction refuses that producer's next for some time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from processor.config import Settings
from processor.errors import BrokerUnavailable
from processor.kafka.failures import OF_KAFKA, in_our_words
from processor.kafka.lanes.transactional_producers import (
    TransactionalProducer,
    fence,
    start_producer,
)
from processor.kafka.lanes.transactions import Part, Refused, transact
from processor.kafka.starting import stop
from processor.metrics import LaneMetrics

logger = logging.getLogger(__name__)

COMMIT_S = 4.0  # below the broker's own time-out of a transaction
_PRODUCERS = 2


@dataclass(eq=False, slots=True)
class _Handed:
    """A part that a lane handed in."""

    partition: int
    part: Part
    fate: asyncio.Future[bool]
    withdrawn: Exception | None = None  # why it must not be sent again


class Relay:
    """Commits the parts of many lanes: all that are there when a transaction begins.

    Args:
        name: begins the transactional ids.
        producers: started.
        wait_s: least time between the beginnings of two transactions.
        group: the consumer group whose offsets are committed.
        metrics: of the role.
        behind: has work done that no partition should wait for.
        failed: called with the reason when it has failed. The outcome of its last transactions is
            not known then.
    """

    def __init__(
        self,
        name: str,
        producers: Sequence[TransactionalProducer],
        *,
        wait_s: float,
        group: str,
        metrics: LaneMetrics,
        behind: Callable[[Coroutine[object, object, None]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.name = name
        self._producers = producers
        self._free: asyncio.Queue[TransactionalProducer] = asyncio.Queue()
        for producer in producers:
            self._free.put_nowait(producer)
        self._group = group
        self._metrics = metrics
        self._behind = behind
        self._failed = failed
        self._waiting: list[_Handed] = []
        self._sent: list[_Handed] = []
        self._is_working = False
        self._wait_s = wait_s
        self._may_begin_at = 0.0  # monotonic seconds

    async def commit(self, partition: int, part: Part) -> bool:
        """Commit a part; False if it no longer holds.

        Raises:
            Fenced, RetryableError: it is not committed, or its outcome is not known.
        """
        handed = _Handed(partition, part, asyncio.get_running_loop().create_future())
        self._waiting.append(handed)
        self._wake()
        try:
            return await asyncio.shield(handed.fate)
        except asyncio.CancelledError:
            if handed in self._waiting:
                self._waiting.remove(handed)
            raise

    def _wake(self) -> None:
        if not self._is_working:
            self._is_working = True
            self._behind(self._work())

    def withdraw(self, partition: int, why: Exception) -> list[asyncio.Future[bool]]:
        """Commit nothing more of a partition but what is sent; returns the fates of that."""
        for handed in [one for one in self._waiting if one.partition == partition]:
            self._waiting.remove(handed)
            _fail(handed.fate, why)
        sent = [one for one in self._sent if one.partition == partition]
        for handed in sent:
            handed.withdrawn = why
        return [handed.fate for handed in sent]

    async def _work(self) -> None:
        """Begin one transaction after another, while there is something to commit."""
        try:
            while self._waiting:
                producer = await self._free.get()
                # Transactions are the main cost: under load, let parts gather between two.
                await asyncio.sleep(max(0.0, self._may_begin_at - time.monotonic()))
                if not self._waiting:  # they were withdrawn meanwhile
                    self._free.put_nowait(producer)
                    continue
                self._may_begin_at = time.monotonic() + self._wait_s
                sent, self._waiting = self._waiting, []
                self._sent += sent
                for handed in sent:
                    handed.part.is_sent = True
                has_begun = asyncio.Event()
                self._behind(self._transaction(producer, sent, has_begun))
                await has_begun.wait()
        finally:
            self._is_working = False

    async def _transaction(
        self, producer: TransactionalProducer, sent: Sequence[_Handed], has_begun: asyncio.Event
    ) -> None:
        parts = {handed.part: handed for handed in sent}
        try:
            async with asyncio.timeout(COMMIT_S):
                await transact(producer, self._group, list(parts), self._metrics, has_begun.set)
        except Refused as refused:
            for part, handed in parts.items():
                self._settle_refused(handed, part in refused.why, refused.why.get(part))
        except OF_KAFKA as error:
            self.end(in_our_words(error, producer.inner))
        except Exception:
            logger.exception("shared.failed", extra={"group": self._group})
            self.end(BrokerUnavailable("a transaction failed in a way that is not expected"))
        except asyncio.CancelledError:
            self.end(BrokerUnavailable("a transaction was broken off"))
            raise
        else:
            for handed in sent:
                _succeed(handed.fate, True)
        finally:
            self._sent = [one for one in self._sent if one not in sent]
            self._free.put_nowait(producer)
            has_begun.set()

    def _settle_refused(self, handed: _Handed, is_refused: bool, why: Exception | None) -> None:
        if why := why or handed.withdrawn:
            _fail(handed.fate, why)
        elif is_refused:
            _succeed(handed.fate, False)
        elif not handed.fate.done():  # as it is when the relay has ended
            handed.part.is_sent = False
            self._waiting.insert(0, handed)
            self._wake()

    def end(self, why: Exception) -> None:
        """Commit nothing more; every part that is not settled fails with the reason."""
        producers, self._producers = self._producers, ()
        if not producers:
            return
        logger.info("shared.ended", extra={"group": self._group, "why": str(why)})
        for handed in (*self._sent, *self._waiting):
            _fail(handed.fate, why)
        self._waiting = []
        for producer in producers:
            self._behind(dropped(producer, has_transaction=True))
        self._failed(why)


async def started(settings: Settings, name: str) -> list[TransactionalProducer]:
    """The producers of a relay, started.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    # A request must not be asked again in a transaction: the first might come late, into the next.
    starting = [
        asyncio.ensure_future(start_producer(settings, one, 2 * COMMIT_S)) for one in _ids(name)
    ]
    try:
        return await asyncio.gather(*starting)
    except BaseException:
        for one in starting:
            one.cancel()
        for producer in await asyncio.gather(*starting, return_exceptions=True):
            if not isinstance(producer, BaseException):
                await stop(producer.inner)
        raise


async def fence_relay(settings: Settings, name: str) -> None:
    """Keep a relay from committing, and settle what it left open.

    Raises:
        aiokafka.errors.KafkaError: no broker answers.
    """
    await asyncio.gather(*(fence(settings, one) for one in _ids(name)))


def _ids(name: str) -> list[str]:
    return [f"{name}-{number}" for number in range(_PRODUCERS)]


async def dropped(producer: TransactionalProducer, has_transaction: bool) -> None:
    """Stop a producer, and abort the transaction that it may have open, or readers wait for it."""
    try:
        async with asyncio.timeout(COMMIT_S):
            if has_transaction:
                await producer.abort()
    except Exception as error:
        # A broken or fenced producer cannot abort. The next owner's start settles the transaction,
        # or has done so already.
        logger.info("lane.not_aborted", extra={"why": type(error).__name__})
    finally:
        await stop(producer.inner)


def _fail(fate: asyncio.Future[bool], why: Exception) -> None:
    if not fate.done():
        fate.set_exception(why)
        fate.exception()  # seen, though its lane may have ended


def _succeed(fate: asyncio.Future[bool], holds: bool) -> None:
    if not fate.done():
        fate.set_result(holds)
