"""Another partition count: everything moves to new topics, each record once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from processor.audit import audit
from processor.cli import topics_move
from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.moving import copying
from processor.kafka.topics import topic_admin
from processor.kafka.topics.services_topic import stored
from processor.kafka.topics.topic_plan import Consequence
from processor.kafka.writing import Outgoing
from tests.builders import ACCOUNT, OTHER_ACCOUNT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, by_sid, running, until
from tests.integration.conftest import Command
from tests.processes import OPTOUT, environment, started
from tests.topics import PARTITIONS, moved_to, the_move

BLOCKED = [f"+1555000{number:04d}" for number in range(30)]
OTHERS = [f"+1555001{number:04d}" for number in range(30)]
WHATSAPP = f"whatsapp:{OTHERS[0]}"


def a_command(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "command_id": f"C{number}",
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": OTHERS[1],
        "channel_group": "whatsapp",
        "blocked": True,
        "source": "operator",
        "at": "2026-11-02T12:00:00.000Z",
    } | changes


async def an_installation_at_work(at: Installation) -> None:
    """Blocks of both channel groups, one lifted, a command; then records that are still unread."""
    await configure(at.settings, CLINIC)
    async with running(at.settings) as runtime:
        await runtime.shared.services.wait_loaded()
        await at.texts(*(a_text(f"STOP{one[1:]}", "stop", **{"from": one}) for one in BLOCKED))
        await at.texts(a_text("LIFTED", "stop", **{"from": OTHERS[2]}))
        await at.wait_for(at.topics.block_changes, len(BLOCKED) + 1)
        await at.texts(a_text("START", "start", **{"from": OTHERS[2]}))
        # Blocked again: if the START came twice, it would let messages through.
        await at.wait_for(at.topics.block_changes, len(BLOCKED) + 2)
        await at.texts(a_text("AGAIN", "stop", **{"from": OTHERS[2]}))
        await at.write(at.topics.consent_commands, a_command(1))
        await at.wait_for(at.topics.block_changes, len(BLOCKED) + 4)
        await at.sends(a_send("S0"))
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.wait_for_no_lag("match", "gate")
    await at.texts(
        *(a_text(f"HELP{one[1:]}", "help", **{"from": one}) for one in OTHERS),
        *(a_text(f"LATE{one[1:]}", "stop", **{"from": one}) for one in OTHERS[10:20]),
        *(a_text(f"BACK{one[1:]}", "start", **{"from": one}) for one in OTHERS[15:20]),
    )
    await at.write(at.topics.consent_commands, a_command(2, recipient=OTHERS[3]))
    await at.sends(*(a_send(f"P{one[1:]}", to=one) for one in BLOCKED))


async def test_seven_partitions_go_on_where_four_stopped(
    settings: Settings, optout: Command
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    moved = orjson.loads((await optout(*the_move(new), "--json")).stdout)
    assert moved["equal"]
    assert moved["blocked"] == len(BLOCKED) + 2
    assert moved["remembered"] == len(BLOCKED) + 4
    assert moved["copied"]["inbound-messages.v1"] == 45
    assert await stored(new.settings, new.topics.messaging_services) == await stored(
        settings, old.topics.messaging_services
    )
    for topic in (new.topics.block_changes, new.topics.inbound_messages):
        for record in await new.records(topic):
            assert record.partition == partition_of(record.key, PARTITIONS)
    assert await old.lag("match") + await old.lag("gate") == 0
    async with running(new.settings):
        failed = await new.wait_for(new.topics.message_statuses, len(BLOCKED))
        assert {status["to"] for status in failed} == set(BLOCKED)
        await new.texts(
            a_text("START", "start", **{"from": OTHERS[2]}),  # redelivered after the move
            a_text("LIFT", "start", **{"from": BLOCKED[0]}),
        )
        await new.wait_for(new.topics.reply_sends, 30 + 15 - 10 + 5)
        before = len(await old.values(old.topics.block_changes))

        async def lifted() -> bool:
            changes = await new.values(new.topics.block_changes)
            return len(changes) == before + 1 + 10 + 5 + 1

        await until(lifted, "changes of the pending records")
        await new.sends(*(a_send(f"N{one[1:]}", to=one) for one in (OTHERS[2], *BLOCKED)))
        await new.wait_for(new.topics.message_statuses, 2 * len(BLOCKED))
        allowed = await new.wait_for(new.topics.allowed_sends, 1)
        assert [send["to"] for send in allowed] == [BLOCKED[0]]
    assert (await audit(new.settings)).violations == ()
    by_sid(await new.values(new.topics.block_changes), "change_id")


async def test_a_move_that_broke_off_goes_on_without_doubling(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    write, left = copying._write, iter(range(BREAKS * WRITES))

    async def breaks(*arguments: Any) -> None:
        await write(*arguments)
        if next(left, 1) % WRITES == 0:  # between a write and its commit
            raise ConnectionResetError

    monkeypatch.setattr(copying, "_AT_ONCE", 5)
    monkeypatch.setattr(copying, "_write", breaks)
    for _ in range(BREAKS):
        result = await optout(*the_move(new), code=1)
        assert isinstance(result.exception, ConnectionResetError)
    await optout(*the_move(new))
    for whole in ("block_changes", "block_list"):
        kept = await old.records(getattr(old.topics, whole))
        found = await new.records(getattr(new.topics, whole))
        assert orders(found) == orders(kept)
    for name, count in (("inbound_messages", 45), ("outbound_messages", 30)):
        sent = orders(await old.records(getattr(old.topics, name)))
        found = await new.records(getattr(new.topics, name))
        assert len(found) == count
        # Each recipient's last records, in their order.
        for recipient, values in orders(found).items():
            assert sent[recipient][-len(values) :] == values


async def is_waited_for(settings: Settings) -> bool:
    """Whether a worker that starts now would wait."""
    found = await topic_admin.check(settings)
    return Consequence.WAIT in {one.consequence for one in found}


async def test_no_worker_starts_on_new_topics_before_the_move_has_compared_them(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    write, left = copying._write, iter(range(WRITES))

    async def breaks(*arguments: Any) -> None:
        await write(*arguments)
        if next(left, None) == WRITES - 1:
            raise ConnectionResetError

    monkeypatch.setattr(copying, "_AT_ONCE", 5)
    monkeypatch.setattr(copying, "_write", breaks)
    await optout(*the_move(new), code=1)
    made = await topic_admin.create(new.settings)  # it would repair the settings of existing topics
    assert made.mended == {}
    assert await is_waited_for(new.settings)

    compare, seen = topics_move._compare, list[bool]()

    async def compared(*arguments: Any) -> Any:
        seen.append(await is_waited_for(new.settings))
        return await compare(*arguments)

    monkeypatch.setattr(topics_move, "_compare", compared)
    async with started(OPTOUT, **environment(new.settings)) as worker:
        await worker.says("`optout topics move` to here sets it at its end")
        await optout(*the_move(new))
        await worker.says("lane.taken")
    assert seen == [True]


async def test_a_move_whose_copy_differs_leaves_topics_no_worker_starts_on(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    list_of = topics_move._list_of

    async def forged(at: Settings, *arguments: Any) -> Any:
        found = await list_of(at, *arguments)
        return found._replace(digest=0) if at.topic_prefix == new.settings.topic_prefix else found

    monkeypatch.setattr(topics_move, "_list_of", forged)
    assert "do not start workers on it" in (await optout(*the_move(new), code=1)).stdout
    assert await is_waited_for(new.settings)


BREAKS, WRITES = 6, 5


def orders(records: list[Any]) -> dict[bytes, list[bytes]]:
    """Each recipient's values, in their order."""
    found: dict[bytes, list[bytes]] = {}
    for record in records:
        found.setdefault(record.key, []).append(record.value)
    return found


async def test_what_producers_wrote_too_late_is_brought_by_another_move(
    settings: Settings, optout: Command
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    await optout(*the_move(new))
    async with running(new.settings):
        await new.wait_for(new.topics.message_statuses, len(BLOCKED))
        await old.texts(a_text("STRAY", "stop", **{"from": OTHERS[5]}))
        said = (await optout(*the_move(new))).stdout
        assert "1  inbound-messages.v1" in said
        assert "workers ran already" in said

        async def blocked() -> bool:
            changes = await new.values(new.topics.block_changes)
            return any(one["cause"]["id"] == "STRAY" for one in changes)

        await until(blocked, "block of a late STOP")
    assert (await audit(new.settings)).violations == ()


async def test_a_move_is_refused_while_workers_run_and_where_others_are(
    settings: Settings, optout: Command
) -> None:
    old, new = Installation(settings), moved_to(settings)
    async with running(old.settings):
        await old.texts(a_text("M1", "stop"))
        await old.wait_for(old.topics.reply_sends, 1)
        said = (await optout(*the_move(new), code=2)).output
        assert f"{settings.topic_prefix}gate: 1 members; stop workers and API" in said
        assert f"{settings.topic_prefix}match: 1 members; stop workers and API" in said
    assert "is where the topics are now" in (await optout(*the_move(old), code=2)).output
    await topic_admin.create(new.settings)
    for record in await old.records(old.topics.block_changes):
        await new.write_raw(Outgoing(new.topics.block_changes, record.key, record.value))
    said = (await optout(*the_move(new), code=2)).output
    assert f"{new.topics.block_changes}: is not empty; name a new prefix" in said
    new.settings = new.settings.model_copy(update={"partitions": 5})
    assert "7 partitions where 5 are expected" in (await optout(*the_move(new), code=2)).output


async def test_offsets_that_kafka_forgot_are_no_reason_to_do_all_again(
    settings: Settings, optout: Command
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await old.sends(a_send("S1"))
    said = (await optout(*the_move(new), code=2)).output
    assert f"{settings.topic_prefix}gate: has committed nothing" in said


async def make_older(at: Installation) -> None:
    """Rewrite an installation's list as version 1 wrote it: one record for all accounts."""
    entries: dict[str, dict[str, Any]] = {}
    marks: dict[str, bytes] = {}
    for record in await at.records(at.topics.block_list):
        entries.pop(record.key.decode(), None)
        if record.value:
            entries[record.key.decode()] = orjson.loads(record.value)
            marks[record.key.decode()] = dict(record.headers)["mark"]
    older = f"{at.settings.topic_prefix}block-list.v1"
    async with topic_admin._admin(at.settings) as admin:
        await admin.delete_topics([at.topics.block_list])
        compacted = {"cleanup.policy": "compact"}
        made = NewTopic(older, at.settings.partitions, 1, topic_configs=compacted)
        await admin.create_topics([made])
    async with AIOKafkaProducer(**at.settings.kafka()) as producer:
        for key, entry in entries.items():
            old_key = key.rpartition("/")[2].encode()
            number = old_key.rpartition(b":")[2]
            ours = [
                {
                    "account_sid": entry["account_sid"],
                    **{name: block[name] for name in ("scope", "carrier", "mark")},
                    "messaging_service_sid": block["messaging_service_sid"],
                    "sender": block["sender"],
                    "since": block["sources"][0]["since"],
                    "change_id": block["sources"][0]["change_id"],
                    "source": block["sources"][0]["kind"],
                }
                for block in entry["blocks"]
            ]
            gone = [{**ours[0], "account_sid": OTHER_ACCOUNT}]
            for blocks in (ours + gone, ours):
                value = {**entry, "blocks": blocks}
                del value["schema_version"], value["account_sid"]
                await producer.send_and_wait(
                    older,
                    orjson.dumps(value),
                    key=old_key,
                    partition=partition_of(number, at.settings.partitions),
                    headers=[("mark", marks[key])],
                )


async def test_a_list_of_version_1_becomes_one_of_version_2(
    settings: Settings, optout: Command
) -> None:
    old, new = Installation(settings), moved_to(settings)
    await an_installation_at_work(old)
    await make_older(old)
    older = f"{settings.topic_prefix}block-list.v1: is of an older version"
    assert older in (await optout("topics", "check", code=1)).stderr
    assert older in (await optout("topics", "create", code=2)).stderr
    moved = orjson.loads((await optout(*the_move(new), "--json")).stdout)
    assert (moved["equal"], moved["blocked"]) == (True, len(BLOCKED) + 2)
    async with running(new.settings):
        failed = await new.wait_for(new.topics.message_statuses, len(BLOCKED))
        assert {status["to"] for status in failed} == set(BLOCKED)
        others = [a_send(f"O{one[1:]}", to=one, account_sid=OTHER_ACCOUNT) for one in BLOCKED]
        await new.sends(*others)
        await new.wait_for(new.topics.allowed_sends, len(BLOCKED))
        await new.wait_for_no_lag("match", "gate")
    assert (await audit(new.settings)).violations == ()
