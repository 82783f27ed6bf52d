"""Messages handled lately, read from the topics for a Redis that has forgotten them (R22)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress

from pydantic import ValidationError

from processor import clocks
from processor.config import Settings
from processor.core.brakes import WINDOW_MS
from processor.core.events import ReplySent
from processor.core.identity import Recalled, brake_of, handled_command, handled_message
from processor.core.messages import OptOutType, bare_number
from processor.errors import RecordError
from processor.kafka.reading import read_whole
from processor.kafka.topics.follower import Follower
from processor.metrics import Metrics
from processor.wire import consent_commands, dead_letters
from processor.wire.dead_letters import redrives_of
from processor.wire.json_values import to_ms
from processor.wire.records import Record
from processor.wire.suspected import read_text
from processor.wire.ways import is_in_place
from schemas.opt_out_notification import OptOutNotification

_AT_ONCE = 1_000
_HOUR_MS = 3_600_000
_OURS = (ReplySent.AOO, ReplySent.DEFAULT)


class HandledTopics:
    """The messages and commands that were handled, as the topics show them.

    A matched message has a notification, a reported one is in `suspected-opt-outs`, and a command
    was committed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        notifications: str,
        suspected: str,
        commands: str,
        dead_letters: str,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._dead_letters = dead_letters
        self._follower = Follower("handled", metrics)
        self._recall: Mapping[str, Callable[[Record], Recalled | None]] = {
            notifications: handled_by,
            suspected: handled_report,
        }
        self._commands = commands

    @property
    def forgets_after_ms(self) -> int:
        """A list without an owner for longer may have forgotten ids that are still needed."""
        return round(_HOUR_MS * self._settings.dedupe_hours / 4)

    async def recent(
        self, partition: int, committed: Mapping[str, int], *, more_ms: int = 0
    ) -> AsyncGenerator[Sequence[Recalled], None]:
        """Messages handled for as long as ids are remembered, in batches.

        Args:
            partition: of all topics.
            committed: source topic to the match group's offset.
            more_ms: how much further back, as records may lie there unread for as long.
        """
        since_ms = max(0, clocks.now_ms() - remembered_ms(self._settings) - more_ms)
        found: list[Recalled] = []
        async with aclosing(self._since(partition, since_ms, committed)) as ones:
            async for one in ones:
                found.append(one)
                if len(found) >= _AT_ONCE:
                    yield found
                    found = []
        if found:
            yield found

    async def _since(
        self, partition: int, since_ms: int, committed: Mapping[str, int]
    ) -> AsyncGenerator[Recalled, None]:
        done = committed.get(self._commands, 0)
        aside = await put_aside(
            self._settings,
            self._dead_letters,
            self._commands,
            partitions=[partition],
            since_ms=since_ms,
        )
        whole = read_whole(
            self._settings,
            *self._recall,
            self._commands,
            partitions=[partition],
            since_ms=since_ms,
        )
        async with aclosing(whole) as records:
            async for record in records:
                if recall := self._recall.get(record.topic):
                    try:
                        if recalled := recall(record):
                            yield recalled
                    except RecordError as error:
                        self._follower.refuse(record, error)
                elif record.offset < done and (partition, record.offset) not in aside:
                    with suppress(ValidationError):
                        command = consent_commands.read(record.value or b"")
                        if is_in_place(record, consent_commands.key_of(command)):
                            redrives = redrives_of(record.headers)
                            handled = handled_command(
                                command.account_sid, command.command_id, redrives, record.timestamp
                            )
                            yield Recalled(handled, None)


def remembered_ms(settings: Settings) -> int:
    """How far back notifications matter: for handled ids (R22), and for brakes (R37).

    A lane may have worked slower than its messages came, so for brakes it is more than an hour.
    """
    return max(round(_HOUR_MS * settings.dedupe_hours), 3 * WINDOW_MS)


async def put_aside(
    settings: Settings,
    letters: str,
    commands: str,
    *,
    partitions: Iterable[int] | None = None,
    since_ms: int,
) -> set[tuple[int, int]]:
    """Partition and offset of commands in the dead letters: not handled, they may come again."""
    found = set()
    async for record in read_whole(settings, letters, partitions=partitions, since_ms=since_ms):
        if dead_letters.said(record.headers, "topic") == commands:
            place = [dead_letters.said(record.headers, name) for name in ("partition", "offset")]
            if all(one and one.isdecimal() and len(one) < 20 for one in place):
                found.add((int(str(place[0])), int(str(place[1]))))
    return found


def handled_report(report: Record) -> Recalled | None:
    """The message that was reported; None where its policy blocked: it has a notification.

    Raises:
        RecordError: where the record's value is not a report.
    """
    try:
        said = read_text(report.value or b"")
    except ValidationError:
        raise RecordError("not a suspected opt-out") from None
    if said.due_at is None:
        return None
    at_ms = to_ms(said.at)
    handled = handled_message(said.account_sid, said.message_sid, said.from_, said.to, at_ms)
    return Recalled(handled, None)


def handled_by(notification: Record) -> Recalled:
    """The message that a notification is about, and the brake of its reply.

    Raises:
        RecordError: where the record's value is not a notification.
    """
    try:
        said = OptOutNotification.model_validate_json(notification.value or b"")
    except ValidationError:
        raise RecordError("not a notification") from None
    at_ms = to_ms(said.at) if said.at else notification.timestamp
    handled = handled_message(said.account_sid, said.message_sid, said.from_, said.to, at_ms)
    if said.reply_sent not in _OURS:
        return Recalled(handled, None)
    kind = OptOutType(said.kind)
    person = _person_of(said.from_, notification)
    return Recalled(handled, brake_of(said.account_sid, person, said.to, kind, at_ms).id)


def _person_of(address: str, notification: Record) -> str:
    """The address whose entry decided: of a linked user id, its number, as the key says (R32)."""
    key: bytes = notification.key or b""
    return f"whatsapp:{key.decode()}" if bare_number(address)[0] != "+" and key else address
