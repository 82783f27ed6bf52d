"""The audit follows each delivery through its tries, and names what vanished between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import pytest

from processor.audit.context import Context, Range
from processor.audit.following import _reading
from processor.audit.history import Histories
from processor.audit.report import Findings
from processor.audit.request_records import made, next_try
from processor.audit.services import Accounts, Services
from processor.audit.source_records import letter
from processor.audit.state import PartitionState
from processor.audit.streams import Fill, Stream
from processor.audit.values import DELIVERIES, DUE, LETTERS, MADE, RETRIES, STATUSES
from processor.audit.webhook_side import Ends, follow
from processor.stages.deliver_webhooks import Delivery
from processor.webhooks.client import Client
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure, Why
from tests.builders import RECIPIENT
from tests.deliveries import a_delivery, a_stage, a_status
from tests.small_world import Written

KEY = RECIPIENT.encode()
DOWN, REFUSED = Failure(Why.SERVER, 11200, "status 500"), Failure(Why.REFUSED, 11200, "refused")
Outcome = Answered | Failure
FINE = Answered(200, None, b"")


class Application:
    """Responds as it is asked to, in turn; then all is fine."""

    def __init__(self) -> None:
        self.responses: list[Outcome] = []

    async def ask(self, request: Request) -> Outcome:
        """Make a request."""
        return self.responses.pop(0) if self.responses else FINE


class Hooks:
    """The webhooks of a partition: the real stage, its topics as lists, an audit."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Written]] = defaultdict(list)
        self.done: dict[str, int] = dict.fromkeys(DUE, 0)
        self.application = Application()
        self._stage = a_stage()
        self._stage.client = cast(Client, self.application)
        self._state = PartitionState(None, {})
        self._read: dict[str, int] = dict.fromkeys((*DUE, *RETRIES, MADE), 0)

    def append(self, topic: str, value: bytes | None, headers: Any = (), key: Any = KEY) -> Written:
        """Write a record as the broker would."""
        log = self.logs[topic]
        offset = log[-1].offset + 1 if log else 0
        record = Written(topic, 0, offset, 1_000 * len(self.logs), key, value, tuple(headers))
        log.append(record)
        return record

    async def work(self, *responses: Outcome, topics: Sequence[str] = DUE) -> None:
        """Do what is there now; every request gets the next response."""
        self.application.responses = list(responses)
        made: dict[str, list[int]] = defaultdict(list)
        new = [one for topic in topics for one in self.logs[topic][self._left(topic) :]]
        for record in new:
            work = self._stage.work_of(record)
            if isinstance(work, Delivery):
                for out in await work.do():
                    self.append(out.topic, out.value, out.headers, out.key)
                if work.is_made:
                    made[record.topic].append(record.offset)
            elif work is not None:
                self.append(work.topic, work.value, work.headers, work.key)
            self.done[record.topic] = record.offset + 1
        for out in self._stage.made(0, made):
            self.append(out.topic, out.value, out.headers, out.key)

    def _left(self, topic: str) -> int:
        return sum(one.offset < self.done[topic] for one in self.logs[topic])

    async def audit(self) -> Findings:
        """Follow what is new since the last audit."""
        findings = Findings()
        context = self._context(findings)
        ends = Ends(context)
        for topic in RETRIES:
            await ends.add_tries(topic, Stream(self._fill(topic, "ended"), _reading(next_try)))
        await ends.add_made(Stream(self._fill(MADE, "ended"), _reading(made)))
        for topic in DUE:
            due: Stream[Any] = Stream(self._fill(topic, "due"), lambda record: record)
            await follow(context, topic, due, self.done[topic])
            context.state.forget_ended(topic, self.done[topic])
            self._read[f"due {topic}"] = self.done[topic]
        return findings

    def _context(self, findings: Findings) -> Context:
        letters: dict[str, set[int]] = defaultdict(set)
        for record in self.logs[LETTERS]:
            found = letter(record)
            assert found is not None
            letters[found[0]].add(found[2])
        nothing: Mapping[str, int] = {}
        return Context(
            0,
            1,
            self._state,
            Histories(self._state),
            Services(),
            Accounts(),
            Range(nothing, nothing, nothing),
            findings,
            letters,
        )

    def _fill(self, topic: str, what: str) -> Fill:
        begin = self._read.get(f"{what} {topic}", 0)
        left = [record for record in self.logs[topic] if record.offset >= begin]
        if what == "ended" and left:
            self._read[f"{what} {topic}"] = left[-1].offset + 1
        batches = iter([left] if left else [])

        async def fill() -> Sequence[Any]:
            return next(batches, ())

        return fill


async def a_day() -> Hooks:
    """Deliveries that are made at once, at the third try, never, and one that cannot be read."""
    hooks = Hooks()
    for sid in ("M1", "M2", "M3", "M4"):
        hooks.append(DELIVERIES, a_delivery(delivery_id=f"{sid}.inbound", message_sid=sid))
    hooks.append(DELIVERIES, b"{")
    hooks.append(STATUSES, a_status(message_sid="S1"))
    hooks.append(STATUSES, a_status(message_sid="S2", status_callback="https://example.com/s"))
    await hooks.work(FINE, DOWN, DOWN, FINE, DOWN)  # M2, M3 and S2 fail
    await hooks.work(DOWN, DOWN, FINE)  # M2 and M3 fail again
    await hooks.work(FINE, DOWN)  # M3 had its three attempts
    return hooks


async def test_every_delivery_of_a_healthy_day_is_followed_to_its_end() -> None:
    hooks = await a_day()
    assert [len(hooks.logs[topic]) for topic in (*RETRIES[:3], LETTERS)] == [3, 2, 0, 2]
    found = await hooks.audit()
    assert found.violations == []
    assert found.counts["tries_checked"] == 5 + 1 + 3 + 2


async def test_a_delivery_that_waits_for_its_next_try_is_no_fault() -> None:
    hooks = Hooks()
    hooks.append(DELIVERIES, a_delivery())
    await hooks.work(DOWN)
    hooks.append(DELIVERIES, a_delivery())  # no one has read it
    assert (await hooks.audit()).violations == []


async def test_an_audit_goes_on_where_the_last_one_ended() -> None:
    hooks = Hooks()
    hooks.append(DELIVERIES, a_delivery(message_sid="M1"))
    hooks.append(DELIVERIES, a_delivery(message_sid="M2"))
    await hooks.work(DOWN, FINE)
    hooks.done[DELIVERIES] = 1  # M1 counts as done, M2 was made before the commit
    assert (await hooks.audit()).counts == {"tries_checked": 1}
    hooks.done[DELIVERIES] = 2
    await hooks.work(DOWN, topics=RETRIES)
    assert (await hooks.audit()).violations == []
    del hooks.logs[RETRIES[1]][:]
    assert (await hooks.audit()).violations == []  # it was read before it was lost
    hooks.done[RETRIES[0]] = 1
    await hooks.work(FINE)
    hooks.append(DELIVERIES, a_delivery(message_sid="M3"))
    hooks.done[DELIVERIES] = 3
    [one] = (await hooks.audit()).violations
    assert (one.kind, one.where) == ("lost", f"{DELIVERIES}[0]@2 M3")


async def test_what_is_repeated_after_a_crash_may_end_in_two_ways() -> None:
    hooks = Hooks()
    hooks.append(DELIVERIES, a_delivery())
    await hooks.work(FINE)
    hooks.done[DELIVERIES] = 0  # it was not committed
    await hooks.work(DOWN)
    hooks.done[DELIVERIES] = 0
    await hooks.work(REFUSED)
    assert (await hooks.audit()).violations == []


async def test_a_record_in_another_partition_than_its_keys_is_not_followed() -> None:
    hooks = Hooks()
    hooks.append(DELIVERIES, a_delivery())
    hooks.done[DELIVERIES] = 1
    context = hooks._context(findings := Findings())
    context.of = 64
    due: Stream[Any] = Stream(hooks._fill(DELIVERIES, "due"), lambda record: record)
    await follow(context, DELIVERIES, due, 1)
    assert (findings.violations, findings.counts["not_checked"]) == ([], 1)


def _removed(topic: str, index: int) -> Callable[[Hooks], None]:
    def harm(hooks: Hooks) -> None:
        del hooks.logs[topic][index]

    return harm


def _unnamed(topic: str, index: int) -> Callable[[Hooks], None]:
    def harm(hooks: Hooks) -> None:
        hooks.logs[topic][index] = hooks.logs[topic][index]._replace(headers=())

    return harm


def _of_another(topic: str, index: int, sid: str) -> Callable[[Hooks], None]:
    def harm(hooks: Hooks) -> None:
        value = a_delivery(delivery_id=f"{sid}.inbound", message_sid=sid)
        hooks.logs[topic][index] = hooks.logs[topic][index]._replace(value=value)

    return harm


def _undone(hooks: Hooks) -> None:
    """Count a delivery as done that no one has worked on."""
    record = hooks.append(DELIVERIES, a_delivery(message_sid="M5"))
    hooks.done[DELIVERIES] = record.offset + 1


class Harm(NamedTuple):
    """A fault, and the violations that the audit must find."""

    harm: Callable[[Hooks], None]
    found: Sequence[tuple[str, str]]  # kind and place


def _lost(topic: str, where: str) -> tuple[str, str]:
    return "lost", f"{topic}[0]@{where}"


def _contradictory(topic: str, where: str) -> tuple[str, str]:
    return "contradictory", f"{topic}[0]@{where}"


ONE, TWO = RETRIES[:2]
HARMS = {
    "a first retry is gone": Harm(_removed(ONE, 0), [_lost(DELIVERIES, "1 M2")]),
    "a second retry is gone": Harm(_removed(TWO, 0), [_lost(ONE, "0 M2")]),
    "a status' retry is gone": Harm(_removed(ONE, 2), [_lost(STATUSES, "1 S2")]),
    "a dead letter is gone": Harm(_removed(LETTERS, 1), [_lost(TWO, "1 M3")]),
    "an unreadable delivery's letter is gone": Harm(_removed(LETTERS, 0), [_lost(DELIVERIES, "4")]),
    "a note of two made requests is gone": Harm(
        _removed(MADE, 0), [_lost(DELIVERIES, "0 M1"), _lost(DELIVERIES, "3 M4")]
    ),
    "a note of a made retry is gone": Harm(_removed(MADE, 1), [_lost(ONE, "2 S2")]),
    "a delivery is passed over": Harm(_undone, [_lost(DELIVERIES, "5 M5")]),
    "a retry names no try before it": Harm(
        _unnamed(TWO, 0), [_contradictory(TWO, "0"), _lost(ONE, "0 M2")]
    ),
    "a retry is of another delivery": Harm(
        _of_another(TWO, 1, "M9"), [_contradictory(ONE, "1 M3")]
    ),
    "a status' retry is of another message": Harm(
        _of_another(ONE, 2, "S9"), [_contradictory(STATUSES, "1 S2")]
    ),
}


@pytest.mark.parametrize("name", HARMS)
async def test_each_fault_is_named_and_nothing_else(name: str) -> None:
    hooks = await a_day()
    HARMS[name].harm(hooks)
    found = [(one.kind, one.where) for one in (await hooks.audit()).violations]
    assert found == HARMS[name].found
