"""What was handled lately, as the topics tell it: for a Redis that has forgotten (R22)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

import orjson
from pydantic import ValidationError

from processor.config import Settings
from processor.core.fold import command_id
from processor.errors import RecordError
from processor.kafka.client import read_whole
from processor.kafka.follower import Follower
from processor.metrics import Metrics
from processor.wire import consent_commands
from processor.wire.dead_letters import redrives_of
from processor.wire.json_values import is_sid

_AT_ONCE = 1_000
_HOUR_MS = 3_600_000


class HandledTopics:
    """Matched messages are those that have a notification, commands those that were committed."""

    def __init__(
        self, settings: Settings, *, notifications: str, commands: str, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._follower = Follower("handled", metrics)
        self._notifications = notifications
        self._commands = commands

    async def recent(
        self, partition: int, committed: Mapping[str, int]
    ) -> AsyncIterator[Mapping[str, int]]:
        """Ids, as ``fold`` compares them, to the ms each is still remembered, in batches.

        Args:
            partition: of both topics.
            committed: source topic to the match group's offset.
        """
        remembered_ms = round(_HOUR_MS * self._settings.dedupe_hours)
        forgotten_ms = time.time_ns() // 1_000_000 - remembered_ms  # what is as old is forgotten
        found: dict[str, int] = {}
        async for one, at_ms in self._since(partition, max(0, forgotten_ms), committed):
            left_ms = min(at_ms - forgotten_ms, remembered_ms)
            if left_ms > 0:
                found[one] = left_ms
            if len(found) >= _AT_ONCE:
                yield found
                found = {}
        if found:
            yield found

    async def _since(
        self, partition: int, since_ms: int, committed: Mapping[str, int]
    ) -> AsyncIterator[tuple[str, int]]:
        async for record in read_whole(
            self._settings,
            self._notifications,
            self._commands,
            partitions=[partition],
            since_ms=since_ms,
        ):
            if record.topic == self._notifications:
                try:
                    yield notified_sid(record.value), record.timestamp
                except RecordError as error:
                    self._follower.refuse(record, error)
            elif record.offset < committed.get(self._commands, 0):
                # What went to the dead letters was not handled: it may come again, mended.
                with suppress(ValidationError):
                    command = consent_commands.read(record.value or b"")
                    if record.key == command.recipient.encode():
                        redrives = redrives_of(record.headers)
                        yield command_id(command.command_id, redrives), record.timestamp


def notified_sid(value: bytes | None) -> str:
    """The message that a notification is about.

    Raises:
        RecordError: where the value is not a notification.
    """
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        sid = orjson.loads(value or b"")["message_sid"]
        if isinstance(sid, str) and is_sid(sid):
            return sid
    raise RecordError("not a notification: it has no message_sid")
