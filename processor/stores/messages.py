"""The messages created through the API, kept in Redis for a time.

A view, not the truth: a message that is lost here was sent all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.exceptions import DataError

from processor import clocks
from processor.config import Settings
from processor.core.addresses import in_one_spelling
from processor.errors import NewerFormat, RecordError
from processor.stores.redis_client import RedisClient
from processor.stores.redis_errors import REDIS_ERRORS, is_of_the_value, unavailable
from processor.stores.redis_types import Pipeline

_T = TypeVar("_T")
RANKS = {
    "accepted": 0,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "failed": 4,
    "undelivered": 4,
    "delivered": 4,
    "read": 5,
}
"""How far a message is; it only goes on, so that statuses may come twice and out of order."""

FORMAT = "1"  # of a message's hash; a process that does not know another one waits
_OTHER_FORMAT = "another version wrote this message: update this process"
_TRIMMED = 100  # sids that one addition takes off a list, at most
_NO_LIMIT = 1 << 53
_DAY_MS = 86_400_000
# A message is a whole hash or none: each script writes one key, all or nothing.
# ARGV: ms to keep it, then fields and values.
_ADD = """
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
# ARGV: sid, its time, ms to keep the list, the time up to which sids are too old, most to take off,
# how many the list may have. Answers some of the oldest beyond that, which stay in the list.
_LIST = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local old = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[4])
if old > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, math.min(old, tonumber(ARGV[5])) - 1)
end
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[6])
if surplus <= 0 then return {} end
return redis.call('ZRANGE', KEYS[1], 0, math.min(surplus, tonumber(ARGV[5])) - 1)
"""
# Without a rank there is no message: it was deleted, or it expired, after the last look.
_RANK = (
    """
local rank = tonumber(redis.call('HGET', KEYS[1], 'rank') or '')
if not rank then
  redis.call('DEL', KEYS[1])
  return 0
end
"""
    + f"""
if redis.call('HGET', KEYS[1], 'format') ~= '{FORMAT}' then
  return redis.error_reply('{_OTHER_FORMAT}')
end
"""
)
_REDACT = _RANK + "redis.call('HSET', KEYS[1], 'body', '')"
# ARGV: account, rank, then fields and values. Another account may use the same sid.
_ADVANCE = (
    _RANK
    + """
if redis.call('HGET', KEYS[1], 'account_sid') ~= ARGV[1] then return 0 end
if tonumber(ARGV[2]) <= rank then return 0 end
redis.call('HSET', KEYS[1], 'rank', unpack(ARGV, 2))
return 1
"""
)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it is known now."""

    sid: str
    account_sid: str
    service_sid: str | None
    sender: str | None
    to: str
    body: str
    num_media: int
    num_segments: int
    status: str
    error_code: int | None
    error_message: str | None
    created_at_ms: int
    updated_at_ms: int
    sent_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """Some messages, and where those on either side are."""

    messages: Sequence[StoredMessage]
    after: str | None  # the sid behind which others are, wanted or not; None: none is
    before: str | None  # the sid before which others are; None: none is
    looked_at: int  # how many messages


class Messages:
    """Keeps each message in a hash, and its sid in lists by account, recipient and sender.

    Every method raises ``StoreUnavailable`` where the server cannot be asked. Every key expires
    ``keep_ms`` after the last message was added to it.

    Args:
        client: shared.
        prefix: of every key.
        keep_ms: how long a message is kept; 0: not at all.
    """

    def __init__(self, client: RedisClient, *, prefix: str, keep_ms: int) -> None:
        self._client = client
        self._prefix = prefix
        self._keep_ms = keep_ms

    def _key(self, sid: str) -> str:
        return f"{self._prefix}message:{sid}"

    def _list(self, account_sid: str, *, to: str | None = None, sender: str | None = None) -> str:
        part = f":to:{in_one_spelling(to)}" if to else f":from:{sender}" if sender else ""
        return f"{self._prefix}messages:{account_sid}{part}"

    def _lists(self, message: StoredMessage) -> list[str]:
        """The lists that a message is in, its account's first."""
        account = message.account_sid
        lists = [self._list(account), self._list(account, to=message.to)]
        return lists + ([self._list(account, sender=message.sender)] if message.sender else [])

    @classmethod
    def of(cls, settings: Settings, client: RedisClient) -> Messages:
        """Those of an installation."""
        keep_ms = round(settings.message_days * _DAY_MS)
        return cls(client, prefix=settings.topic_prefix, keep_ms=keep_ms)

    async def add(self, message: StoredMessage, *, most: int = _NO_LIMIT) -> None:
        """Keep a new message; of those that are then too many the oldest go.

        Args:
            message: as it was accepted.
            most: how many of the account are kept.
        """
        if not self._keep_ms or not most:
            return
        lists = self._lists(message)
        pipeline = self._client.redis.pipeline(transaction=False)
        pairs = [part for pair in fields_of(message).items() for part in pair]
        pipeline.execute_command("EVAL", _ADD, 1, self._key(message.sid), self._keep_ms, *pairs)
        at_ms, too_old_ms = message.created_at_ms, message.created_at_ms - self._keep_ms
        for name in lists:
            limit = most if name == lists[0] else _NO_LIMIT
            arguments = (message.sid, at_ms, self._keep_ms, too_old_ms, _TRIMMED, limit)
            pipeline.execute_command("EVAL", _LIST, 1, name, *arguments)
        _, surplus, *_ = await _answers(pipeline)
        if surplus:
            await self._forget(message.account_sid, [sid.decode() for sid in surplus])

    async def count(self, account_sid: str) -> int:
        """How many messages of an account are kept."""
        since_ms = clocks.now_ms() - self._keep_ms
        name = self._list(account_sid)
        return int(await _answer(self._client.redis.zcount(name, since_ms, "+inf")))

    async def _forget(self, account_sid: str, sids: Sequence[str]) -> None:
        """Forget messages of an account, and the sids of those that have expired."""
        for message in await self._read(sids):
            if message and message.account_sid == account_sid:
                await self.remove(message)
        await _answer(self._client.redis.zrem(self._list(account_sid), *sids))

    async def get(self, sid: str) -> StoredMessage | None:
        """A message, whoever it belongs to."""
        return message_of(sid, await _answer(self._client.redis.hgetall(self._key(sid))))

    async def remove(self, message: StoredMessage) -> None:
        """Forget a message."""
        pipeline = self._client.redis.pipeline(transaction=False)
        pipeline.delete(self._key(message.sid))
        for name in self._lists(message):
            pipeline.zrem(name, message.sid)
        await _answers(pipeline)

    async def redact(self, sid: str) -> None:
        """Forget a message's text, if it is still kept."""
        await _answer(self._client.redis.eval(_REDACT, 1, self._key(sid)))

    async def advance(
        self, statuses: Sequence[tuple[str, str, Mapping[str, str | int]]]
    ) -> list[tuple[int, Exception]]:
        """Set fields of messages that are not as far yet; those not kept are passed over.

        Args:
            statuses: in their order, a message's account and sid, and its ``status`` with what
                goes with it.

        Returns:
            The statuses that Redis will always refuse, by their index, and why.
        """
        pipeline = self._client.redis.pipeline(transaction=False)
        for account_sid, sid, fields in statuses:
            pairs = [part for pair in fields.items() for part in pair]
            said = account_sid, RANKS[str(fields["status"])], *pairs
            pipeline.execute_command("EVAL", _ADVANCE, 1, self._key(sid), *said)
        answers = await _answer(pipeline.execute(raise_on_error=False))
        refused: list[tuple[int, Exception]] = []
        for index, answer in enumerate(answers):
            if isinstance(answer, Exception):
                if not is_of_the_value(answer):
                    raise unavailable(answer)
                refused.append((index, RecordError("Redis refuses it")))
        return refused

    async def find(
        self,
        account_sid: str,
        *,
        to: str | None,
        sender: str | None,
        wanted: Callable[[StoredMessage], bool],
        size: int,
        most: int,
        until_ms: int | None = None,
        start: int = 0,
        after: str | None = None,
        before: str | None = None,
    ) -> Found:
        """Messages of an account, the newest first.

        Args:
            account_sid: the account.
            to: only to this recipient.
            sender: only from this sender.
            wanted: only those.
            size: how many at most.
            most: how many to look at, at most; so it may find fewer than there are.
            until_ms: pass over what was created later.
            start: how many to pass over, where no sid says where to begin.
            after: the sid behind which to begin.
            before: the sid before which to end.
        """
        name = self._list(account_sid, to=to, sender=None if to else sender)
        place = after or before
        rank = await _answer(self._client.redis.zrevrank(name, place)) if place else None
        if rank is not None:
            start = rank + 1 if after else max(0, rank - size)
        if until_ms is not None:
            newer = await _answer(self._client.redis.zcount(name, f"({until_ms}", "+inf"))
            start = max(start, newer)
        # One more shows whether there are others.
        sids = await _answer(self._client.redis.zrevrange(name, start, start + most))
        asked = [sid.decode() for sid in sids[:most]]
        found: list[StoredMessage] = []
        looked_at = 0
        for message in await self._read(asked):
            looked_at += 1
            if message and wanted(message) and sender in (None, message.sender):
                found.append(message)
                if len(found) == size:
                    break
        return Found(
            found,
            after=asked[looked_at - 1] if len(sids) > looked_at else None,
            before=found[0].sid if found and start > 0 else None,
            looked_at=looked_at,
        )

    async def _read(self, sids: Sequence[str]) -> list[StoredMessage | None]:
        pipeline = self._client.redis.pipeline(transaction=False)
        for sid in sids:
            pipeline.hgetall(self._key(sid))
        answers = await _answers(pipeline) if sids else []
        return [message_of(sid, fields) for sid, fields in zip(sids, answers, strict=True)]


def fields_of(message: StoredMessage) -> dict[str, str | int]:
    """The hash that holds a message."""
    fields: dict[str, str | int | None] = {
        "format": FORMAT,
        "account_sid": message.account_sid,
        "service_sid": message.service_sid,
        "sender": message.sender,
        "to": message.to,
        "body": message.body,
        "num_media": message.num_media,
        "num_segments": message.num_segments,
        "status": message.status,
        "rank": RANKS[message.status],
        "error_code": message.error_code,
        "error_message": message.error_message,
        "created_at_ms": message.created_at_ms,
        "updated_at_ms": message.updated_at_ms,
        "sent_at_ms": message.sent_at_ms,
    }
    return {name: value for name, value in fields.items() if value is not None}


def message_of(sid: str, fields: Mapping[bytes, bytes]) -> StoredMessage | None:
    """The message that a hash holds, None where there is none.

    Raises:
        NewerFormat: where another version wrote it.
    """
    if b"rank" not in fields:
        return None
    if fields.get(b"format") != FORMAT.encode():
        raise NewerFormat(_OTHER_FORMAT)
    text = {name.decode(): value.decode() for name, value in fields.items()}

    def number(name: str) -> int | None:
        return int(text[name]) if name in text else None

    return StoredMessage(
        sid=sid,
        account_sid=text["account_sid"],
        service_sid=text.get("service_sid"),
        sender=text.get("sender"),
        to=text["to"],
        body=text["body"],
        num_media=int(text["num_media"]),
        num_segments=int(text["num_segments"]),
        status=text["status"],
        error_code=number("error_code"),
        error_message=text.get("error_message"),
        created_at_ms=int(text["created_at_ms"]),
        updated_at_ms=int(text["updated_at_ms"]),
        sent_at_ms=number("sent_at_ms"),
    )


async def _answer(asked: Awaitable[_T]) -> _T:
    try:
        return await asked
    except DataError:
        raise  # nothing was asked
    except REDIS_ERRORS as error:
        raise unavailable(error) from error


async def _answers(pipeline: Pipeline) -> list[Any]:
    """The answers to a pipeline."""
    # The error that redis-py raises by itself quotes the command.
    answers = await _answer(pipeline.execute(raise_on_error=False))
    for answer in answers:
        if isinstance(answer, Exception):
            raise unavailable(answer)
    return answers
