"""The records that a provider's request makes: messages, statuses, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import orjson

from processor.carriers.adapter import Changed, Connection, Parsed, Received, Reported
from processor.carriers.references import read
from processor.core.addresses import subscriber_key
from processor.errors import RecordError
from processor.kafka.writing import Outgoing
from processor.wire import consent_commands, dead_letters
from processor.wire.carriers import account_of, commands_of, write_message, write_status
from processor.wire.topics import Topics

STAGE = "carriers"
CARRIER, PROVIDERS_ID = "carrier", "carrier-message-id"
_MOST_ID = 512  # characters


@dataclass(frozen=True, slots=True)
class Stored:
    """The records of a request, and how many of its parts were of each kind."""

    records: Sequence[Outgoing]
    counts: Counter[str]


def records_of(parsed: Parsed, connection: Connection, topics: Topics, *, now_ms: int) -> Stored:
    """The records that a request makes; a part that cannot be used becomes a dead letter.

    Args:
        parsed: content of the request.
        connection: that it came by.
        topics: of the installation.
        now_ms: when it came.
    """
    made = _Making(connection, topics, now_ms)
    records = [*made.messages(parsed.messages), *made.statuses(parsed.statuses)]
    records += made.changes(parsed.changes)
    records += [made.letter(one.value, one.why) for one in parsed.unreadable]
    made.counts["passed_over"] += parsed.passed_over
    return Stored(records, made.counts)


class _Making:
    def __init__(self, connection: Connection, topics: Topics, now_ms: int) -> None:
        self._connection = connection
        self._topics = topics
        self._now_ms = now_ms
        self.counts: Counter[str] = Counter()

    @cached_property
    def _accounts(self) -> Set[str]:
        """The accounts whose messages this carrier sends."""
        senders = self._connection.senders.values()
        return {self._connection.account_sid} | {sender.account_sid for sender in senders}

    def messages(self, given: Sequence[Received]) -> Iterator[Outgoing]:
        for one in given:
            try:
                value = write_message(one, self._connection, now_ms=self._now_ms)
            except RecordError as error:
                yield self.letter(self._as_read(one), str(error))
                continue
            self.counts["messages"] += 1
            yield Outgoing(
                self._topics.inbound_messages,
                subscriber_key(one.recipient).encode(),
                value,
                (
                    (CARRIER, self._connection.name.encode()),
                    (PROVIDERS_ID, one.id[:_MOST_ID].encode("utf-8", "replace")),
                ),
            )

    def changes(self, given: Sequence[Changed]) -> Iterator[Outgoing]:
        """Commands that link a person's addresses, or take blocks along to a new one."""
        for one in given:
            try:
                commands = commands_of(one, self._connection, now_ms=self._now_ms)
            except RecordError as error:
                yield self.letter(orjson.dumps({"id": one.id[:_MOST_ID]}), str(error))
                continue
            self.counts["changes"] += 1
            for command in commands:
                yield Outgoing(
                    self._topics.consent_commands,
                    consent_commands.key_of(command).encode(),
                    consent_commands.checked(command),
                    ((CARRIER, self._connection.name.encode()),),
                )

    def statuses(self, given: Sequence[Reported]) -> Iterator[Outgoing]:
        for one in given:
            reference = read(one.reference)
            if reference is None or reference.account_sid not in self._accounts:
                self.counts["unreferenced"] += 1  # others may send by this provider, too
                continue
            try:
                value = write_status(one, reference, now_ms=self._now_ms)
            except RecordError:
                self.counts["unreferenced"] += 1
                continue
            self.counts["statuses"] += 1
            key = subscriber_key(reference.recipient).encode()
            headers = ((CARRIER, self._connection.name.encode()),)
            yield Outgoing(self._topics.message_statuses, key, value, headers)

    def _as_read(self, one: Received) -> bytes:
        """A message that cannot be used, nearly as in `inbound-messages`: a person can mend it."""
        fields = {
            "message_sid": one.id,
            "account_sid": account_of(one, self._connection),
            "from": one.recipient,
            "to": one.sender,
            "body": one.body,
        }
        return orjson.dumps(
            {name: text.encode("utf-8", "replace").decode() for name, text in fields.items()}
        )

    def letter(self, value: bytes, why: str) -> Outgoing:
        """A dead letter of a part that lies in no topic; a redrive needs it mended."""
        self.counts["unreadable"] += 1
        headers = dead_letters.headers(
            [(CARRIER, self._connection.name.encode())],
            topic=self._topics.inbound_messages,
            partition=-1,
            offset=-1,
            stage=STAGE,
            reason=why,
        )
        return Outgoing(
            self._topics.dead_letters, None, value[: dead_letters.MOST_WHOLE_BYTES], headers
        )
