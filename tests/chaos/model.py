"""One recipient after another, message by message: what must have come of the inbound topic.

It knows the traffic's keywords and default handling; it shares no code with the processor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.config import Settings
from processor.kafka.client import read_whole
from processor.wire.topics import Topics
from tests.chaos.traffic import KINDS, TOLL_FREE, Written, is_commanded

_ACCOUNT = "account"


@dataclass(slots=True)
class Story:
    """What came, or should have come, of one recipient's messages; ids in order."""

    changes: list[tuple[str, str, bool]] = field(default_factory=list)  # cause, where, blocked
    replies: list[tuple[str, str]] = field(default_factory=list)  # message, kind
    notifications: list[tuple[str, str, bool]] = field(default_factory=list)  # kind, effective


def tell(messages: Sequence[Mapping[str, Any]]) -> Story:
    """What must come of one recipient's messages, by default handling (R3, R18 to R20)."""
    story = Story()
    blocked: dict[str, None] = {}  # in the order they came, which is that they are lifted in
    handled: set[str] = set()
    for message in messages:
        sid, body, sender = message["message_sid"], message["body"], message["to"]
        kind = KINDS.get(body)
        if kind is None or sid in handled:
            continue
        handled.add(sid)
        word, carrier = body.strip().lower(), f"carrier {sender}"
        stopping = [place for place in blocked if place in (_ACCOUNT, carrier)]
        changes: list[str] = []
        replies, effective = True, True
        if kind == "STOP":
            network = sender == TOLL_FREE and word == "stop"
            replies = not network and _ACCOUNT not in blocked
            wanted = (_ACCOUNT, carrier) if network else (_ACCOUNT,)
            changes = [place for place in wanted if place not in blocked]
            blocked.update(dict.fromkeys(changes))
        elif kind == "START":
            if carrier in blocked and word not in ("start", "unstop"):
                replies = effective = False
            else:
                changes = stopping
                blocked = {place: None for place in blocked if place not in stopping}
        else:
            replies = not stopping
        story.changes += [(sid, place, kind == "STOP") for place in changes]
        story.replies += [(sid, kind)] if replies else []
        story.notifications.append((sid, kind, effective))
    return story


async def deviations(settings: Settings, written: Mapping[str, Written]) -> tuple[list[str], int]:
    """What did not come of what was written as it must have.

    Returns:
        Each deviation, and how many events were compared.
    """
    topics = Topics.under(settings.topic_prefix)
    texts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fields in await _values(settings, topics.inbound_messages):
        texts[fields["from"]].append(fields)
    found: dict[str, Story] = defaultdict(Story)
    for fields in await _values(settings, topics.block_changes):
        where = f"carrier {fields['sender']}" if fields["carrier"] else fields["scope"]
        change = (fields["cause"]["id"], where, fields["blocked"])
        found[fields["recipient"]].changes.append(change)
    for fields in await _values(settings, topics.reply_sends):
        found[fields["to"]].replies.append((fields["in_reply_to"], fields["kind"]))
    for fields in await _values(settings, topics.opt_out_notifications):
        notification = (fields["message_sid"], fields["kind"], fields["effective"])
        found[fields["from"]].notifications.append(notification)
    there = {fields["message_sid"] for messages in texts.values() for fields in messages}
    judged = {
        fields["message_sid"]
        for topic in (topics.allowed_sends, topics.message_statuses)
        for fields in await _values(settings, topic)
    }
    wrong: list[str] = []
    for one in written.values():
        if one.record.topic == topics.outbound_messages and one.id not in judged:
            wrong.append(f"send {one.id} has no verdict")
        if one.record.topic == topics.inbound_messages and one.id not in there:
            wrong.append(f"message {one.id} was written and is gone")
    compared = 0
    for recipient in texts.keys() | found.keys():
        told, seen = tell(texts[recipient]), found[recipient]
        for name in ("changes", "replies", "notifications"):
            if is_commanded(recipient) and name != "notifications":
                continue  # where a command falls among the messages cannot be told
            must, was = getattr(told, name), getattr(seen, name)
            if is_commanded(recipient):
                must, was = ([one[:2] for one in ones] for ones in (must, was))
            compared += len(must)
            if must != was:
                wrong.append(_difference(name, must, was))
    return wrong, compared


async def _values(settings: Settings, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(record.value) async for record in read_whole(settings, topic)]


def _difference(name: str, must: Sequence[tuple[Any, ...]], was: Sequence[tuple[Any, ...]]) -> str:
    at = next(
        (index for index, pair in enumerate(zip(must, was, strict=False)) if pair[0] != pair[1]),
        min(len(must), len(was)),
    )
    return f"{name} of one recipient, at {at}: {must[at:][:3]} became {was[at:][:3]}"
