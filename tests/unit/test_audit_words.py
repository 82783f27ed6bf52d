"""R30: the audit knows what a text that is not a keyword may do, and finds each seeded fault."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.audit import own_words
from processor.audit.values import CHANGES, COMMANDS, INBOUND, NOTIFICATIONS, SUSPECTED
from processor.core.due import due_ms
from tests.ears import ENOUGH, PLEASE
from tests.seeded_faults import Harm, a_clinic, altered, copied, headed, put_aside, removed
from tests.small_world import World

GERMAN = "+4915112345678"


async def words(**policies: Any) -> World:
    """Phrases that block and follow a STOP, suspicions that are reported, and their reviews."""
    world = World()
    opt_out = {"enabled": True, **policies}
    world.configure(**a_clinic(1, opt_out=opt_out, active=opt_out))
    world.text("M0", "hello")
    world.text("M1", PLEASE)
    world.text("M2", ENOUGH)
    await world.match()
    world.text("M3", "stop")
    world.text("M4", PLEASE)
    world.text("M2", ENOUGH)  # again: it was handled
    await world.match()
    world.pass_time(5_000)
    world.command("C1", blocked=True, source="review", message_sid="M2")
    await world.match()
    world.pass_time(5_000)
    world.command("C2", blocked=False, source="review", message_sid="M2")
    await world.match()
    world.text("M5", "start")
    await world.match()
    world.send("S1")
    await world.gate()
    return world


async def test_r30_a_healthy_installation_has_no_findings() -> None:
    world = await words()
    assert len(world.logs[SUSPECTED]) == 3
    assert (await world.audit()).said == []


@pytest.mark.parametrize(
    "policies",
    [
        {"phrases": "report", "suspected": "block"},
        {"phrases": "off", "suspected": "off"},
        {"phrases": "block", "suspected": "report", "overdue": "keep"},
    ],
)
async def test_r30_every_policy_is_audited(policies: dict[str, str]) -> None:
    assert (await (await words(**policies)).audit()).said == []


async def test_r3_r30_default_handling_goes_by_the_country() -> None:
    world = World()
    world.text("M1", PLEASE)
    world.text("M2", PLEASE, **{"from": GERMAN})
    await world.match()
    assert (await world.audit()).said == []


def reported_again(world: World) -> None:
    """Report the repeated text, too: its message is the sixth."""
    log = world.logs[SUSPECTED]
    again = log[1]._replace(offset=log[2].offset + 1)
    headers = [(name, b"5" if name == "optout.source" else value) for name, value in again.headers]
    log.append(again._replace(headers=tuple(headers)))


AS_A_PHRASE = {"tier": "phrase", "score": 1, "reasons": [], "policy": "block"}
HARMS = {
    "a report of a block is gone": Harm(
        words, removed(SUSPECTED, 0), "lost", "is not in suspected-opt-outs"
    ),
    "a text blocked, and waits all the same": Harm(
        words, altered(SUSPECTED, 0, due_at="2027-01-01T00:00:00Z"), "contradictory", "waits for"
    ),
    "the report of a block was read otherwise": Harm(
        words, altered(SUSPECTED, 0, suspected__score=0.5), "contradictory", "reading"
    ),
    "a notification does not say how its text was read": Harm(
        words, altered(NOTIFICATIONS, 0, suspected=None), "contradictory", "is not what the"
    ),
    "a keyword says that it is none": Harm(
        words, altered(NOTIFICATIONS, 1, suspected=AS_A_PHRASE), "contradictory", "is not what the"
    ),
    "a block has a keyword as its cause": Harm(
        words,
        altered(CHANGES, 0, cause__source="keyword", standing__sources__0__kind="keyword"),
        "contradictory",
        "did not ask for it",
    ),
    "a suspicion claims that its policy blocks": Harm(
        words, altered(SUSPECTED, 1, suspected__policy="block"), "contradictory", "policies"
    ),
    "a text is due too late": Harm(
        words, altered(SUSPECTED, 1, due_at="2027-01-01T00:00:00Z"), "contradictory", "ten business"
    ),
    "an overdue text would not block": Harm(
        words, altered(SUSPECTED, 1, overdue="keep"), "contradictory", "policies"
    ),
    "a report is about another text": Harm(
        words, altered(SUSPECTED, 1, body="?"), "contradictory", "differs from its message"
    ),
    "a report comes twice": Harm(words, copied(SUSPECTED, 1), "duplicated", "a report already"),
    "a repeated text is reported again (R22)": Harm(
        words, reported_again, "duplicated", "handled before"
    ),
    "a keyword is reported instead of obeyed": Harm(
        words, altered(INBOUND, 2, body="Stop!"), "contradictory", "is about a keyword"
    ),
    "a report has another version (R12)": Harm(
        words, altered(SUSPECTED, 1, config_version=9), "contradictory", "another service, version"
    ),
    "a report names no cause": Harm(
        words, headed(SUSPECTED, 1, optout_source=None), "contradictory", "names no message"
    ),
    "a text that was put aside is reported": Harm(
        words, put_aside(INBOUND, 2), "contradictory", "put aside, too"
    ),
    "a phrase after a STOP is answered (R18)": Harm(
        words, altered(NOTIFICATIONS, 2, reply_sent="aoo"), "contradictory", "changed nothing"
    ),
    "a plain command lifted what only a review may": Harm(
        words, altered(COMMANDS, 1, source="api"), "contradictory", "asked for it"
    ),
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
async def test_r30_a_fault_is_found(harm: Harm) -> None:
    world = await harm.of()
    harm.harm(world)
    found = await world.audit()
    assert any(
        one.kind == harm.kind and harm.what in one.what for one in found.findings.violations
    ), found.said


async def test_r30_a_report_of_a_text_of_a_foreigner_does_not_block() -> None:
    world = World()
    world.text("M1", PLEASE, **{"from": GERMAN})
    await world.match()
    altered(SUSPECTED, 0, suspected__policy="block", due_at=None)(world)
    found = await world.audit()
    assert any("policies" in one for one in found.said), found.said


async def test_a_report_that_was_moved_belongs_to_a_message_of_other_topics() -> None:
    world = await words()
    headed(SUSPECTED, 1, moved_from=b"before.suspected-opt-outs.v1[0]@7")(world)
    log = world.logs[SUSPECTED]
    name = ("moved.from", "moved-from")
    log[1] = log[1]._replace(
        headers=tuple((name[1] if one == name[0] else one, said) for one, said in log[1].headers)
    )
    assert (await world.audit()).said == []


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)))
def test_r30_both_calendars_agree(at: datetime) -> None:
    at_ms = round(at.replace(tzinfo=UTC).timestamp() * 1_000)
    assert own_words.due_ms(at_ms) == due_ms(at_ms)


def test_every_day_of_a_century_is_free_in_both_or_in_neither() -> None:
    day = date(2000, 1, 1)
    while day.year < 2100:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        at_ms = round(at.timestamp() * 1_000)
        assert own_words.due_ms(at_ms) == due_ms(at_ms), day
        day += timedelta(days=1)
