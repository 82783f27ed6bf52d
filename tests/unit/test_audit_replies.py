"""R3, R13, R16 to R20, R36, R37, R42: the audit reads as people write, and knows due replies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.audit.values import CHANGES, INBOUND, NOTIFICATIONS, REPLIES
from tests.builders import LONG_CODE, RECIPIENT, SHORT_CODE, TOLL_FREE
from tests.seeded_faults import Harm, a_clinic, altered, removed, unhandled
from tests.small_world import World

SEVERAL = {
    "enabled": True,
    "late_reply": "drop",
    "yes_only_when_blocked": True,
    "help_when_blocked": ["short_code"],
    "standard": {
        "STOP": {"keywords": ["stop", "opt out", "cancel"], "reply": "{brand}: you are out."},
        "HELP": {"keywords": ["help"], "reply": "{brand}: {help_contact}, not {{brand}}."},
    },
    "languages": {"fr": {"STOP": {"keywords": ["arrêt"], "reply": "{brand} : fini."}}},
}
HOUR_MS = 3_600_000
RCS = "rcs:clinic_agent"


def configure(world: World, version: int = 1, **changes: Any) -> None:
    """Save the service."""
    senders = [{"address": address} for address in (LONG_CODE, SHORT_CODE, TOLL_FREE)]
    given = {"brand": "Clinic", "help_contact": "+18005550199", "senders": senders}
    active = SEVERAL | changes
    world.configure(
        **a_clinic(version, inbound_request_url=None, opt_out=active, active=active, **given)
    )


async def spelled() -> World:
    """Keywords as people write them, each read by its own rule."""
    world = World()
    configure(world)
    bodies = [
        *("STOP.", "Start!", "*STOP*", "“start” 🙂", "S T O P", "UNSTOP", "opt – out", "start."),
        *("Arret!!", "start", "stop stop", "start", "ЅТОР", "start", "HELP?", "STOP?", "st op"),
    ]
    for at, body in enumerate(bodies):
        world.text(f"M{at}", body)
        await world.match()
        world.pass_time(HOUR_MS)
    world.send("S1")
    await world.gate()
    return world


async def machines() -> World:
    """Machines that answer each other, and a lawful number of replies after an hour."""
    world = World()
    configure(world)
    world.text("M0", "hello")
    await world.match()
    world.pass_time(2 * HOUR_MS)
    for at in range(10):
        world.text(f"H{at}", "help")
        if at % 3 == 0:
            await world.match()
    for at in range(6):
        world.text(f"P{at}", "stop", to=SHORT_CODE)
    await world.match()
    world.pass_time(HOUR_MS)
    world.text("H10", "help", to=SHORT_CODE)
    world.text("H11", "stop", to=SHORT_CODE)
    await world.match()
    return world


async def back_and_forth() -> World:
    """STOP and START in turn: a STOP that changes the list is answered however often it comes."""
    world = World()
    configure(world)
    world.text("M0", "hello")
    await world.match()
    world.pass_time(2 * HOUR_MS)
    for at in range(7):
        world.text(f"P{at}", "stop")
        world.text(f"T{at}", "start")
        await world.match()
    return world


async def buttons() -> World:
    """Words of the buttons of RCS chats, under default handling."""
    world = World()
    world.text("M1", "alta", to=RCS, from_country="ES")
    world.text("M2", "Baja", to=RCS, from_country="ES")
    await world.match()
    world.text("M3", "Alta", to=RCS, from_country="ES")
    world.text("M4", "baja", to=RCS, from_country="FR")
    world.text("M5", "Parar!", to=RCS, from_country="BR")
    await world.match()
    return world


async def answered_by_the_carrier() -> World:
    """Words that a carrier answers itself, and a word that it leaves to us (R42)."""
    world = World()
    configure(world)
    for at, body in enumerate(("stop", "start", "help", "stop")):
        world.text(f"M{at}", body, carrier_replied=True)
    await world.match()
    world.text("M4", "start")
    await world.match()
    return world


async def networks() -> World:
    """US toll-free numbers, whose network also answers in the territories."""
    world = World()
    configure(world)
    countries = ("US", "PR", "GU", "VI", "AS", "MP", "CA", "MX", "JM")
    for at, country in enumerate(countries):
        whose = {"to": TOLL_FREE, "from_country": country, "from": f"+1555123{at:04}"}
        world.text(f"M{at}", "stop", **whose)
        world.text(f"N{at}", "Cancel!", **whose)
        world.text(f"T{at}", "start", **whose)
    await world.match()
    return world


async def consents() -> World:
    """YES acts on blocked recipients only, and a message that was sent on is lawful for less."""
    world = World()
    configure(world)
    first_ms = str(world.now_ms - 60_000).encode()
    world.text("M0", "help")
    await world.match()
    world.text("M1", "yes")
    world.text("M2", "stop", [("optout.first-append", first_ms)])
    world.text("M3", "YES")
    await world.match()
    return world


WORLDS = [
    *(spelled, machines, back_and_forth, buttons, networks, consents),
    answered_by_the_carrier,
]


@pytest.mark.parametrize("make", WORLDS)
async def test_a_healthy_partition_has_no_violation(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    world = await make()
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["not_checked"] == 0
    for before in world.snapshots:
        assert (await world.audit(tmp_path, ends=before)).said == []


@pytest.mark.parametrize(
    ("make", "matches", "replies"),
    [(spelled, 15, 15), (machines, 18, 10), (buttons, 2, 2), (networks, 27, 11), (consents, 3, 3)],
)
async def test_the_partitions_hold_what_they_should(
    make: Callable[[], Any], matches: int, replies: int
) -> None:
    world = await make()
    assert (len(world.logs[NOTIFICATIONS]), len(world.logs[REPLIES])) == (matches, replies)


def silenced(at: int, reply: int) -> Callable[[World], None]:
    """Brake a reply that is not beyond the limit."""

    def harm(world: World) -> None:
        altered(NOTIFICATIONS, at, reply_sent="none", braked=True)(world)
        removed(REPLIES, reply)(world)

    return harm


def limited(limit: int) -> Callable[[World], None]:
    """Let the configuration have another limit than match went by."""

    def harm(world: World) -> None:
        del world.logs["messaging-services.v1"][:]
        configure(world, reply_limit=limit)

    return harm


HARMS = {
    "a STOP with signs is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "*STOP*")), "lost", "a keyword without"
    ),
    "a spelled STOP is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "S-T-O-P")), "lost", "a keyword without"
    ),
    "a split STOP is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "opt_out")), "lost", "a keyword without"
    ),
    "a repeated STOP is not heard": Harm(
        spelled,
        unhandled(lambda world: world.text("M99", "Stop\nSTOP")),
        "lost",
        "a keyword without",
    ),
    "a STOP in letters that look Latin is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "ЅТОР")), "lost", "a keyword without"
    ),
    "a HELP with a question mark is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "Help?!")), "lost", "a keyword without"
    ),
    "a START with signs is not heard": Harm(
        spelled, unhandled(lambda world: world.text("M99", "start!")), "lost", "a keyword without"
    ),
    "a clean match is called tolerant": Harm(
        spelled, altered(NOTIFICATIONS, 1, match="tolerant"), "contradictory", "configuration of"
    ),
    "a tolerant match is called clean": Harm(
        spelled, altered(NOTIFICATIONS, 0, match="clean"), "contradictory", "configuration of"
    ),
    "a lookalike is read as another word": Harm(
        spelled, altered(NOTIFICATIONS, 12, keyword="cancel"), "contradictory", "configuration of"
    ),
    "a placeholder is not filled": Harm(
        spelled, altered(REPLIES, 0, body="{brand}: you are out."), "contradictory", "not the reply"
    ),
    "braces of another language are filled": Harm(
        spelled,
        altered(REPLIES, -1, body="Clinic: +18005550199, not {Clinic}."),
        "contradictory",
        "not the reply",
    ),
    "a reply that may come late for ever (R36)": Harm(
        spelled, altered(REPLIES, 0, send_before="2027-01-01T00:00:00Z"), "contradictory", "five"
    ),
    "a reply that is to be sent late (R36)": Harm(
        spelled, altered(REPLIES, 0, late_reply="send"), "contradictory", "comes late"
    ),
    "a reply below the limit is braked": Harm(
        machines, silenced(3, 3), "contradictory", "braked below the limit"
    ),
    "a reply beyond the limit is sent": Harm(
        machines, limited(3), "contradictory", "answered beyond the limit"
    ),
    "replies are braked before a higher limit": Harm(
        machines, limited(5), "contradictory", "braked below the limit"
    ),
    "a braked reply is not called so": Harm(
        machines, altered(NOTIFICATIONS, 5, braked=False), "lost", "a reply is due"
    ),
    "a reply is sent and braked": Harm(
        machines, altered(NOTIFICATIONS, 0, braked=True), "contradictory", "says that a reply"
    ),
    "a short code does not confirm a STOP again (R18)": Harm(
        machines,
        lambda world: (
            altered(NOTIFICATIONS, 11, reply_sent="none")(world),
            removed(REPLIES, 5)(world),
        )[0],
        "lost",
        "a reply is due",
    ),
    "a STOP that changes the list is braked": Harm(
        back_and_forth, silenced(10, 9), "contradictory", "is braked, though"
    ),
    "a word of a button has an opt-out type": Harm(
        buttons, altered(NOTIFICATIONS, 0, opt_out_type="STOP"), "contradictory", "opt-out type"
    ),
    "a word of a button is not heard": Harm(
        buttons,
        unhandled(lambda world: world.text("M9", "PARAR", to=RCS, from_country="BR")),
        "lost",
        "a keyword without",
    ),
    "a word of a button of another country is heard": Harm(
        buttons, altered(NOTIFICATIONS, 0, country="MX"), "contradictory", "configuration of"
    ),
    "the network is said to answer in Mexico": Harm(
        networks, altered(NOTIFICATIONS, 21, reply_sent="carrier"), "contradictory", "toll-free"
    ),
    "the network is said not to answer in Guam": Harm(
        networks, altered(NOTIFICATIONS, 6, reply_sent="none"), "contradictory", "toll-free"
    ),
    "a reply besides the carrier's (R42)": Harm(
        answered_by_the_carrier,
        altered(NOTIFICATIONS, 0, reply_sent="aoo"),
        "contradictory",
        "its carrier had",
    ),
    "the carrier is said to answer what it leaves to us (R42)": Harm(
        answered_by_the_carrier,
        altered(NOTIFICATIONS, 4, reply_sent="carrier"),
        "contradictory",
        "toll-free",
    ),
    "a block of the network in Mexico": Harm(
        networks, altered(INBOUND, 0, from_country="MX"), "contradictory", "does not see"
    ),
}


@pytest.mark.parametrize("name", HARMS)
async def test_a_fault_is_named(name: str) -> None:
    of, harm, kind, what = HARMS[name]
    world = await of()
    harm(world)
    found = await world.audit()
    assert any(one.kind == kind and what in one.what for one in found.findings.violations), (
        found.said
    )
    for one in found.findings.violations:
        assert RECIPIENT not in one.where + one.what


async def test_an_opt_in_word_for_blocked_recipients_only_is_no_match_for_others() -> None:
    """A block that the history does not show cannot have let a YES act (R19)."""
    world = await consents()
    removed(CHANGES, 1)(world)
    removed(CHANGES, 0)(world)
    found = await world.audit()
    assert any("acts on blocked recipients only" in one for one in found.said), found.said
