"""The input of a run, and the counts that its outputs must have."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import orjson

from processor.cli.traffic import Sender, Traffic
from processor.config import Settings
from processor.core.blocks import Mark
from processor.core.events import BlockChange, OptOutNotification, ReplySend
from processor.core.fold import Hit, fold
from processor.core.messages import Scope
from processor.core.policy import DEFAULT_POLICY
from processor.core.services import Directory
from processor.kafka.writing import bulk_writer
from processor.stages.items import hit_of
from processor.wire import inbound_messages
from processor.wire.topics import Topics
from tests.bench.block_list import is_blocked, recipients_of
from tests.builders import ACCOUNT, LONG_CODE

SENDER = Sender(ACCOUNT, None, LONG_CODE)  # in no service, so default handling answers
SEED = 20
KEYWORD_SHARE = 0.02
_RECIPIENTS = 1_000_000
AT_MS = time.time_ns() // 1_000_000
_CHUNK = 5_000

Counts = dict[str, int]  # topic, without prefix and version, to records


def traffic(*, keyword_share: float, recipients: int = _RECIPIENTS) -> Traffic:
    """The same made-up traffic every time."""
    return Traffic(SEED, SENDER, recipients=recipients, keyword_share=keyword_share)


async def write_inbound(settings: Settings, count: int) -> Counts:
    """Write inbound messages to their topic; returns the required output of the match lane."""
    made = traffic(keyword_share=KEYWORD_SHARE)
    hits: list[Hit] = []
    async with bulk_writer(settings, Topics.under(settings.topic_prefix).inbound_messages) as out:
        for size in chunks(count):
            records = made.inbound(size, AT_MS)
            await out.send(records)
            hits += hits_of(value for _, value in records)
    return expected(hits)


async def write_sends(settings: Settings, count: int, *, blocked: int) -> Counts:
    """Write sends to their topic; returns the required output of the gate with this list."""
    made = traffic(keyword_share=0, recipients=recipients_of(blocked))
    refused = 0
    async with bulk_writer(settings, Topics.under(settings.topic_prefix).outbound_messages) as out:
        for size in chunks(count):
            records = made.sends(size, AT_MS)
            await out.send(records)
            refused += sum(is_blocked(key) for key, _ in records)
    return {"allowed_sends": count - refused, "message_statuses": refused, "dead_letters": 0}


def expected(hits: Sequence[Hit]) -> Counts:
    """The events of hits, in order, with an empty block list at first, by topic."""
    folded = fold(hits, {}, frozenset(), scope=Scope.ACCOUNT, mark=Mark(1, 1))
    kinds = Counter(type(event) for event in folded.events)
    return {
        "opt_out_notifications": kinds[OptOutNotification],
        "reply_sends": kinds[ReplySend],
        "block_changes": kinds[BlockChange],
        "dead_letters": 0,
    }


def hits_of(values: Iterator[bytes]) -> list[Hit]:
    """The messages that match under default handling, in their order."""
    directory = Directory()
    found = (
        hit_of(inbound_messages.read(value), directory)
        for value in values
        if _matches(orjson.loads(value)["body"])
    )
    return [hit for hit in found if hit is not None]


@cache
def _matches(body: str) -> bool:
    return DEFAULT_POLICY.match(body, None) is not None


def chunks(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, _CHUNK)
        count -= _CHUNK
