"""Seeded faults: one record of a healthy partition changes, and the audit names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processor.audit.output_records import packed
from processor.audit.values import (
    ALLOWED,
    CHANGES,
    COMMANDS,
    CONFIGURATION,
    DELIVERIES,
    INBOUND,
    LETTERS,
    LIST,
    NOTIFICATIONS,
    OUTBOUND,
    REPLIES,
    SERVICES,
    STATUSES,
)
from processor.core.messages import Scope
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
    SERVICE,
    SHORT_CODE,
)
from tests.seeded_faults import (
    Harm,
    a_clinic,
    altered,
    copied,
    headed,
    put_aside,
    removed,
    swapped,
    unhandled,
)
from tests.small_world import World, elsewhere, here

STRANGER = "+15550000009"


async def a_day() -> World:
    """Keywords, sends, commands, a redelivery, a bad record and another recipient."""
    world = World()
    world.configure(**a_clinic())
    world.text("M1", "help")
    world.text("M2", "good morning")
    await world.match()
    world.send("S1")
    world.send("S2", to=STRANGER)
    await world.gate()
    world.text("M3", "Halt!")
    world.text("M3", "Halt!")
    world.text("M4", "stop", **{"from": OTHER_RECIPIENT})
    await world.match()
    world.send("S3")
    world.send("S4", to=OTHER_RECIPIENT)
    await world.gate()
    world.configure(**a_clinic(2, inbound_request_url="https://example.com/new"))
    world.text("M5", "START")
    world.text("M6", "ARRÊT", **{"from": OTHER_RECIPIENT})
    world.append(INBOUND, b"x", b"no message")
    await world.match()
    world.send("S5")
    await world.gate()
    world.command("C1", blocked=True)
    await world.match()
    world.command("C1", blocked=True)
    world.command("C2", blocked=True)
    world.text("M7", "assist", from_country="CA")
    await world.match()
    world.send("S6")
    world.append(OUTBOUND, b"x", b"no send")
    await world.gate()
    world.command("C3", blocked=False)
    await world.match()
    world.send("S7")
    await world.gate()
    return world


async def pairs() -> World:
    """Blocks of one sender each: a send that names no sender leaves out the blocked senders."""
    world = World(Scope.SENDER)
    world.configure(**a_clinic(inbound_request_url=None))
    world.text("M1", "stop")
    await world.match()
    world.send("S1", messaging_service_sid=SERVICE, **{"from": None})
    world.send("S2", **{"from": OTHER_LONG_CODE})
    await world.gate()
    world.text("M2", "stop", to=OTHER_LONG_CODE)
    await world.match()
    world.send("S3", messaging_service_sid=SERVICE, **{"from": None})
    await world.gate()
    world.text("M3", "start")
    await world.match()
    world.send("S4")
    await world.gate()
    return world


async def services() -> World:
    """Blocks of a service, whose senders change."""
    world = World(Scope.SERVICE)
    world.configure(**a_clinic(inbound_request_url=None))
    world.text("M1", "stop")
    await world.match()
    world.send("S1", **{"from": OTHER_LONG_CODE})
    await world.gate()
    world.configure(**a_clinic(2, senders=[{"address": LONG_CODE}], inbound_request_url=None))
    world.send("S2", **{"from": OTHER_LONG_CODE})
    world.send("S3")
    await world.gate()
    return world


async def misplaced() -> World:
    """Records in another partition than their recipients', and one that came from elsewhere."""
    world = World(partitions=3)
    stranger, ours = elsewhere(3), here(3)
    came = [("optout.sent-on", b"inbound-messages.v1[2]@5")]
    world.text("M1", "stop", **{"from": stranger})
    world.text("M2", "stop", came, **{"from": ours})
    world.text("M3", "hello", **{"from": stranger})
    world.command("C1", blocked=True, recipient=stranger)
    await world.match()
    world.send("S1", to=stranger)
    world.send("S2", to=ours)
    await world.gate()
    return world


async def redriven() -> World:
    """A command that was refused for want of a reason, and sent back with another try."""
    world = World()
    world.text("M1", "stop")
    await world.match()
    world.command("C1", blocked=False, reason=None)
    await world.match()
    world.command("C1", headers=[("optout.redrives", b"1")], blocked=False)
    await world.match()
    world.send("S1")
    await world.gate()
    return world


WORLDS = [a_day, pairs, services, misplaced, redriven]


@pytest.mark.parametrize("make", WORLDS)
async def test_a_healthy_partition_has_no_violation(make: Callable[[], Any]) -> None:
    world = await make()
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["verdicts_checked"] == (
        len(world.logs[ALLOWED]) + len(world.logs[STATUSES])
    )
    assert found.findings.counts["not_checked"] == 0


@pytest.mark.parametrize("make", WORLDS)
async def test_audits_in_parts_find_the_same_as_one(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    """Each goes on where the last one ended, wherever match and gate were by then."""
    world = await make()
    batches = sorted({one.timestamp for one in world.logs[INBOUND] + world.logs[OUTBOUND]})
    for before_ms in [*batches[1:], world.now_ms]:
        ends = {
            topic: sum(one.timestamp < before_ms for one in world.logs[topic])
            for topic in (INBOUND, COMMANDS, OUTBOUND)
        }
        found = await world.audit(tmp_path, ends=ends)
        assert found.said == []
        assert found.findings.counts["not_checked"] == 0


def last_mark(world: World) -> bytes:
    """The mark of the last change."""
    return str(json.loads(world.logs[CHANGES][-1].value or b"")["mark"]).encode()


def leaked(world: World) -> None:
    """Allow a send to a blocked recipient, at a mark at which it is blocked."""
    send = world.send("S9", to=OTHER_RECIPIENT)
    source = str(send.offset).encode()
    headers = [("mark", last_mark(world)), ("optout.source", source)]
    world.append(ALLOWED, send.key, send.value, headers)
    world.done[OUTBOUND] = send.offset + 1


def judged_too_early(world: World) -> None:
    """Allow a send at a mark before one that its writer had seen."""
    send = world.send("S9", [("after-mark", last_mark(world))], to=STRANGER)
    source = str(send.offset).encode()
    headers = [("mark", b"1-1"), ("optout.source", source)]
    world.append(ALLOWED, send.key, send.value, headers)
    world.done[OUTBOUND] = send.offset + 1


def judged_by_an_old_list(world: World) -> None:
    """Allow a send at a mark before a STOP that was visible when it was written."""
    send = world.send("S9", to=OTHER_RECIPIENT)
    source = str(send.offset).encode()
    headers = [("mark", b"1-1"), ("optout.source", source)]
    world.append(ALLOWED, send.key, send.value, headers)
    world.done[OUTBOUND] = send.offset + 1


def suspended(world: World) -> None:
    """Fail a send as if the account were suspended."""
    headed(ALLOWED, -1)(world)
    allowed = world.logs[ALLOWED].pop()
    send = json.loads(allowed.value or b"")
    status = send | {"status": "failed", "error_code": 30002, "block": None}
    world.append(STATUSES, allowed.key, json.dumps(status).encode(), allowed.headers)


def long_suspended(world: World) -> None:
    """Suspend the account long before all sends, of which some were allowed."""
    change = {"sid": ACCOUNT, "status_after": "suspended"}
    record = world.append(CONFIGURATION, ACCOUNT.encode(), json.dumps(change).encode())
    world.logs[CONFIGURATION][-1] = record._replace(timestamp=record.timestamp - 86_400_000)


def handled_twice(world: World) -> None:
    """Notify of a message that was delivered again, in place of the next message."""
    first, other = world.logs[NOTIFICATIONS][1:3]
    mark = dict(other.headers)["mark"]
    world.logs[NOTIFICATIONS][2] = other._replace(value=first.value)
    headed(NOTIFICATIONS, 2, optout_source=b"3", mark=mark)(world)


HARMS = {
    # Messages, R13 to R17 and R27
    "a reserved word is not heard": Harm(
        a_day, unhandled(lambda world: world.text("M9", "help")), "lost", "without a notification"
    ),
    "a custom word is not heard": Harm(
        a_day, unhandled(lambda world: world.text("M9", "halt")), "lost", "without a notification"
    ),
    "a tolerant form is not heard": Harm(
        a_day, unhandled(lambda world: world.text("M9", "“Halt!” 🙂")), "lost", "a keyword without"
    ),
    "a word of a language is not heard": Harm(
        a_day, unhandled(lambda world: world.text("M9", "arret")), "lost", "a keyword without"
    ),
    "a word of a country is not heard": Harm(
        a_day,
        unhandled(lambda world: world.text("M9", "assist", from_country="CA")),
        "lost",
        "a keyword without",
    ),
    "another recipient's message of the same sid is swallowed (R22)": Harm(
        a_day,
        unhandled(lambda world: world.text("M3", "halt", **{"from": STRANGER})),
        "lost",
        "a keyword without",
    ),
    "a notification is gone": Harm(a_day, removed(NOTIFICATIONS, 0), "lost", "a keyword without"),
    "a notification comes twice": Harm(
        a_day, copied(NOTIFICATIONS, 0), "duplicated", "has a notification already"
    ),
    "a message is handled twice (R22)": Harm(a_day, handled_twice, "duplicated", "handled before"),
    "notifications change places": Harm(
        a_day, swapped(NOTIFICATIONS, 1, 2), "reordered", "what a later record caused"
    ),
    "a notification has another body": Harm(
        a_day, altered(NOTIFICATIONS, 1, body="halt"), "contradictory", "differs from its message"
    ),
    "a notification has another keyword": Harm(
        a_day, altered(NOTIFICATIONS, 1, keyword="stop"), "contradictory", "configuration of its"
    ),
    "a notification has another kind": Harm(
        a_day, altered(NOTIFICATIONS, 0, kind="STOP"), "contradictory", "configuration of its"
    ),
    "a notification has another tier": Harm(
        a_day, altered(NOTIFICATIONS, 1, match="exact"), "contradictory", "configuration of its"
    ),
    "a notification has another language": Harm(
        a_day, altered(NOTIFICATIONS, 4, language="de"), "contradictory", "configuration of its"
    ),
    "a notification has another version (R12)": Harm(
        a_day, altered(NOTIFICATIONS, 3, config_version=1), "contradictory", "another service"
    ),
    "a notification of an ordinary message": Harm(
        a_day, altered(INBOUND, 0, body="helpful"), "contradictory", "differs from its message"
    ),
    "a notification without a cause": Harm(
        a_day, headed(NOTIFICATIONS, 0, optout_source=None), "contradictory", "no cause or mark"
    ),
    "a notification of a message that is not there": Harm(
        a_day, removed(INBOUND, 0), "contradictory", "belongs to no inbound message"
    ),
    "an effect that the list does not show": Harm(
        a_day, altered(NOTIFICATIONS, 0, kind="START"), "contradictory", "configuration of its"
    ),
    "a message that was put aside has a notification": Harm(
        a_day, put_aside(INBOUND, 0), "contradictory", "was put aside, too"
    ),
    "a value that is no JSON": Harm(
        a_day,
        lambda world: world.logs[REPLIES].__setitem__(
            0, world.logs[REPLIES][0]._replace(value=b"{")
        ),
        "contradictory",
        "is not valid",
    ),
    # Replies
    "a reply is gone": Harm(a_day, removed(REPLIES, 0), "lost", "there is none"),
    "a reply comes twice": Harm(a_day, copied(REPLIES, 0), "duplicated", "has a reply already"),
    "a reply that the notification denies": Harm(
        a_day, altered(NOTIFICATIONS, 0, reply_sent="none"), "contradictory", "there is one"
    ),
    "a due reply is not sent": Harm(
        a_day,
        lambda world: (
            altered(NOTIFICATIONS, 1, reply_sent="none")(world),
            removed(REPLIES, 1)(world),
        )[0],
        "lost",
        "a reply is due",
    ),
    "a reply has another body": Harm(
        a_day, altered(REPLIES, 1, body="Hi."), "contradictory", "is not the reply of its keyword"
    ),
    "a reply of another kind": Harm(
        a_day, altered(REPLIES, 0, kind="STOP"), "contradictory", "not of its notification's"
    ),
    "a reply to another recipient": Harm(
        a_day, altered(REPLIES, 0, to=STRANGER), "contradictory", "not of its notification's"
    ),
    "two replies have one sid": Harm(
        a_day,
        lambda world: altered(
            REPLIES, 1, reply_sid=json.loads(world.logs[REPLIES][0].value or b"")["reply_sid"]
        )(world),
        "contradictory",
        "the sid of the reply to another message",
    ),
    "a HELP of a blocked recipient is answered (R19)": Harm(
        a_day, altered(NOTIFICATIONS, 5, reply_sent="aoo"), "lost", "there is none"
    ),
    # Deliveries, R28
    "a delivery is gone": Harm(a_day, removed(DELIVERIES, 1), "lost", "has a webhook"),
    "a delivery comes twice": Harm(
        a_day, copied(DELIVERIES, 1), "duplicated", "has a delivery already"
    ),
    "a delivery goes to another URL": Harm(
        a_day,
        altered(DELIVERIES, -1, url="https://example.org"),
        "contradictory",
        "not the request",
    ),
    "a delivery has another type": Harm(
        a_day, altered(DELIVERIES, 0, parameters__OptOutType="STOP"), "contradictory", "not the req"
    ),
    # Changes, R18 to R21
    "a change is gone": Harm(
        a_day, removed(CHANGES, 0), "contradictory", "the list does not show it"
    ),
    "a change comes twice": Harm(a_day, copied(CHANGES, -1), "duplicated", "has a change already"),
    "changes change places": Harm(a_day, swapped(CHANGES, 0, 2), "reordered", "its mark is lower"),
    "a change without a cause": Harm(
        a_day, headed(CHANGES, 0, optout_source=b"1"), "contradictory", "neither a match nor a"
    ),
    "a change of another recipient": Harm(
        a_day, altered(CHANGES, 0, recipient=STRANGER), "contradictory", "did not ask for it"
    ),
    "a STOP that lifts": Harm(
        a_day, altered(CHANGES, 0, blocked=False, previous=True), "contradictory", "did not ask"
    ),
    "a change that is wrong about before": Harm(
        a_day, altered(CHANGES, 0, previous=True), "contradictory", "is wrong about whether"
    ),
    "a change of another id": Harm(
        a_day, altered(CHANGES, 0, change_id="M3.a.x"), "contradictory", "a cause that never"
    ),
    # Commands, R29
    "a command has no effect": Harm(
        a_day,
        unhandled(lambda world: world.command("C9", blocked=True, recipient=STRANGER)),
        "lost",
        "did not take effect",
    ),
    "a command does not lift": Harm(
        a_day,
        unhandled(lambda world: world.command("C9", blocked=False, recipient=OTHER_RECIPIENT)),
        "lost",
        "did not take effect",
    ),
    "a command lifts without a reason": Harm(
        redriven, altered(COMMANDS, 1, reason=None), "contradictory", "without a reason"
    ),
    "a command that was put aside has an effect": Harm(
        a_day, put_aside(COMMANDS, 0), "contradictory", "was put aside, too"
    ),
    # The list
    "an entry is gone": Harm(a_day, removed(LIST, -1), "differs", "lacks the result of the last"),
    "an entry has another cause": Harm(
        a_day,
        altered(LIST, 0, blocks__0__sources__0__change_id="M9.a.x"),
        "differs",
        "not the result of block-changes",
    ),
    "an entry has another mark": Harm(
        a_day, altered(LIST, 0, blocks__0__mark="7-7"), "differs", "not the result of"
    ),
    "an entry of nobody": Harm(
        a_day,
        lambda world: (
            world.append(
                LIST,
                f"{ACCOUNT}/{STRANGER}".encode(),
                (world.logs[LIST][0].value or b"").replace(RECIPIENT.encode(), STRANGER.encode()),
                world.logs[LIST][-1].headers,
            ),
            None,
        )[1],
        "differs",
        "not the result of",
    ),
    # Verdicts, R21 to R26
    "a send without a verdict": Harm(
        a_day, unhandled(lambda world: world.send("S9")), "lost", "no verdict on this send"
    ),
    "a verdict is gone": Harm(a_day, removed(ALLOWED, 0), "lost", "no verdict on this send"),
    "a refusal is gone": Harm(a_day, removed(STATUSES, 0), "lost", "no verdict on this send"),
    "a verdict comes twice": Harm(a_day, copied(ALLOWED, 0), "duplicated", "has a verdict already"),
    "verdicts change places": Harm(
        a_day, swapped(ALLOWED, 0, 1), "duplicated", "one on a later send came before"
    ),
    "a verdict without a mark (R26)": Harm(
        a_day, headed(ALLOWED, 0, mark=None), "contradictory", "has no mark"
    ),
    "a verdict without a send": Harm(
        a_day, removed(OUTBOUND, 0), "contradictory", "belongs to no send"
    ),
    "a send that was put aside has a verdict": Harm(
        a_day, put_aside(OUTBOUND, 0), "contradictory", "was put aside, too"
    ),
    "a bad send is not put aside": Harm(
        a_day,
        lambda world: world.logs.__setitem__(LETTERS, world.logs[LETTERS][:-1]),
        "lost",
        "is not among the dead letters",
    ),
    "an allowed send is altered": Harm(
        a_day, altered(ALLOWED, 0, body="Hell"), "contradictory", "differs from the send"
    ),
    "a status names another send": Harm(
        a_day, altered(STATUSES, 0, message_sid="S9"), "contradictory", "names another send"
    ),
    "a blocked recipient is written to": Harm(a_day, leaked, "leak", "a block was in force"),
    "a send is judged without what its writer had seen": Harm(
        a_day, judged_too_early, "leak", "that its writer had seen"
    ),
    "a send is judged by an old list": Harm(a_day, judged_by_an_old_list, "leak", "which is older"),
    "a refusal names another block": Harm(
        a_day, altered(STATUSES, 0, block__change_id="M9.a.x"), "contradictory", "not in force"
    ),
    "a refusal names another scope": Harm(
        a_day, altered(STATUSES, 0, block__scope="service"), "contradictory", "not in force"
    ),
    "a send fails for its account, which was active": Harm(
        a_day, suspended, "contradictory", "but it was active"
    ),
    "a send of an account that is long suspended is allowed": Harm(
        a_day, long_suspended, "contradictory", "had been suspended for an hour"
    ),
    "a blocked sender is not excepted": Harm(
        pairs, headed(ALLOWED, 0, **{"optout_except-from": None}), "leak", "was allowed"
    ),
    "another sender is excepted": Harm(
        pairs,
        headed(ALLOWED, 0, **{"optout_except-from": SHORT_CODE.encode()}),
        "leak",
        "was allowed",
    ),
    "a send is refused although a sender of the pool is free": Harm(
        pairs, headed(STATUSES, 0, optout_config=b"0"), "contradictory", "not in force"
    ),
    "a send is judged as of another service": Harm(
        services, headed(STATUSES, 0, optout_service=b"MG9"), "contradictory", "another service"
    ),
    "a send is judged by an older pool": Harm(
        services, headed(ALLOWED, 0, optout_config=b"1"), "leak", "was allowed"
    ),
    # Places
    "a misplaced message has an effect here": Harm(
        misplaced,
        lambda world: world.logs[INBOUND].__setitem__(
            1, world.logs[INBOUND][1]._replace(key=b"+15550000000")
        ),
        "contradictory",
        "not in its recipient's partition",
    ),
    "a misplaced send is judged here": Harm(
        misplaced,
        lambda world: world.logs[OUTBOUND].__setitem__(
            1, world.logs[OUTBOUND][1]._replace(key=b"+15550000000")
        ),
        "contradictory",
        "not in its recipient's partition",
    ),
    "a record that is misplaced again is not put aside": Harm(
        misplaced,
        headed(OUTBOUND, 0, **{"optout_sent-on": b"outbound-messages.v1[2]@5"}),
        "lost",
        "neither sent on nor put aside",
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
        assert not any(number in one.where + one.what for number in (RECIPIENT, OTHER_RECIPIENT))


async def test_misplaced_records_are_expected_where_their_recipients_are() -> None:
    world = await misplaced()
    found = await world.audit()
    assert set(found.context.forwarded) == {
        f"{INBOUND}[0]@0",
        f"{COMMANDS}[0]@0",
        f"{OUTBOUND}[0]@0",
    }
    assert found.context.arrived == {"inbound-messages.v1[2]@5": 1}


@pytest.mark.parametrize("what", ["suspended", "closed"])
async def test_a_send_fails_for_its_account_where_that_was_suspended(what: str) -> None:
    world = await a_day()
    change = {"sid": ACCOUNT, "status_after": what}
    world.append(CONFIGURATION, ACCOUNT.encode(), json.dumps(change).encode())
    suspended(world)
    assert (await world.audit(skew_ms=1_000)).said == []


@pytest.mark.parametrize("hours_ago", [(0.5,), (5, 0.5)])
async def test_gates_have_an_hour_to_learn_of_a_suspension(hours_ago: tuple[float, ...]) -> None:
    world = await a_day()
    for at, status in zip(hours_ago, ("suspended", "active"), strict=False):
        change = {"sid": ACCOUNT, "status_after": status}
        record = world.append(CONFIGURATION, ACCOUNT.encode(), json.dumps(change).encode())
        at_ms = world.logs[ALLOWED][0].timestamp - int(at * 3_600_000)
        world.logs[CONFIGURATION][-1] = record._replace(timestamp=at_ms)
    assert (await world.audit()).said == []


async def test_what_compaction_took_is_not_judged_and_counted() -> None:
    world = await a_day()
    del world.logs[SERVICES][0]
    found = await world.audit()
    assert found.said == []
    assert found.findings.counts["not_checked"] > 0


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b"7",
        b"[]",
        b"[1]",
        b"[2,[]]",
        b"[2,7]",
        b'[2,["a","7-7",5]]',
        b'[2,["a","7-7","k1"]]',
        b'[2,["","7-7","k1",5]]',
        b'[2,["z","7-7","k1",5]]',
        b'[2,["a",7,"k1",5]]',
        b'[2,["a","7-7","k1",5,[]]]',
        b'[2,["a","7-7","k1",5,{"only":7}]]',
    ],
)
def test_a_field_of_redis_that_is_no_entry_is_refused_by_its_one_error(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any: the audit then names the entry
        packed(value)
