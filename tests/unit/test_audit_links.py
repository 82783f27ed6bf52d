"""R32: the audit follows records between the two addresses of a person; seeded faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processor.audit.values import (
    ALLOWED,
    CHANGES,
    COMMANDS,
    INBOUND,
    NOTIFICATIONS,
    REPLIES,
    STATUSES,
)
from tests.builders import LONG_CODE
from tests.seeded_faults import a_clinic, altered, copied, headed, removed
from tests.small_world import World

SENDER = f"whatsapp:{LONG_CODE}"
NUMBER, OTHER, NEW = "+15557654321", "+15557654322", "+15557654323"
ID, OTHER_ID = "US.1", "US.2"


async def work(world: World) -> None:
    """Let match work until nothing is sent on any more."""
    for _ in range(3):
        await world.match()


async def a_person() -> World:
    """A person with two addresses: blocked before the link, then lifted and blocked under both."""
    world = World()
    world.configure(**a_clinic(senders=[{"address": SENDER}], inbound_request_url=None))

    def text(sid: str, body: str, from_: str, user_id: str | None = None) -> None:
        world.text(sid, body, to=SENDER, user_id=user_id, **{"from": f"whatsapp:{from_}"})

    def send(sid: str, to: str) -> None:
        world.send(sid, to=f"whatsapp:{to}", **{"from": SENDER})

    def tell(id_: str, **fields: str) -> None:
        world.command(id_, blocked=False, channel_group="whatsapp", **fields)

    text("M1", "halt", ID)
    await work(world)
    tell("C1", recipient=ID, link=NUMBER)
    await work(world)
    send("S1", ID)
    send("S2", NUMBER)
    await world.gate()
    text("M2", "start", ID)
    await work(world)
    send("S3", ID)
    send("S4", NUMBER)
    await world.gate()
    text("M3", "halt", NUMBER, ID)
    text("M4", "halt", OTHER, OTHER_ID)
    text("M5", "see you", NUMBER, ID)
    await work(world)
    send("S5", OTHER_ID)
    send("S6", OTHER)
    await world.gate()
    tell("C2", recipient=NUMBER, moved_to=NEW)
    tell("C3", recipient=OTHER_ID, reason="asked")
    await work(world)
    send("S7", NEW)
    send("S8", OTHER_ID)
    await world.gate()
    return world


async def test_r32_a_person_with_two_addresses_is_audited_without_findings() -> None:
    found = await (await a_person()).audit()
    assert found.findings.violations == []
    context = found.context
    assert set(context.forwarded) <= set(context.arrived)
    assert len(context.forwarded) >= 4
    counts = found.findings.counts
    assert counts["judged_by_a_link"] == 4
    assert counts["verdicts_checked"] == 8


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (
            altered(CHANGES, 1, standing__sources__0__change_id="M0.a.x"),
            "a block has a cause that neither address had",
        ),
        (headed(INBOUND, 2, optout_way=None), "differs from its message"),
        (removed(NOTIFICATIONS, 1), "a keyword without a notification"),
        (removed(REPLIES, 1), "says that a reply was sent; there is none"),
        (copied(CHANGES, 1), "has a change already"),
        (removed(CHANGES, 1), "the entry is not the result of block-changes"),
    ],
)
async def test_r32_a_fault_on_the_way_is_found(harm: Callable[[World], None], what: str) -> None:
    world = await a_person()
    harm(world)
    found = await world.audit()
    assert any(what in one.what for one in found.findings.violations), found.findings.violations


def marked(world: World, change: int, less: int = 0) -> bytes:
    """The header of a verdict by the list at the mark of a change, or some marks before."""
    epoch, counter = json.loads(world.logs[CHANGES][change].value or b"")["mark"].split("-")
    return f"0:{epoch}-{int(counter) - less}".encode()


def at_change(change: int, less: int = 0) -> Callable[[World], None]:
    """Let the send after the START be judged by the list at another mark."""
    return lambda world: headed(ALLOWED, 0, optout_linked=marked(world, change, less))(world)


@pytest.mark.parametrize(
    ("harm", "kind", "sid", "what"),
    [
        (at_change(1), "leak", "S3", "was allowed at a mark at which a block was in force"),
        (at_change(3), "leak", "S3", "was allowed at a mark at which a block was in force"),
        # The id's own block counts until it is merged.
        (at_change(1, 1), "leak", "S3", "was allowed at a mark at which a block was in force"),
        (
            altered(STATUSES, 0, block__change_id="M9.a.x"),
            *("contradictory", "S1", "names a block that was not in force at its mark"),
        ),
        (
            headed(ALLOWED, 0, optout_linked=None),
            *("contradictory", "S3", "was judged without the list of its person's number"),
        ),
    ],
)
async def test_r25_r32_a_wrong_verdict_by_a_link_is_found_and_no_other(
    harm: Callable[[World], None], kind: str, sid: str, what: str
) -> None:
    world = await a_person()
    harm(world)
    found = (await world.audit()).findings.violations
    assert {(one.kind, one.where.split()[-1]) for one in found} == {(kind, sid)}
    assert what in {one.what for one in found}


async def test_r32_verdicts_by_a_link_are_judged_from_one_audit_to_the_next(
    tmp_path: Path,
) -> None:
    world = await a_person()
    judged = 0
    for ends in world.snapshots:
        found = await world.audit(tmp_path, ends=ends)
        assert found.findings.violations == []
        assert found.findings.counts["not_checked"] == 0
        judged += found.findings.counts["judged_by_a_link"]
    assert judged == 4


@pytest.mark.parametrize("topic", [INBOUND, COMMANDS])
async def test_r32_a_record_that_was_not_sent_on_is_missed(topic: str) -> None:
    world = await a_person()
    index = next(i for i, one in enumerate(world.logs[topic]) if dict(one.headers))
    harm = removed(topic, index)
    harm(world)
    context = (await world.audit()).context
    assert len(set(context.forwarded) - set(context.arrived)) == 1
