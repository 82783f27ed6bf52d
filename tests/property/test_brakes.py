"""R37: a brake counts the same under replay, crash and rebuild, in any batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from processor.core.blocks import Blocks
from processor.core.brakes import CLOCKS_DIFFER_MS, WINDOW_MS, Brake, Recount, Replies
from processor.core.events import OptOutNotification, ReplySend
from processor.core.fold import Folded, Hit, brake_for, fold
from processor.core.identity import Handled, reply_to
from processor.core.messages import Arrival, OptOutType, Scope
from processor.kafka.topics.handled_messages import handled_by
from processor.stores import reply_hours
from processor.wire.events import write_notification
from tests.builders import (
    LONG_CODE,
    MARK,
    NOW_MS,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
    a_config,
    a_handling,
    a_hit,
)

STOP = OptOutType.STOP
GAPS = st.sampled_from([0, 1, 1_000, 60_000, 14 * 60_000, 59 * 60_000, WINDOW_MS, 5 * WINDOW_MS])
SERVICES = [
    a_handling(),
    a_handling(a_config(reply_limit=1)),
    a_handling(a_config(repeat_reply=True, reply_limit=2)),
]


@st.composite
def conversations(draw: st.DrawFn) -> list[Hit]:
    """Messages by append time, of few recipients and senders."""
    said = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["HELP", "HELP", "START", "STOP"]),
                GAPS,
                st.sampled_from([RECIPIENT, RECIPIENT, OTHER_RECIPIENT]),
                st.sampled_from([LONG_CODE, LONG_CODE, OTHER_LONG_CODE]),
            ),
            max_size=30,
        )
    )
    handling = draw(st.sampled_from(SERVICES))
    hits, at_ms = [], NOW_MS
    for number, (body, gap_ms, recipient, sender) in enumerate(said):
        at_ms += gap_ms
        hits.append(
            a_hit(
                body,
                handling=handling,
                message_sid=f"SM{number:032}",
                recipient=recipient,
                sender=sender,
                received_at_ms=at_ms,
                arrival=Arrival(at_ms),
            )
        )
    return hits


class Outcome(NamedTuple):
    """Of each message its sid, and whether its reply was sent and braked."""

    message_sid: str
    replied: bool
    braked: bool


def outcomes(folded: Folded) -> list[Outcome]:
    answered = {
        event.message.message_sid for event in folded.events if isinstance(event, ReplySend)
    }
    return [
        Outcome(event.message.message_sid, event.message.message_sid in answered, event.braked)
        for event in folded.events
        if isinstance(event, OptOutNotification)
    ]


def modelled(hits: Sequence[Hit]) -> list[bool]:
    """Whether each message's reply is braked: a separate model, written from the rule."""
    sent: dict[tuple[str, str, str], list[int]] = {}
    blocked: set[str] = set()
    braked = []
    for hit in hits:
        message, kind = hit.message, hit.match.kind
        assert hit.handling.policy
        config = hit.handling.policy.config
        at_ms, stopping = message.arrival.appended_ms, message.recipient in blocked
        changed = kind is STOP and not stopping
        due = changed or (config.repeat_reply if kind is STOP else kind != "HELP" or not stopping)
        mine = sent.setdefault((message.recipient, message.sender, kind.value), [])
        full = len([one for one in mine if at_ms - one < WINDOW_MS]) >= config.reply_limit
        braked.append(due and full and not changed)
        if due and not braked[-1]:
            mine.append(at_ms)
        if kind is STOP:
            blocked.add(message.recipient)
        elif kind == "START":
            blocked.discard(message.recipient)
    return braked


class Lane:
    """The state that a lane keeps in Redis, by the functions that place it there."""

    def __init__(self) -> None:
        self.hours: dict[int, dict[bytes, bytes]] = {}
        self.lists: dict[str, Blocks] = {}

    def decide(self, batch: Sequence[Hit]) -> Folded:
        brakes = [one for hit in batch if (one := brake_for(hit))]
        found = reply_hours.found_in(
            (brake, self.hours[hour][brake])
            for hour, asked in reply_hours.asked_of(brakes).items()
            for brake in asked
            if brake in self.hours.get(hour, {})
        )
        folded = fold(batch, self.lists, frozenset(), replied=found, scope=Scope.ACCOUNT, mark=MARK)
        after = reply_hours.placed(folded.replied)
        self.undo = (
            reply_hours.undoing(after, found),
            {key: self.lists.get(key, ()) for key in folded.changed},
        )
        self.put(after)
        self.lists |= folded.changed
        for hour in reply_hours.dropped_at(min(one.at_ms for one in brakes)):
            self.hours.pop(hour, None)
        return folded

    def put(self, hours: reply_hours.Hours) -> None:
        for hour, values in hours.items():
            there = self.hours.setdefault(hour, {})
            for brake, value in values.items():
                there.pop(brake, None)
                if value:
                    there[brake] = value

    def crash(self) -> None:
        """The next owner undoes what was not committed."""
        hours, lists = self.undo
        self.put(hours)
        self.lists |= lists

    def rebuild(self, notifications: Sequence[OptOutNotification]) -> None:
        """Redis lost all; the topic of notifications has what was committed."""
        recount = Recount()
        for one in notifications:
            handled, brake = handled_by(record_of(one))
            if brake:
                recount.add(brake, reply_to(handled))
        self.hours = {}
        self.put(reply_hours.placed(recount.replied))


class Written(NamedTuple):
    """A record of `opt-out-notifications`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


def record_of(notification: OptOutNotification) -> Written:
    value = write_notification(notification)
    # A notification is written later than its message.
    return Written("opt-out-notifications", 0, 0, NOW_MS + 999 * WINDOW_MS, b"", value)


def batches(data: st.DataObject, hits: Sequence[Hit]) -> Iterator[Sequence[Hit]]:
    at = 0
    while at < len(hits):
        size = data.draw(st.integers(1, 8))
        yield hits[at : at + size]
        at += size


@given(conversations())
def test_r37_replies_are_braked_as_the_model_says(hits: list[Hit]) -> None:
    folded = fold(hits, {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK)
    assert [one.braked for one in outcomes(folded)] == modelled(hits)


@given(st.data(), conversations())
def test_r37_batches_crashes_and_rebuilds_change_no_outcome(
    data: st.DataObject, hits: list[Hit]
) -> None:
    expected = outcomes(fold(hits, {}, frozenset(), scope=Scope.ACCOUNT, mark=MARK))
    lane, found, told = Lane(), [], list[OptOutNotification]()
    for batch in batches(data, hits):
        for _ in range(data.draw(st.integers(0, 2), label="crashes")):
            lane.decide(batch[: data.draw(st.integers(1, len(batch)))])
            lane.crash()
        if data.draw(st.booleans(), label="rebuild"):
            lane.rebuild(told)
        folded = lane.decide(batch)
        found += outcomes(folded)
        told += [one for one in folded.events if isinstance(one, OptOutNotification)]
    assert found == expected


@given(st.lists(st.tuples(st.integers(0, 3 * WINDOW_MS), st.binary(min_size=4, max_size=4))))
def test_r37_a_value_in_redis_is_read_as_it_was_written(given: list[tuple[int, bytes]]) -> None:
    replies: Replies = tuple(reply_to(Handled(id_, NOW_MS + at_ms)) for at_ms, id_ in given)
    assert reply_hours.unpacked(reply_hours.packed(replies)) == replies


@given(st.integers(0, 9 * WINDOW_MS), st.integers(0, 2 * WINDOW_MS), st.integers(0, 9 * WINDOW_MS))
def test_r37_no_hour_is_dropped_that_a_later_message_asks_for(
    since_ms: int, back_ms: int, later_ms: int
) -> None:
    since_ms += NOW_MS
    at_ms = since_ms + later_ms - min(back_ms, CLOCKS_DIFFER_MS)
    asked = reply_hours.asked_of([Brake(bytes(10), at_ms)])
    assert not set(reply_hours.dropped_at(since_ms)) & set(asked)
