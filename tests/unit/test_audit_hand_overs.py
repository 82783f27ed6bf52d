"""The audit of what carriers were handed: no message after its recipient's STOP (R25, R36)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from processor.audit import history
from processor.audit.values import COMMANDS, INBOUND, OUTBOUND, STATUSES
from processor.core.messages import Scope
from tests.builders import LONG_CODE, OTHER_LONG_CODE, OTHER_RECIPIENT, RECIPIENT
from tests.seeded_faults import OPT_OUT, Harm, a_clinic, altered, headed
from tests.small_world import World

S1, HELP, OTHER_STOP, S2_REFUSED, STOP, START, S3 = range(7)  # the statuses of the day


async def a_day() -> World:
    """A send, one that waits while its recipient texts STOP, and replies."""
    world = World()
    world.configure(**a_clinic())
    world.send("S1")
    world.send("S2", to=OTHER_RECIPIENT)
    await world.gate()
    await world.carry(201, 503)
    world.text("M1", "help")
    world.text("M2", "stop", **{"from": OTHER_RECIPIENT})
    await world.match()
    await world.carry()
    world.text("M3", "stop")
    await world.match()
    world.text("M4", "start")
    await world.match()
    await world.carry()
    world.send("S3")
    await world.gate()
    await world.carry()
    return world


async def pairs() -> World:
    """A block of one sender, and a send from another."""
    world = World(Scope.SENDER)
    world.configure(**a_clinic())
    world.text("M1", "stop")
    await world.match()
    await world.carry()
    world.send("S1", **{"from": OTHER_LONG_CODE})
    await world.gate()
    await world.carry()
    return world


async def slow() -> World:
    """A provider that answers after the recipient's STOP."""
    world = World()
    world.configure(**a_clinic())
    world.send("S1")
    await world.gate()
    world.text("M1", "stop")
    await world.carry(answered_ms=20_000)
    return world


async def dropping() -> World:
    """Replies that must not be late."""
    world = World()
    policy = OPT_OUT | {"late_reply": "drop"}
    world.configure(**a_clinic(opt_out=policy, active=policy))
    world.text("M1", "stop")
    await world.match()
    await world.carry(answered_ms=400_000)
    return world


WORLDS = [a_day, pairs, slow, dropping]


@pytest.mark.parametrize("make", WORLDS)
async def test_r25_a_healthy_carrier_has_no_violation(make: Callable[[], object]) -> None:
    world = await make()  # type: ignore[misc]
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["hand_overs_checked"] == len(world.logs[STATUSES])
    assert found.findings.counts["not_checked"] == 0


@pytest.mark.parametrize("make", WORLDS)
async def test_audits_in_parts_check_each_hand_over_once(
    make: Callable[[], object], tmp_path: Path
) -> None:
    world: World = await make()  # type: ignore[misc]
    batches = sorted({one.timestamp for one in world.logs[INBOUND] + world.logs[OUTBOUND]})
    checked = 0
    for before_ms in [*batches[1:], world.now_ms]:
        ends = {
            topic: sum(one.timestamp < before_ms for one in world.logs[topic])
            for topic in (INBOUND, COMMANDS, OUTBOUND)
        }
        found = await world.audit(tmp_path, ends=ends, until_ms=before_ms)
        assert found.said == []
        checked += found.findings.counts["hand_overs_checked"]
    assert checked == len(world.logs[STATUSES])


def marked(index: int, counter: int) -> Callable[[World], None]:
    """Let a hand-over be judged by another state of the list."""

    def harm(world: World) -> None:
        own = dict(world.logs[STATUSES][index].headers)["mark"] or b""
        mark = b"%b-%d" % (own.partition(b"-")[0], counter)
        headed(STATUSES, index, mark=mark)(world)

    return harm


def looked(index: int, later_ms: int) -> Callable[[World], None]:
    """Let the list have been read later."""

    def harm(world: World) -> None:
        own = int(dict(world.logs[STATUSES][index].headers)["optout.looked-at"] or b"")
        change_headers(world, index, "optout.looked-at", str(own + later_ms).encode())

    return harm


def kind(index: int, value: bytes) -> Callable[[World], None]:
    """Let a hand-over be of another kind."""
    return lambda world: change_headers(world, index, "optout.hand-over", value)


def unlooked(index: int) -> Callable[[World], None]:
    """Let a hand-over not say when the list was read."""
    return lambda world: change_headers(world, index, "optout.looked-at", None)


def change_headers(world: World, index: int, name: str, value: bytes | None) -> None:
    record = world.logs[STATUSES][index]
    kept = [pair for pair in record.headers if pair[0] != name]
    new = [] if value is None else [(name, value)]
    world.logs[STATUSES][index] = record._replace(headers=(*kept, *new))


FAULTS = {
    "at a mark with a block": Harm(a_day, marked(S1, 4), "leak", "handed over at a mark at which"),
    "by a list before a STOP": Harm(a_day, marked(S3, 3), "leak", "which is older"),
    "after a STOP was visible": Harm(slow, looked(0, 10_000), "leak", "which is older"),
    "START's reply after a STOP": Harm(a_day, marked(START, 4), "leak", "handed over at a mark"),
    "to a blocked recipient": Harm(
        a_day, altered(STATUSES, S3, to=OTHER_RECIPIENT), "leak", "handed over at a mark"
    ),
    "from a blocked sender": Harm(
        pairs, altered(STATUSES, 1, **{"from": LONG_CODE}), "leak", "handed over at a mark"
    ),
    "refused by no block": Harm(
        a_day,
        altered(STATUSES, S2_REFUSED, block__change_id="BC0"),
        "contradictory",
        "not in force",
    ),
    "refused for another": Harm(
        a_day, altered(STATUSES, S2_REFUSED, to=RECIPIENT), "contradictory", "not in force"
    ),
    "without a mark": Harm(a_day, headed(STATUSES, S3, mark=None), "contradictory", "has no mark"),
    "without a time": Harm(a_day, unlooked(S1), "contradictory", "when the list was read"),
    "a send as a STOP's reply": Harm(a_day, kind(S1, b"STOP"), "contradictory", "none of ours"),
    "a reply of another kind": Harm(a_day, kind(STOP, b"HELP"), "contradictory", "another keyword"),
    "a START's reply as a STOP's": Harm(
        a_day, kind(START, b"STOP"), "contradictory", "another keyword"
    ),
    "of an unknown kind": Harm(a_day, kind(HELP, b"x"), "contradictory", "neither that it is"),
    "a late reply": Harm(dropping, looked(0, 300_001), "contradictory", "had to be dropped (R36)"),
    "no status": Harm(a_day, altered(STATUSES, S1, to=5), "contradictory", "is not valid"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_r25_a_fault_of_a_hand_over_is_named_and_its_neighbours_are_not(name: str) -> None:
    fault = FAULTS[name]
    world = await fault.of()
    fault.harm(world)
    found = await world.audit()
    assert [fault.what in one for one in found.said] == [True], found.said
    assert found.kinds == {fault.kind}


async def test_the_time_of_a_worker_whose_clock_is_ahead_does_not_count() -> None:
    world = await slow()
    looked(0, 3_600_000)(world)
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["not_checked"] == 1


async def test_a_hand_over_that_is_older_than_all_that_is_remembered_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "_KEPT", 1)
    world = await a_day()
    marked(S3, 3)(world)
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["not_checked"] == 1
