"""A Redis client from a URL, whatever stands behind it, and what the server must be like."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import hiredis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from processor.errors import ConfigError, StoreUnavailable

REDIS_ERRORS = (RedisError, RedisClusterException, OSError)
_OF_THE_VALUE = ("ERR", "WRONGTYPE")  # OOM, READONLY, MISCONF and so on are the server's


class RedisClient:
    """One client, and how many connections it has made so far.

    A new connection may lead to another server (a restart, a failover): whoever trusts what Redis
    says looks again when ``connections`` has grown.

    Args:
        url: ``redis://`` or ``rediss://`` for one server; ``redis+cluster://host:port,…`` for a
            Cluster; ``redis+sentinel://host:port,…/master-name[/database]`` for Sentinel; with
            ``rediss+…`` over TLS. User and password before the hosts; ``?ssl_ca_certs=FILE`` and
            the other ``ssl_…`` options of redis-py behind.
        timeout_s: of connecting and of each answer.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.connections = 0
        self._options: dict[str, Any] = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            # One more try finds a server that restarted; more waiting is the lane's business.
            "retry": Retry(NoBackoff(), 1),
        }
        self._watchers: list[Any] = []
        try:
            self.redis: Any = self._made(url)
        except ValueError:
            # What urllib and redis-py say repeats the URL, and with it the password.
            raise ConfigError(
                ["OPTOUT_REDIS_URL: is no address: scheme://user:password@host:port/database"]
            ) from None

    def _made(self, url: str) -> Any:
        parts = urlsplit(url)
        kind = parts.scheme.partition("+")[2]
        if kind == "cluster":
            return self._cluster(parts)
        if kind == "sentinel":
            return self._sentinel(parts)
        return Redis.from_url(url, redis_connect_func=self._connected, **self._options)

    async def _connected(self, connection: Any) -> None:
        # redis-py packs in C on its other connections; on these in Python, at a microsecond a key.
        connection.pack_command = _pack
        connection.send_packed_command = partial(_send, connection)
        await connection.on_connect()
        self.connections += 1

    def _cluster(self, parts: SplitResult) -> Any:
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in _hosts(parts, 6379)],
            **_credentials(parts),
            **self._options,
        )
        cluster.connection_kwargs["redis_connect_func"] = self._connected
        return cluster

    def _sentinel(self, parts: SplitResult) -> Any:
        name, _, database = parts.path.strip("/").partition("/")
        if not name:
            raise ConfigError(
                ["OPTOUT_REDIS_URL: redis+sentinel:// needs the master's name as its path"]
            )
        options = {**_credentials(parts), **self._options}
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
            _hosts(parts, 26379), sentinel_kwargs=options, **options
        )
        self._watchers = sentinel.sentinels
        return sentinel.master_for(name, db=int(database or 0), redis_connect_func=self._connected)

    async def check(self) -> None:
        """Refuse a server that may forget: it must be Redis 7 or Valkey, and must not evict.

        Raises:
            StoreUnavailable: where it does not answer.
            ConfigError: where it is not fit, with the command that mends it.
        """
        try:
            if isinstance(self.redis, RedisCluster):
                answers = await self.redis.info(target_nodes=RedisCluster.PRIMARIES)
                nodes = list(answers.values())
            else:
                nodes = [await self.redis.info()]
        except REDIS_ERRORS as error:
            raise unavailable(error) from error
        problems = {problem for node in nodes for problem in _unfit(node)}
        if problems:
            raise ConfigError(sorted(problems))

    async def close(self) -> None:
        """Let go of the connections."""
        for client in (self.redis, *self._watchers):
            await client.aclose()


def unavailable(error: Exception) -> StoreUnavailable:
    """A failure of Redis in our words.

    An answer of the server may quote the command, and with it a number: only its code is given.
    """
    words = _code_of(error) if isinstance(error, ResponseError) else str(error)
    return StoreUnavailable(f"Redis: {type(error).__name__}" + (f": {words}" if words else ""))


def is_of_the_value(error: Exception) -> bool:
    """Whether Redis refused the value and will again; otherwise it was unable to serve."""
    return type(error) is ResponseError and _code_of(error) in _OF_THE_VALUE


def _code_of(error: ResponseError) -> str:
    """The first word of the answer; redis-py strips the words that it knows."""
    return error.status_code or str(error).partition(" ")[0]


def _pack(*arguments: Any) -> list[bytes]:
    name, *rest = arguments
    words = name.split() if isinstance(name, str) else [name]  # "CONFIG GET" is two arguments
    return [hiredis.pack_command((*words, *rest))]


async def _send(connection: Any, command: Any, check_health: bool = True) -> None:
    """Send, and hear a cancel that comes meanwhile.

    redis-py sends by ``wait_for``, which loses one in Python 3.11 if it comes just as the sending
    ends: whoever was told to stop would go on, and whoever told it would wait for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    told = task.cancelling()
    await type(connection).send_packed_command(connection, command, check_health)
    if task.cancelling() > told:
        await connection.disconnect(nowait=True)  # nobody will read the answer
        raise asyncio.CancelledError


def _unfit(info: dict[str, Any]) -> list[str]:
    problems = []
    if int(str(info["redis_version"]).partition(".")[0]) < 7:
        problems.append(f"Redis is {info['redis_version']}; version 7 or Valkey is needed")
    if info["maxmemory_policy"] != "noeviction":
        problems.append(
            f"Redis evicts ({info['maxmemory_policy']}), which would forget opt-outs: "
            "CONFIG SET maxmemory-policy noeviction"
        )
    return problems


def _hosts(parts: SplitResult, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    for one in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = one.partition(":")
        hosts.append((host, int(port or default_port)))
    return hosts


def _credentials(parts: SplitResult) -> dict[str, Any]:
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    return options
