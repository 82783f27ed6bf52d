"""`optout decide`: decide on messages with the lanes' own code, without Kafka or Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO

import click
import orjson
from pydantic import ValidationError

from processor import config
from processor.cli.common import print_json
from processor.cli.documents import read_documents
from processor.core.blocks import NO_MARK, NO_NAMES, Stored, stops
from processor.core.brakes import Replies
from processor.core.events import Event, OptOutNotification, ReplySend
from processor.core.fold import Item, Ordinary, finding_of, fold, on_its_way
from processor.core.messages import (
    ChannelGroup,
    Scope,
    account_of,
    entry_key,
    entry_of,
    list_key,
)
from processor.core.services import Directory
from processor.errors import ConfigError
from processor.stages.hearing import Ear
from processor.stages.items import read_of
from processor.wire import inbound_messages
from processor.wire.blocks import read_stored
from processor.wire.json_values import UNREADABLE, reason, why_unreadable
from processor.wire.services import service_of
from processor.wire.suspected import suspicion_fields


@click.command("decide")
@click.option("--services", "services_file", type=click.File("rb"), help="A services.yaml.")
@click.option(
    "--blocks",
    "blocks_file",
    type=click.File("rb"),
    help="The block list to start from: values of block-list.v2 as JSON lines.",
)
@click.argument("messages", type=click.File("rb"), default="-")
def command(
    services_file: IO[bytes] | None, blocks_file: IO[bytes] | None, messages: IO[bytes]
) -> None:
    """Decide on inbound MESSAGES (JSON lines, in order), printing one JSON line for each.

    Starts from an empty block list unless --blocks names one, and needs neither Kafka nor Redis. A
    line that is not a message gives {"error": …} in its place.

    Example: optout decide --services services.yaml messages.jsonl
    """
    decider = _Decider(_directory(services_file), _blocks(blocks_file), config.load().block_scope)
    for line in messages:
        if line.strip():
            print_json(decider.decide(line))


class _Decider:
    def __init__(self, directory: Directory, entries: dict[str, Stored], scope: Scope) -> None:
        self._directory = directory
        self._blocks = {key: one.blocks for key, one in entries.items()}
        self._names = {key: one.names for key, one in entries.items()}
        self._scope = scope
        self._ear = Ear()
        self._seen: set[bytes] = set()
        self._replied: dict[bytes, Replies] = {}

    def decide(self, line: bytes) -> dict[str, object]:
        try:
            read = inbound_messages.read(line)
        except UNREADABLE as error:
            return {"error": why_unreadable(error)}
        message = inbound_messages.message_of(read)
        handling = self._directory.handling(
            message.account_sid, message.service_sid, message.sender
        )
        key = entry_of(message.account_sid, message.recipient)

        def blocked() -> bool:
            return any(
                stops(block, service_sid=handling.service_sid, sender=message.sender)
                for block in self._blocks.get(self._person_of(key), ())
            )

        before = blocked()
        notification: OptOutNotification | None = None
        reply: ReplySend | None = None
        item = read_of(read, self._directory, self._ear)
        for event in self._events(item or Ordinary(message, handling)):
            if isinstance(event, OptOutNotification):
                notification = event
            elif isinstance(event, ReplySend):
                reply = event
        match = notification.match if notification else None
        return {
            "message_sid": message.message_sid,
            "kind": match.kind if match else None,
            "match": match.tier if match else None,
            "keyword": match.keyword if match else None,
            "language": match.language if match else None,
            "country": match.country if match else None,
            "reply": reply.body if reply else None,
            "reply_sent": notification.reply_sent if notification else "none",
            "braked": notification.braked if notification else False,
            "blocked_before": before,
            "blocked_after": blocked(),
            "effective": notification.effective if notification else None,
            "opt_out_type": match.kind if match and handling.aoo_enabled else None,
            "config_version": handling.config_version,
            "suspected": suspicion_fields(finding_of(item)),
        }

    def _events(self, item: Item | Ordinary) -> Sequence[Event]:
        """Decide on an item, in as many lanes as it comes to (R32)."""
        while True:
            folded = fold(
                [item],
                self._blocks,
                self._seen,
                replied=self._replied,
                names=self._names,
                scope=self._scope,
                mark=NO_MARK,
            )
            self._replied.update(folded.replied)
            self._seen.update(one.id for one in folded.handled)
            self._blocks.update(folded.changed)
            self._names.update(folded.names)
            if 0 not in folded.onward:
                return folded.events
            item = on_its_way(item, folded.onward[0])

    def _person_of(self, key: str) -> str:
        """The entry that has the blocks: of a linked user id, its number's."""
        link = self._names.get(key, NO_NAMES).link
        return key if link is None else entry_of(account_of(key), f"whatsapp:{link}")


def _directory(services_file: IO[bytes] | None) -> Directory:
    if services_file is None:
        return Directory()
    models = read_documents(services_file)
    return Directory(service_of(model) for model in models.values())


def _blocks(blocks_file: IO[bytes] | None) -> dict[str, Stored]:
    return dict(_entries(blocks_file)) if blocks_file else {}


def _entries(lines: IO[bytes]) -> Iterator[tuple[str, Stored]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            stored = read_stored(line)
        except ValidationError as error:
            raise ConfigError([f"{lines.name}:{number}: {reason(error)}"]) from None
        entry = orjson.loads(line)
        on = list_key(entry["recipient"], ChannelGroup(entry["channel_group"]))
        key = entry_key(entry["account_sid"], on)
        yield key, Stored(tuple(replace(one, mark=NO_MARK) for one in stored.blocks), stored.names)
