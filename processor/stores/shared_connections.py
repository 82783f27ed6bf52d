"""A few connections to one Redis server for any number of callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import hiredis
from redis.exceptions import ConnectionError, ResponseError

from processor.errors import StoreUnavailable
from processor.stores.redis_errors import REDIS_ERRORS, code_of, unavailable
from processor.stores.redis_types import Connection

Command = tuple[str | bytes | int, ...]

_CLOSED = "Redis: this client was closed"
_MOST_COMMANDS = 100  # in a pipeline: all of them are answered within the time-out


class SharedConnections:
    """Pipelines the commands of many callers, over as few connections as that takes.

    The commands of one turn of the event loop go down one connection in one write. A connection
    carries one pipeline at a time; commands that come meanwhile go down another connection, or
    gather.

    A pipeline whose connection breaks before its first answer is sent once more, as the server may
    have restarted while no command came. So each command must be one that may run twice.

    Args:
        connect: makes a connection of redis-py that has no time-outs of its own for answers.
        most: connections at a time.
        timeout_s: of connecting, and of all answers to a pipeline.
        behind: a command that ends every pipeline.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        most: int,
        timeout_s: float,
        behind: Command = (),
    ) -> None:
        self._connect = connect
        self._most = most
        self._timeout_s = timeout_s
        self._behind = [_pack(behind)] if behind else []
        self._free: list[Connection] = []
        self._made = 0
        self._waiting: list[_Asked] = []
        self._work: set[asyncio.Task[None]] = set()
        self._closed = False

    async def ask(self, command: Command) -> list[object]:
        """Have a command run.

        Returns:
            Its answer, and the answer to the command behind its pipeline, if there is such a
            command. An answer that is an exception means that the server refused the command.

        Raises:
            StoreUnavailable: the server did not answer; whether the command ran is unknown.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(_pack(command), loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send)
        self._waiting.append(asked)
        return await asked.future

    async def close(self) -> None:
        """Drop the connections; callers that still wait for an answer get none."""
        self._closed = True
        self._fail_waiting()
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        for connection in self._free:
            await connection.disconnect()

    def _fail_waiting(self) -> None:
        _fail(self._waiting, _CLOSED)
        self._waiting.clear()

    def _send(self) -> None:
        """Have a connection that is free carry what waits."""
        if self._closed:
            self._fail_waiting()
        if not self._waiting:
            return
        if self._free:
            connection = self._free.pop()
        elif self._made < self._most:
            self._made += 1
            connection = self._connect()
        else:
            return  # the first connection that becomes free takes it
        work = asyncio.get_running_loop().create_task(self._carry(connection))
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    async def _carry(self, connection: Connection) -> None:
        try:
            while self._waiting:
                taken = self._waiting[:_MOST_COMMANDS]
                del self._waiting[:_MOST_COMMANDS]
                self._send()
                if asked := [one for one in taken if not one.future.done()]:
                    await self._make(connection, asked)
        finally:
            self._free.append(connection)
            self._send()  # had the pipeline failed, nothing else would

    async def _make(self, connection: Connection, asked: list[_Asked]) -> None:
        """Send a pipeline and hand its answers out; a cancelled caller's are read and dropped."""
        failure = _CLOSED
        try:
            try:
                await self._exchange(connection, asked)
            except ConnectionError:
                if any(one.is_answered() for one in asked):
                    raise
                await self._exchange(connection, asked)
        except TimeoutError:
            failure = f"Redis: no answer within {self._timeout_s:g} s"
        except REDIS_ERRORS as error:
            failure = str(unavailable(error))
        finally:
            _fail(asked, failure)

    async def _exchange(self, connection: Connection, asked: list[_Asked]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await _connect(connection)
            async with asyncio.timeout(self._timeout_s):
                await self._hand_out(connection, asked)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _hand_out(self, connection: Connection, asked: list[_Asked]) -> None:
        await connection.send_packed_command([one.packed for one in asked] + self._behind)
        answers: list[object] = []
        for one in asked:
            answers.append(await _answer(connection))
            if not self._behind:
                one.answer(answers[-1:])
        if self._behind:
            behind = await _answer(connection)
            for one, answer in zip(asked, answers, strict=True):
                one.answer([answer, behind])
        if any(map(_says_no_master, answers)):  # a new connection may lead to the master
            await connection.disconnect(nowait=True)


class _Asked:
    """A command of one caller, and the future of its answer."""

    __slots__ = ("future", "packed")

    def __init__(self, packed: bytes, future: asyncio.Future[list[object]]) -> None:
        self.packed = packed
        self.future = future

    def answer(self, answers: list[object]) -> None:
        if not self.future.done():  # it is where the caller was cancelled
            self.future.set_result(answers)

    def is_answered(self) -> bool:
        return self.future.done() and not self.future.cancelled()


def _fail(asked: Sequence[_Asked], why: str) -> None:
    """Raise for those who have no answer yet."""
    for one in asked:
        if not one.future.done():
            one.future.set_exception(StoreUnavailable(why))


async def _connect(connection: Connection) -> None:
    """Connect; reconnect where redis-py wants it or the server has closed the connection."""
    if connection.is_connected and (connection.should_reconnect() or await connection.can_read()):
        await connection.disconnect(nowait=True)
    if not connection.is_connected:
        renew_tls(connection)
    await connection.connect()


def renew_tls(connection: object) -> None:
    """Have the next connect read the certificate files: redis-py keeps what it read first."""
    tls = getattr(connection, "ssl_context", None)  # None: no TLS
    if tls is not None:
        tls.context = None


_pack: Callable[[Command], bytes] = hiredis.pack_command  # type: ignore[assignment]


async def _answer(connection: Connection) -> object:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _says_no_master(answer: object) -> bool:
    return isinstance(answer, ResponseError) and code_of(answer) in ("READONLY", "NOREPLICAS")
