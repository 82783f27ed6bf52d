"""The served block list in Redis: one server, TLS, Cluster or Sentinel, as the URL says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

import orjson

from processor.config import Settings
from processor.core.blocks import NO_MARK, ConfigView, Mark
from processor.core.brakes import Brake, Replies
from processor.core.identity import Handled
from processor.core.messages import entry_key
from processor.errors import Fenced, ListLost, NewerFormat, StoreUnavailable
from processor.stores import redis_scripts as scripts
from processor.stores import reply_hours
from processor.stores.block_list import (
    FORMAT,
    NO_REPLIES,
    BatchWrite,
    Format,
    Meta,
    Snapshot,
)
from processor.stores.redis_client import (
    NEEDS_NO_REPLICAS,
    RedisClient,
    Script,
    says_it_needs_replicas,
)

_T = TypeVar("_T")

_HOUR_MS = 3_600_000
_SPANS = 4  # of time in which an id is remembered; it is forgotten one span late at most
_LOOKED_AT = _SPANS + 2  # spans in which an id may be: brokers' clocks differ a little
_CLOCKS_DIFFER_MS = 60_000
_REPLIES_KEPT_MS = 3 * _HOUR_MS  # the least, after a write to an hour's hash
_BUCKETS = 1_024  # strings of ids in a span: an id costs 8 bytes, and its share of a key
# The name of the bucket of an id, by the id's first two bytes.
_BUCKET_NAMES = [str(number) for number in range(_BUCKETS)] * ((1 << 16) // _BUCKETS)
_CLAIM: Script[Sequence[object]] = Script(scripts.CLAIM)
# Of `_READ` each key that has an entry is an index and a value, in turn; so is each brake.
_READ: Script[tuple[Sequence[object], list[Any], list[int], bytes, list[bytes]]] = Script(
    scripts.READ
)
_WRITE: Script[object] = Script(scripts.WRITE)
_BEAT: Script[Sequence[object]] = Script(scripts.BEAT)
_SETTLE: Script[object] = Script(scripts.SETTLE)
_BEGIN_REBUILD: Script[object] = Script(scripts.BEGIN_REBUILD)
_ADD_REBUILT: Script[object] = Script(scripts.ADD_REBUILT)
_REMEMBER: Script[object] = Script(scripts.REMEMBER)
_FINISH_REBUILD: Script[object] = Script(scripts.FINISH_REBUILD)


class RedisBlockList:
    """Keeps partition *p* under ``<prefix>{p}:…``: one slot, one shard, one trip a batch.

    Args:
        client: connected lazily, shared by all partitions.
        prefix: of every key, so that two installations may share a server.
        seen_ms: how long a handled id is remembered (R22).
    """

    def __init__(self, client: RedisClient, *, prefix: str, seen_ms: int) -> None:
        self._client = client
        self._prefix = prefix
        self._span_ms = max(1, seen_ms // _SPANS)
        # Longer than it counts, as a copy may lie unread: see ``HandledTopics.forgets_after_ms``.
        self._kept_ms = seen_ms + self._span_ms
        self._replies_kept_ms = max(_REPLIES_KEPT_MS, self._kept_ms)
        self._rebuilt: dict[int, int] = {}  # partition to the steps of its rebuild so far

    def _key(self, partition: int, name: str) -> str:
        return f"{self._prefix}{{{partition}}}:{name}"

    def _looked_at(self, partition: int, handled: Iterable[Handled]) -> list[str]:
        """The keys of the strings in which ids may be, had they been handled before."""
        name, span_ms = self._key(partition, "handled"), self._span_ms
        early_ms = min(_CLOCKS_DIFFER_MS, span_ms)
        keys: list[str] = []
        # Each run of a latest span at once; a batch has few.
        for latest, ones in groupby(handled, lambda one: (one.at_ms + early_ms) // span_ms):
            spans = range(latest - _LOOKED_AT + 1, latest + 1)
            heads = [f"{name}:{span}:" for span in spans]
            buckets = [_BUCKET_NAMES[id_[0] << 8 | id_[1]] for id_, _ in ones]
            keys += [head + bucket for bucket in buckets for head in heads]
        return keys

    def _put_into(self, partition: int, handled: Iterable[Handled]) -> list[str]:
        name, span_ms = self._key(partition, "handled"), self._span_ms
        return [
            f"{name}:{at_ms // span_ms}:{_BUCKET_NAMES[id_[0] << 8 | id_[1]]}"
            for id_, at_ms in handled
        ]

    def _hour_keys(self, partition: int, hours: Iterable[int]) -> list[str]:
        return [self._key(partition, f"replied:{hour}") for hour in hours]

    def _put_replied(self, hours: reply_hours.Hours) -> list[str | bytes | int]:
        values = map(reply_hours.joined, hours.values())
        return [self._replies_kept_ms, len(hours), *values]

    async def _own(
        self, script: Script[_T], keys: Sequence[str], epoch: int, *args: str | bytes | int
    ) -> _T:
        return _owned(await self._client.run(script, keys, epoch, *args))

    async def claim(self, partition: int, *, at_least: int) -> Meta:
        """See ``BlockListOwner``."""
        keys = [self._key(partition, "meta")]
        answer = await self._client.run(_CLAIM, keys, at_least, FORMAT.written)
        if answer == b"NEWER":
            raise NewerFormat(
                "a newer version wrote the block list in Redis: update this worker, or have the "
                "list rebuilt: `optout blocks rebuild`"
            )
        return meta_of(answer)

    async def settle(
        self,
        partition: int,
        epoch: int,
        *,
        undo: bool,
        whole: bool,
        config: ConfigView | None = None,
    ) -> bool:
        """See ``BlockListOwner``."""
        undo_key = self._key(partition, "undo")
        stored = await self._client.call(undo_key, "GET", undo_key) if undo else None
        before, handled, replied = undo_of(stored)
        keys = [
            self._key(partition, "meta"),
            self._key(partition, "entries"),
            undo_key,
            *self._put_into(partition, handled),
            *self._hour_keys(partition, replied),
        ]
        mark = str(Mark(epoch, 1))
        said = mark, int(whole), str(config or ""), _joined(handled)
        await self._own(_SETTLE, keys, epoch, *said, *self._put_replied(replied), *_put(before))
        return stored is not None

    async def read(
        self,
        partition: int,
        keys: Sequence[str],
        ids: Sequence[Handled] = (),
        brakes: Sequence[Brake] = (),
    ) -> Snapshot:
        """See ``BlockListOwner``."""
        if self._client.unfit:
            raise StoreUnavailable(self._client.unfit, everywhere=True)
        names = [self._key(partition, "meta"), self._key(partition, "entries")]
        names += self._looked_at(partition, ids)
        hours = reply_hours.asked_of(brakes)
        names += self._hour_keys(partition, hours)
        wanted = [b"".join(counting) for counting in hours.values()]
        asked = "\n".join(keys), _joined(ids), _LOOKED_AT
        answer = await self._client.run(_READ, names, *asked, *wanted)
        meta, found, seen, server, replied = answer
        values: list[bytes | None] = [None] * len(keys)
        for at in range(0, len(found), 2):
            values[found[at]] = found[at + 1]
        return Snapshot(
            meta=meta_of(meta),
            values=values,
            hits=found[::2],
            seen=frozenset([ids[index].id for index in seen]),
            server=self._server_of(server),
            replied=reply_hours.found_in(zip(replied[::2], replied[1::2], strict=True)),
        )

    async def read_many(self, keys: Mapping[int, Sequence[str]]) -> Mapping[int, Snapshot]:
        """See ``BlockListReader``."""
        # Asked at one moment, they share a pipeline.
        found = await asyncio.gather(*(self.read(*one) for one in keys.items()))
        return dict(zip(keys, found, strict=True))

    def _server_of(self, info: bytes) -> bytes:
        """The id that a server has from when it became the master until it no longer is."""
        if b"\r\nrole:master" not in info:
            raise StoreUnavailable(
                "Redis: a replica answered, with replica-read-only off", everywhere=True
            )
        if self._client.min_replicas and not says_it_needs_replicas(info):
            raise StoreUnavailable(NEEDS_NO_REPLICAS, everywhere=True)
        return info.partition(b"master_replid:")[2][:40]

    async def write(self, partition: int, batch: BatchWrite) -> None:
        """See ``BlockListOwner``."""
        hours = reply_hours.placed(batch.replied)
        keys = [
            self._key(partition, "meta"),
            self._key(partition, "entries"),
            self._key(partition, "undo"),
            self._key(partition, "asked"),
            *self._put_into(partition, batch.handled),
            *self._hour_keys(partition, [*hours, *reply_hours.dropped_at(batch.since_ms)]),
        ]
        answer, replicas = await self._client.run_replicated(
            _WRITE,
            keys,
            batch.epoch,
            str(batch.expected),
            str(batch.mark),
            undo_record(batch, hours),
            str(batch.config or ""),
            _joined(batch.handled),
            self._kept_ms,
            *self._put_replied(hours),
            *_put(batch.after),
        )
        _owned(answer)
        if replicas < self._client.min_replicas:
            # The lane begins again, which undoes what was written.
            raise StoreUnavailable(
                f"Redis: {replicas} of {self._client.min_replicas} replicas have the last write",
                everywhere=True,
            )

    async def beat(self, partition: int, epoch: int, committed: Mark) -> Meta:
        """See ``BlockListOwner``."""
        keys = [self._key(partition, "meta"), self._key(partition, "asked")]
        return meta_of(await self._own(_BEAT, keys, epoch, str(committed)))

    async def begin_rebuild(self, partition: int, epoch: int) -> None:
        """See ``BlockListOwner``."""
        keys = [self._key(partition, name) for name in ("meta", "rebuilt", "asked")]
        await self._own(_BEGIN_REBUILD, keys, epoch)
        self._rebuilt[partition] = 0

    async def add_rebuilt(
        self, partition: int, epoch: int, entries: Mapping[str, bytes | None]
    ) -> None:
        """See ``BlockListOwner``."""
        keys = [self._key(partition, "meta"), self._key(partition, "rebuilt")]
        await self._own(_ADD_REBUILT, keys, epoch, *_put(entries))
        self._rebuilt[partition] = self._rebuilt.get(partition, 0) + 1

    async def remember(
        self,
        partition: int,
        epoch: int,
        handled: Sequence[Handled],
        replied: Mapping[bytes, Replies] = NO_REPLIES,
    ) -> None:
        """See ``BlockListOwner``."""
        hours = reply_hours.placed(replied)
        keys = [
            self._key(partition, "meta"),
            *self._put_into(partition, handled),
            *self._hour_keys(partition, hours),
        ]
        said = _joined(handled), self._kept_ms, *self._put_replied(hours)
        await self._own(_REMEMBER, keys, epoch, *said)
        self._rebuilt[partition] = self._rebuilt.get(partition, 0) + 1

    async def finish_rebuild(
        self,
        partition: int,
        epoch: int,
        *,
        mark: Mark,
        ready: str,
        partitions: int,
        config: ConfigView | None = None,
    ) -> None:
        """See ``BlockListOwner``."""
        keys = [self._key(partition, name) for name in ("meta", "entries", "rebuilt", "undo")]
        steps = self._rebuilt.pop(partition, 0)
        said = str(mark), ready, partitions, steps, str(FORMAT), str(config or "")
        await self._own(_FINISH_REBUILD, keys, epoch, *said)

    async def declare_lost(self, partition: int) -> None:
        """See ``BlockListOwner``."""
        key = self._key(partition, "meta")
        await self._client.call(key, "HDEL", key, "ready")

    async def ask_for_rebuild(self, partition: int) -> None:
        """See ``BlockListReader``."""
        key = self._key(partition, "asked")
        await self._client.call(key, "SET", key, "")

    async def entries(
        self, partition: int, *, account_sid: str | None = None, list_key: str | None = None
    ) -> AsyncIterator[tuple[str, bytes]]:
        """See ``BlockListInspector``."""
        cursor = 0
        while True:
            cursor, found = await self.scan(
                partition, cursor, about=1000, account_sid=account_sid, list_key=list_key
            )
            for entry in found:
                yield entry
            if cursor == 0:
                return

    async def scan(
        self,
        partition: int,
        cursor: int,
        *,
        about: int,
        account_sid: str | None = None,
        list_key: str | None = None,
    ) -> tuple[int, list[tuple[str, bytes]]]:
        """See ``BlockListInspector``."""
        name = self._key(partition, "entries")
        # No id and no number has a character that means something in a pattern.
        match = entry_key(account_sid or "*", list_key or "*") if account_sid or list_key else "*"
        after, found = await self._client.call(
            name, "HSCAN", name, cursor, "MATCH", match, "COUNT", about
        )
        return int(after), [
            (key.decode(), value) for key, value in zip(found[::2], found[1::2], strict=True)
        ]

    async def close(self) -> None:
        """See ``BlockListStore``."""
        await self._client.close()


def _owned(answer: _T) -> _T:
    if answer == b"FENCED":
        raise Fenced("a later owner took the partition")
    if answer == b"LOST":
        raise ListLost("Redis lost what was last written to it")
    return answer


def meta_of(answer: Sequence[object]) -> Meta:
    """Read a script's answer about a list: each field of `meta`, then ms without its owner."""
    *fields, unheard_ms = answer
    epoch, mark, ready, partitions, written, config, committed = map(_text, fields)
    return Meta(
        epoch=int(epoch or 0),
        mark=Mark.parse(mark) if mark else NO_MARK,
        ready=ready,
        partitions=int(partitions) if partitions else None,
        unheard_ms=unheard_ms if isinstance(unheard_ms, int) else None,
        format=Format.parse(written) if written else FORMAT,
        config=ConfigView.parse(config) if config else None,
        committed=Mark.parse(committed) if committed else NO_MARK,
    )


def _text(field: object) -> str | None:
    """A field's text, None where it is empty or not there."""
    return field.decode() if isinstance(field, bytes) and field else None


def undo_record(batch: BatchWrite, hours: reply_hours.Hours) -> bytes:
    """The entries that a batch changed, as they were before.

    Args:
        batch: as it is written.
        hours: of the replies that it counts, see ``reply_hours.placed``.
    """
    return orjson.dumps(
        {
            "format": FORMAT.written,
            "before": {
                key: None if value is None else value.decode()
                for key, value in batch.before.items()
            },
            "handled": [[one.id.hex(), one.at_ms] for one in batch.handled],
            "replied": [
                [hour, brake.hex(), value.hex()]
                for hour, values in reply_hours.undoing(hours, batch.replied_before).items()
                for brake, value in values.items()
            ],
        }
    )


def undo_of(
    stored: bytes | None,
) -> tuple[Mapping[str, bytes | None], Sequence[Handled], reply_hours.Hours]:
    """Read an undo record: entries before, the messages it handled, counted replies before."""
    if stored is None:
        return {}, [], {}
    said = orjson.loads(stored)
    before = {
        key: None if value is None else value.encode() for key, value in said["before"].items()
    }
    handled = [Handled(bytes.fromhex(id_), at_ms) for id_, at_ms in said["handled"]]
    replied: dict[int, dict[bytes, bytes]] = {}
    for hour, brake, value in said.get("replied", ()):
        replied.setdefault(hour, {})[bytes.fromhex(brake)] = bytes.fromhex(value)
    return before, handled, replied


def _joined(handled: Iterable[Handled]) -> bytes:
    # The first two bytes have chosen the string that the other eight are put into.
    return b"".join([one.id[2:] for one in handled])


def _put(entries: Mapping[str, bytes | None]) -> list[str | bytes | int]:
    pairs = [part for key, value in entries.items() if value is not None for part in (key, value)]
    gone = [key for key, value in entries.items() if value is None]
    return [len(pairs) // 2, *pairs, *gone]


def block_list_store(settings: Settings, redis: RedisClient) -> RedisBlockList:
    """Open the served block list of an installation."""
    return RedisBlockList(
        redis,
        prefix=settings.topic_prefix,
        seen_ms=round(settings.dedupe_hours * _HOUR_MS),
    )
