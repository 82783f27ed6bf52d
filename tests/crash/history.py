"""One recipient's history, its required results and its actual results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from processor.cli.blocks import differences
from processor.core.identity import cause_of
from tests.clinic import a_text
from tests.installation import Installation

# All of one recipient, written before any worker starts: one batch.
BODIES = (
    "stop",
    "help",
    "start",
    "halt",
    "STOP",
    "help",
    "Start",
    "help",
    "stop!",
    "unstop",
    "halt",
)
MESSAGES = [a_text(f"M{number}", body) for number, body in enumerate(BODIES)]
LATER = [a_text(f"M{number}", body) for number, body in enumerate(BODIES, len(BODIES))]


class Expected(NamedTuple):
    """The results of the history, by a separate model."""

    changes: list[tuple[str, bool]]
    replies: list[tuple[str, str]]
    notifications: list[str]
    blocked_by: str | None


def sequential_model(
    stop_words: set[str], stop_reply: str | None = None, *, bodies: Sequence[str] = BODIES
) -> Expected:
    """One recipient's history, one message after another: no batch, no crash."""
    changes, replies, notifications = [], [], []
    blocked_by = None
    confirmed = helped = 0  # R37: four replies of a kind within an hour
    for number, body in enumerate(bodies):
        sid, word = f"M{number}", body.lower().strip("!")
        if word in stop_words:
            if blocked_by is None:
                blocked_by = sid
                changes.append((sid, True))
                replies.append((sid, stop_reply or "You have successfully been unsubscribed."))
        elif word in ("start", "unstop"):
            if blocked_by is not None:
                changes.append((sid, False))
            blocked_by = None
            confirmed += 1
            if confirmed <= 4:
                replies.append((sid, "You have successfully been re-subscribed"))
        elif word == "help":
            if blocked_by is None:
                helped += 1
                if helped <= 4:
                    replies.append((sid, "Reply STOP to unsubscribe."))
        else:
            continue
        notifications.append(sid)
    return Expected(changes, replies, notifications, blocked_by)


async def outcome(at: Installation) -> Expected:
    """The contents of the topics and of Redis."""
    assert await whole(at)
    changes = await at.values(at.topics.block_changes)
    replies = await at.values(at.topics.reply_sends)
    notifications = await at.values(at.topics.opt_out_notifications)
    entries = await at.values_or_tombstones(at.topics.block_list)
    last = entries[-1] if entries else None
    return Expected(
        [(change["cause"]["id"], change["blocked"]) for change in changes],
        [(reply["in_reply_to"], reply["body"]) for reply in replies],
        [notification["message_sid"] for notification in notifications],
        cause_of(last["blocks"][0]["sources"][-1]["change_id"]) if last else None,
    )


def assert_equal(found: Expected, expected: Expected) -> None:
    """Everything is equal, replies by their first words."""
    texts = [
        (sid, body[: len(wanted)])
        for (sid, body), (_, wanted) in zip(found.replies, expected.replies, strict=False)
    ]
    assert len(found.replies) == len(expected.replies)
    assert found._replace(replies=texts) == expected


async def whole(at: Installation) -> bool:
    """Whether Redis matches the topic, in every partition."""
    patient = at.settings.model_copy(update={"redis_timeout_s": 30.0})  # others use it, too
    partitions = range(at.settings.partitions)
    return not any([await differences(patient, one) for one in partitions])
