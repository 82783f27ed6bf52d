"""A Redis client from a URL of any kind, and the requirements on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from hashlib import sha1
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ResponseError,
    TryAgainError,
)

from processor.config import Settings
from processor.errors import ConfigError, StoreUnavailable
from processor.json_types import Options
from processor.stores.redis_errors import REDIS_ERRORS, unavailable
from processor.stores.redis_types import NewConnection, Node
from processor.stores.shared_connections import Command, SharedConnections, renew_tls

_SHARED = 4  # connections to a server that all lanes share
_OTHERS = 16  # connections of everybody else
_MOST_LAG_S = 10
_ELSEWHERE = (MovedError, AskError, TryAgainError, ClusterDownError)


_Answer = TypeVar("_Answer")


class Script(Generic[_Answer]):
    """A Lua script and the digest that Redis knows it by.

    Its type says what it answers; an array whose parts differ is written as a tuple.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()


class _Patience(TypedDict):
    """How long redis-py waits, by its own names."""

    socket_timeout: float
    socket_connect_timeout: float
    retry: Retry


class RedisClient:
    """One client for all of a process.

    Lanes ask by ``run``, over a few shared connections to each server; ``redis`` is redis-py's own
    client, over a pool of its own, for everything else.

    Args:
        url: ``redis://`` or ``rediss://`` for one server; ``redis+cluster://host:port,…`` for a
            Cluster; ``redis+sentinel://host:port,…/master-name[/database]`` for Sentinel; with
            ``rediss+…`` over TLS. User and password before the hosts; ``?ssl_ca_certs=FILE`` and
            the other ``ssl_…`` options of redis-py behind.
        timeout_s: of connecting and of each answer.
        min_replicas: how many replicas must have what ``run_replicated`` writes.
    """

    def __init__(self, url: str, *, timeout_s: float, min_replicas: int = 0) -> None:
        self.min_replicas = min_replicas
        self.unfit: str | None = None  # as last checked
        self._timeout_s = timeout_s
        # To hear in time that it was in vain.
        self._wait: Command = ("WAIT", min_replicas, round(500 * timeout_s)) if min_replicas else ()
        self._options: _Patience = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            # One more try finds a server that restarted; more waiting is the lane's business.
            "retry": Retry(NoBackoff(), 1),
        }
        self._watchers: list[Redis] = []
        self._shared: dict[tuple[str, bool], SharedConnections] = {}  # by server; for writes?
        self._map: asyncio.Task[None] | None = None  # of a Cluster, being read
        self._map_is_old = True
        try:
            self.redis: Any = self._made(url)
        except ValueError:
            # Errors of urllib and redis-py repeat the URL, and with it the password.
            raise ConfigError(
                ["OPTOUT_REDIS_URL: is not an address: scheme://user:password@host:port/database"]
            ) from None

    def _made(self, url: str) -> Redis | RedisCluster:
        parts = urlsplit(url)
        kind = parts.scheme.partition("+")[2]
        if kind == "cluster":
            return self._cluster(parts)
        if kind == "sentinel":
            return self._sentinel(parts)
        return Redis.from_pool(
            BlockingConnectionPool.from_url(
                url,
                max_connections=_OTHERS,
                timeout=self._timeout_s,
                redis_connect_func=_connected,
                **self._options,
            )
        )

    def _cluster(self, parts: SplitResult) -> RedisCluster:
        cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in _hosts(parts, 6379)],
            **_credentials(parts),
            **self._options,
        )
        cluster.connection_kwargs["redis_connect_func"] = _connected
        return cluster

    def _sentinel(self, parts: SplitResult) -> Redis:
        name, _, database = parts.path.strip("/").partition("/")
        if not name:
            raise ConfigError(
                ["OPTOUT_REDIS_URL: redis+sentinel:// needs the master's name as its path"]
            )
        options = {**_credentials(parts), **self._options}
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            _hosts(parts, 26379), sentinel_kwargs=options, **options
        )
        self._watchers = sentinel.sentinels
        master: Redis = sentinel.master_for(
            name,
            connection_pool_class=_BlockingSentinelPool,
            max_connections=_OTHERS,
            timeout=self._timeout_s,
            db=int(database or 0),
            redis_connect_func=_connected,
        )
        return master

    async def run(
        self, script: Script[_Answer], keys: Sequence[str], *args: str | bytes | int
    ) -> _Answer:
        """Run a script that may run twice; its keys are in one slot.

        Raises:
            StoreUnavailable: whether it ran is unknown.
        """
        answers: list[_Answer] = await self._run(script, keys, args, replicated=False)
        return answers[0]

    async def run_replicated(
        self, script: Script[_Answer], keys: Sequence[str], *args: str | bytes | int
    ) -> tuple[_Answer, int]:
        """Run a script as ``run`` does; its answer, and how many replicas have what it wrote.

        WAIT counts the writes of its own connection, so it follows the script there, behind all
        that is written at the same moment.
        """
        if not self.min_replicas:
            return await self.run(script, keys, *args), 0
        answer, replicas = await self._run(script, keys, args, replicated=True)
        return answer, int(replicas)

    async def call(self, key: str, *command: str | bytes | int) -> Any:
        """Run one command, that may run twice, on the server of a key."""
        [answer] = _good(await self._ask(key, command, replicated=False))
        return answer

    async def _run(
        self, script: Script[_Answer], keys: Sequence[str], args: Command, *, replicated: bool
    ) -> list[Any]:
        rest = (len(keys), *keys, *args)
        answers = await self._ask(keys[0], ("EVALSHA", script.sha, *rest), replicated=replicated)
        if isinstance(answers[0], NoScriptError):
            answers = await self._ask(
                keys[0], ("EVAL", script.source, *rest), replicated=replicated
            )
        return _good(answers)

    async def _ask(self, key: str, command: Command, *, replicated: bool) -> list[object]:
        place = await self._place(key)
        try:
            answers = await self._connections(place, replicated=replicated).ask(command)
        except StoreUnavailable:
            self._map_is_old = True
            raise
        self._map_is_old |= isinstance(answers[0], _ELSEWHERE)
        return answers

    async def _place(self, key: str) -> Node:
        """The pool, or in a Cluster the node, of the server that has a key."""
        if not isinstance(self.redis, RedisCluster):
            pool: Node = self.redis.connection_pool
            return pool
        await self._know_map()
        try:
            node = self.redis.get_node_from_key(key)
        except REDIS_ERRORS as error:
            self._map_is_old = True
            raise unavailable(error) from error
        assert node is not None  # only of replicas there may be none
        return node

    async def _know_map(self) -> None:
        """Read which server of a Cluster has what, where that may have changed; all wait for it."""
        if not self._map_is_old:
            return
        if self._map is None:
            self._map = asyncio.create_task(self._read_map())
        await asyncio.shield(self._map)

    async def _read_map(self) -> None:
        try:
            await self.redis.initialize()
            await self.redis.nodes_manager.initialize()
            self._map_is_old = False
        except REDIS_ERRORS as error:
            raise unavailable(error) from error
        finally:
            self._map = None
        known = {node.name for node in self.redis.get_primaries()}
        for place in [place for place in self._shared if place[0] not in known]:
            await self._shared.pop(place).close()

    def _connections(self, place: Node, *, replicated: bool) -> SharedConnections:
        name = getattr(place, "name", "")
        shared = self._shared.get((name, replicated))
        if shared is None:
            options = dict(place.connection_kwargs, socket_timeout=None, redis_connect_func=None)
            shared = self._shared[name, replicated] = SharedConnections(
                partial(place.connection_class, **options),
                most=_SHARED,
                timeout_s=self._timeout_s,
                behind=self._wait if replicated else (),
            )
        return shared

    async def check(self) -> None:
        """Refuse a server that may forget: it must be Redis 7 or Valkey, and must not evict.

        Where replicas are waited for, it must also refuse writes while it has none: a master that
        was replaced and cut off from them then answers no gate. A problem found here is kept in
        ``unfit`` until a later check finds it mended.

        Raises:
            StoreUnavailable: where it does not answer.
            ConfigError: where it is not fit, with the command that mends it.
        """
        problems: set[str] = set()
        try:
            for place in await self._primaries():
                problems.update(await self._problems(place))
        except StoreUnavailable:
            self._map_is_old = True
            raise
        self.unfit = "; ".join(sorted(problems)) or None
        if problems:
            raise ConfigError(sorted(problems))

    async def _primaries(self) -> list[Node]:
        if not isinstance(self.redis, RedisCluster):
            return [self.redis.connection_pool]
        await self._know_map()
        return list(self.redis.get_primaries())

    async def _problems(self, place: Node) -> list[str]:
        connections = self._connections(place, replicated=False)
        [answer] = _good(await connections.ask(("INFO",)))
        info = dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)
        problems = _unfit(info)
        if not self.min_replicas:
            return problems
        # A managed Redis may not let us ask; then INFO must do.
        [config] = await connections.ask(("CONFIG", "GET", "min-replicas-max-lag"))
        lag_s = _MOST_LAG_S if isinstance(config, ResponseError) else int(_value_of(config))
        if not says_it_needs_replicas(answer) or lag_s > _MOST_LAG_S:
            problems.append(NEEDS_NO_REPLICAS)
        return problems

    async def close(self) -> None:
        """Let go of the connections."""
        if self._map:
            self._map.cancel()
        for shared in self._shared.values():
            await shared.close()
        for client in (self.redis, *self._watchers):
            await client.aclose()


NEEDS_NO_REPLICAS = (
    "Redis takes writes without replicas, so a master that was replaced would go on answering "
    "(OPTOUT_REDIS_MIN_REPLICAS is set): CONFIG SET min-replicas-to-write 1 and "
    f"CONFIG SET min-replicas-max-lag {_MOST_LAG_S}, on every server"
)


def redis_client(settings: Settings) -> RedisClient:
    """The client of an installation."""
    return RedisClient(
        settings.redis_url,
        timeout_s=settings.redis_timeout_s,
        min_replicas=settings.redis_min_replicas,
    )


def says_it_needs_replicas(info: bytes) -> bool:
    """Whether a server refuses writes where too few replicas follow, by its INFO.

    Redis says how many follow only where both ``min-replicas-…`` are set.
    """
    return b"\r\nmin_slaves_good_slaves:" in info


class _BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Sentinel's pool, which otherwise refuses a connection where all are taken."""


async def _connected(connection: NewConnection) -> None:
    # redis-py packs in C on its other connections; on these in Python, at a microsecond a key.
    connection.pack_command = _pack
    connection.send_packed_command = partial(_send, connection)
    await connection.on_connect()
    renew_tls(connection)


def _pack(*arguments: str | bytes | int | float) -> list[bytes]:
    name, *rest = arguments
    words = name.split() if isinstance(name, str) else [name]  # "CONFIG GET" is two arguments
    return [hiredis.pack_command((*words, *rest))]


async def _send(connection: NewConnection, command: object, check_health: bool = True) -> None:
    """Send, and hear a cancel that comes meanwhile.

    redis-py sends by ``wait_for``. In Python 3.11 that loses a cancel that comes just as the
    sending ends. The cancelled task would go on, and its canceller would wait for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    told = task.cancelling()
    await type(connection).send_packed_command(connection, command, check_health)
    if task.cancelling() > told:
        await connection.disconnect(nowait=True)  # no one will read the answer
        raise asyncio.CancelledError


def _good(answers: list[object]) -> list[Any]:
    """Answers none of which is an error."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise unavailable(answer) from answer
    return answers


def _value_of(config: Any) -> Any:
    """The value of the one setting that CONFIG GET was asked for."""
    return next(iter(config.values())) if isinstance(config, dict) else config[1]


def _unfit(info: dict[str, str]) -> list[str]:
    problems = []
    if int(info["redis_version"].partition(".")[0]) < 7:
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


def _credentials(parts: SplitResult) -> Options:
    options: Options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    return options
