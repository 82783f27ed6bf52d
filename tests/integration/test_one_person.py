"""R25, R31, R32: one person, whichever address a record has; on a real broker and a real Redis."""

from __future__ import annotations

import orjson
import pytest
from redis.asyncio import Redis

from processor.audit import audit
from processor.config import Settings
from processor.core.messages import LinkCommand
from processor.core.partitions import partition_of
from processor.kafka.writing import Outgoing
from processor.wire import consent_commands
from tests.builders import ACCOUNT, LONG_CODE
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, by_sid, running, until
from tests.integration.conftest import Command

WHATSAPP = f"whatsapp:{LONG_CODE}"
ID = "whatsapp:US.10000000000000000001"


@pytest.mark.parametrize(
    ("texts_as", "sent_as", "key"),
    [
        ("+5215555550101", "+525555550101", "+525555550101"),
        ("+553188550102", "+5531988550102", "+5531988550102"),
        ("+541155550103", "+54111555550103", "+541155550103"),
    ],
)
async def test_r32_a_stop_under_one_spelling_holds_under_the_other(
    settings: Settings, texts_as: str, sent_as: str, key: str
) -> None:
    at = Installation(settings)
    async with running(settings):
        # An old producer, which takes a number as it is written for the key: it is sent on.
        topic = at.topics.inbound_messages
        stop = orjson.dumps(a_text("M1", "stop", **{"from": texts_as}))
        await at.write_raw(Outgoing(topic, texts_as.encode(), stop))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(
            a_send("S1", to=texts_as),
            a_send("S2", to=sent_as),
            a_send("S3", to=f"rcs:{sent_as}", **{"from": "rcs:agent"}),
        )
        failed = await at.wait_for(at.topics.message_statuses, 3)
    assert set(by_sid(failed)) == {"S1", "S2", "S3"}
    assert {one.key for one in await at.records(at.topics.message_statuses)} == {key.encode()}
    assert reply["to"] == texts_as  # as the recipient's carrier spells it
    [notification] = await at.values(at.topics.opt_out_notifications)
    assert notification["from"] == texts_as
    [change] = await at.values(at.topics.block_changes)
    assert change["recipient"] == key


async def test_r31_a_stop_of_a_user_id_blocks_it_until_a_start(settings: Settings) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"senders": [{"address": WHATSAPP}]})
    on = {"from": ID, "to": WHATSAPP}
    async with running(settings):
        await at.texts(a_text("M1", "halt", **on))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S1", to=ID, **{"from": WHATSAPP}))
        [failed] = await at.wait_for(at.topics.message_statuses, 1)
        await at.texts(a_text("M2", "start", **on))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S2", to=ID, **{"from": WHATSAPP}))
        [allowed] = await at.wait_for(at.topics.allowed_sends, 1)
    assert (reply["to"], reply["from"]) == (ID, WHATSAPP)
    assert (failed["message_sid"], failed["error_code"], failed["to"]) == ("S1", 21610, ID)
    assert allowed["message_sid"] == "S2"
    keys = {one.key for one in await at.records(at.topics.reply_sends)}
    assert keys == {ID.removeprefix("whatsapp:").encode()}


async def test_r33_a_message_that_is_spelled_loosely_is_heard(settings: Settings) -> None:
    at = Installation(settings)
    topic = at.topics.inbound_messages
    stop = a_text("M1", "stop", **{"from": "1 (212) 555-0177", "from_country": ""})
    silent = a_text("M2", "", **{"from": "+12125550177"})
    del silent["body"]
    notice = a_text("M3", "STOP", **{"from": "7726"})
    doubtful = a_text("M4", "STOP", **{"from": "50051234"})
    async with running(settings):
        for one in (stop, silent, notice, doubtful):
            await at.write_raw(Outgoing(topic, one["from"].encode(), orjson.dumps(one)))
        await at.sends(a_send("S1", to="+12125550177"))
        await at.wait_for_letters(1)
        await at.wait_for_no_lag("match", "gate")
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
    assert reply["to"] == "+12125550177"
    assert len(await at.records(at.topics.opt_out_notifications)) == 1
    [letter] = await at.records(at.topics.dead_letters)
    why = dict(letter.headers)["__connect.errors.exception.message"].decode()
    assert why == "from: has two readings: a number with the code of FK, or a short code"


def _apart(settings: Settings) -> tuple[str, str]:
    """A number and a user id whose partitions differ."""
    number = "+15557654321"
    at = partition_of(number.encode(), settings.partitions)
    ids = (f"US.1000000000{number}" for number in range(100))
    return number, next(one for one in ids if partition_of(one.encode(), settings.partitions) != at)


async def test_r25_r32_a_stop_that_names_number_and_id_holds_for_both_until_a_start_of_the_id(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"senders": [{"address": WHATSAPP}]})
    number, id_ = _apart(settings)
    addresses = {"N": f"whatsapp:{number}", "I": f"whatsapp:{id_}"}

    async def sends(about: str) -> None:
        await at.sends(
            *(
                a_send(f"{about}{name}", to=to, **{"from": WHATSAPP})
                for name, to in addresses.items()
            )
        )

    async with running(settings):
        await at.texts(a_text("M1", "halt", to=WHATSAPP, user_id=id_, **{"from": addresses["N"]}))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        await sends("S1")
        failed = await at.wait_for(at.topics.message_statuses, 2)
        await at.texts(a_text("M2", "start", to=WHATSAPP, **{"from": addresses["I"]}))
        await at.wait_for(at.topics.reply_sends, 2)
        await sends("S2")
        allowed = await at.wait_for(at.topics.allowed_sends, 2)
        await at.texts(a_text("M3", "halt", to=WHATSAPP, **{"from": addresses["I"]}))
        await at.wait_for(at.topics.reply_sends, 3)
        await sends("S3")
        failed = await at.wait_for(at.topics.message_statuses, 4)
    assert reply["to"] == addresses["N"]
    assert {one["message_sid"] for one in failed} == {"S1N", "S1I", "S3N", "S3I"}
    assert {one["message_sid"] for one in allowed} == {"S2N", "S2I"}
    changes = await at.values(at.topics.block_changes)
    assert [(one["recipient"], one["blocked"]) for one in changes] == [
        (number, True),
        (number, False),
        (number, True),
    ]
    replied = {one["to"]: one for one in await at.values(at.topics.reply_sends)}
    assert set(replied) == set(addresses.values())
    assert await at.records(at.topics.dead_letters) == []
    report = await audit(settings)
    assert report.violations == ()
    assert report.counts["judged_by_a_link"] == 3  # the sends to the id


async def test_r32_a_link_survives_the_loss_of_redis(settings: Settings) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"senders": [{"address": WHATSAPP}]})
    number, id_ = _apart(settings)
    to_id = {"to": f"whatsapp:{id_}", "from": WHATSAPP}
    link = LinkCommand("CC1", ACCOUNT, id_, number, "operator", None, 1_700_000_000_000)
    async with running(settings):
        await at.texts(a_text("M1", "halt", to=WHATSAPP, **{"from": f"whatsapp:{id_}"}))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.write_raw(
            Outgoing(at.topics.consent_commands, id_.encode(), consent_commands.checked(link))
        )
        await at.wait_for(at.topics.block_changes, 2)  # the id's block is the number's, too
        async with Redis.from_url(settings.redis_url) as redis:
            lost = [key async for key in redis.scan_iter(f"{settings.topic_prefix}*")]
            await redis.delete(*lost)
        await at.sends(
            a_send("S1", **to_id), a_send("S2", to=f"whatsapp:{number}", **{"from": WHATSAPP})
        )
        failed = await at.wait_for(at.topics.message_statuses, 2)
        await at.texts(a_text("M2", "start", to=WHATSAPP, **{"from": f"whatsapp:{number}"}))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S3", **to_id))
        [allowed] = await at.wait_for(at.topics.allowed_sends, 1)
    assert set(by_sid(failed)) == {"S1", "S2"}
    assert allowed["message_sid"] == "S3"


async def test_r32_an_operator_links_a_number_and_a_user_id(
    settings: Settings, optout: Command
) -> None:
    number, id_ = _apart(settings)
    addresses = f"whatsapp:{number}", f"whatsapp:{id_}"
    account = "--account-sid", ACCOUNT
    async with running(settings) as runtime:

        async def ready() -> bool:
            return runtime.unready() == []

        await until(ready, "worker that is ready")  # the number's list is whole, too
        await optout("blocks", "block", addresses[1], *account, "--reason", "asked by chat")
        linked = await optout("blocks", "link", *addresses, *account)
        assert linked.stdout == f"{addresses[1]} and {addresses[0]} are one person\n"
        for one in addresses:
            assert (
                f"{addresses[0]}  {ACCOUNT}"
                in (await optout("blocks", "get", one, *account)).stdout
            )
        assert len((await optout("blocks", "list")).stdout.splitlines()) == 1
        other = await optout("blocks", "link", "+15557654322", addresses[1], *account, code=2)
        assert other.stderr == "USER_ID: the user id has a link to another number\n"
        wrong = await optout("blocks", "link", *reversed(addresses), *account, code=2)
        assert "NUMBER: must be an E.164 number" in wrong.stderr
        await optout("blocks", "unblock", addresses[1], *account, "--reason", "asked by chat")
        await optout("blocks", "get", addresses[0], *account, code=1)
        past = (await optout("blocks", "history", addresses[1], "--json")).stdout.splitlines()
        seen = [(one["recipient"], one["blocked"]) for one in map(orjson.loads, past)]
        assert seen == [(id_, True), (number, True), (number, False)]
        await optout("blocks", "verify")
