"""The whole flow on a real broker and a real Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.kafka.writing import Outgoing
from tests.builders import ACCOUNT, LONG_CODE, NOW, RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, by_sid, running, until


async def test_stop_blocks_the_next_send_until_start(settings: Settings) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.texts(a_text("M1", "STOP?"), a_text("M2", "Stop!"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S2"))
        await at.wait_for(at.topics.message_statuses, 1)
        await at.texts(a_text("M3", "HELP"), a_text("M4", "START"))
        await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.allowed_sends, 2)

    blocked, lifted = await at.values(at.topics.block_changes)
    assert (blocked["cause"]["id"], blocked["blocked"]) == ("M2", True)
    assert (lifted["cause"]["id"], lifted["blocked"]) == ("M4", False)
    replies = await at.values(at.topics.reply_sends)
    assert [(reply["in_reply_to"], reply["kind"]) for reply in replies] == [
        ("M2", "STOP"),
        ("M4", "START"),
    ]
    notifications = await at.values(at.topics.opt_out_notifications)
    assert [
        (one["message_sid"], one["kind"], one["match"], one["reply_sent"], one["opt_out_type"])
        for one in notifications
    ] == [
        ("M2", "STOP", "tolerant", "default", None),
        ("M3", "HELP", "exact", "none", None),
        ("M4", "START", "exact", "default", None),
    ]
    allowed = await at.values(at.topics.allowed_sends)
    assert [send["message_sid"] for send in allowed] == ["S1", "S3"]
    [failed] = await at.values(at.topics.message_statuses)
    assert (failed["message_sid"], failed["status"], failed["error_code"]) == (
        "S2",
        "failed",
        21610,
    )
    assert failed["block"]["change_id"] == blocked["change_id"]
    assert failed["block"]["mark"] == blocked["mark"]
    # The last record of the recipient on the compacted topic is a tombstone.
    assert (await at.records(at.topics.block_list))[-1].value is None
    assert await at.records(at.topics.dead_letters) == []


async def test_r24_an_allowed_send_goes_on_byte_for_byte_with_its_headers(
    settings: Settings,
) -> None:
    at = Installation(settings)
    value = orjson.dumps(a_send("S1", unknown={"kept": [1, 2]}), option=orjson.OPT_INDENT_2)
    sent = Outgoing(
        at.topics.outbound_messages, RECIPIENT.encode(), value, [("traceparent", b"00-1-2-01")]
    )
    async with running(settings):
        await at.write_raw(sent)
        await at.wait_for(at.topics.allowed_sends, 1)
    [record] = await at.records(at.topics.allowed_sends)
    assert (record.key, record.value) == (sent.key, sent.value)
    assert record.partition == partition_of(RECIPIENT.encode(), settings.partitions)
    names = [name for name, _ in record.headers]
    assert names == ["traceparent", "mark", "optout.source"]


async def test_a_change_of_configuration_takes_effect_without_a_restart(
    settings: Settings,
) -> None:
    at = Installation(settings)
    async with running(settings) as runtime:
        await at.texts(a_text("M1", "halt"), a_text("M2", "stop"))
        await at.wait_for(at.topics.opt_out_notifications, 1)
        await configure(settings, CLINIC)

        async def followed() -> bool:
            return "MGclinic" in runtime.shared.services.directory.services

        await until(followed, "configuration")
        await at.texts(a_text("M3", "halt"), a_text("M4", "start"))
        notifications = by_sid(await at.wait_for(at.topics.opt_out_notifications, 3))
    assert set(notifications) == {"M2", "M3", "M4"}
    assert notifications["M2"]["aoo_enabled"] is False
    after = notifications["M3"]
    assert (after["opt_out_type"], after["keyword"]) == ("STOP", "halt")
    assert (after["config_version"], after["messaging_service_sid"]) == (1, "MGclinic")


async def test_r21_rcs_shares_the_list_of_sms_and_whatsapp_has_its_own(settings: Settings) -> None:
    at = Installation(settings)
    on = {"whatsapp": f"whatsapp:{RECIPIENT}", "rcs": f"rcs:{RECIPIENT}"}
    whatsapp, rcs = f"whatsapp:{LONG_CODE}", "rcs:clinic_agent"
    senders = [{"address": LONG_CODE}, {"address": whatsapp}, {"address": rcs}]
    await configure(settings, CLINIC | {"senders": senders})
    sends = {
        "sms": a_send("SMS"),
        "rcs": a_send("RCS", **{"from": rcs, "to": on["rcs"]}),
        "whatsapp": a_send("WA", **{"from": whatsapp, "to": on["whatsapp"]}),
    }
    async with running(settings):
        await at.texts(a_text("M1", "halt", **{"from": on["whatsapp"], "to": whatsapp}))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(*sends.values())
        failed = await at.wait_for(at.topics.message_statuses, 1)
        allowed = await at.wait_for(at.topics.allowed_sends, 2)
        assert set(by_sid(failed)) == {"WA"}
        assert set(by_sid(allowed)) == {"SMS", "RCS"}
        await at.texts(a_text("M2", "halt", **{"from": on["rcs"], "to": rcs}))
        replies = await at.wait_for(at.topics.reply_sends, 2)
        await at.sends(sends["sms"] | {"message_sid": "SMS2"}, sends["rcs"])
        failed = await at.wait_for(at.topics.message_statuses, 3)
    assert set(by_sid(failed)) == {"WA", "SMS2", "RCS"}
    assert [(reply["from"], reply["to"]) for reply in replies] == [
        (whatsapp, on["whatsapp"]),
        (rcs, on["rcs"]),
    ]


async def test_r22_a_message_delivered_twice_has_one_effect(settings: Settings) -> None:
    at = Installation(settings)
    async with running(settings):
        await at.texts(a_text("M1", "stop"), a_text("M2", "start"))
        await at.wait_for(at.topics.reply_sends, 2)
    async with running(settings):  # another worker remembers
        await at.texts(a_text("M1", "stop"), a_text("M3", "help"))
        await at.wait_for(at.topics.reply_sends, 3)
    replies = await at.values(at.topics.reply_sends)
    assert [reply["in_reply_to"] for reply in replies] == ["M1", "M2", "M3"]
    assert len(await at.values(at.topics.block_changes)) == 2


async def test_r28_an_application_is_to_be_told_of_every_message(settings: Settings) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"inbound_request_url": "https://example.com/inbound"})
    async with running(settings):
        await at.texts(a_text("M1", "hello"), a_text("M2", "Halt"), a_text("M3", "thanks"))
        await at.texts(a_text("M4", "hi", to="+15550000000"), a_text("M2", "Halt"))
        await at.wait_for(at.topics.webhook_deliveries, 3)
        await at.texts(a_text("M5", "bye"))
        told = await at.wait_for(at.topics.webhook_deliveries, 4)
    assert [(one["message_sid"], one["parameters"].get("OptOutType")) for one in told] == [
        ("M1", None),
        ("M2", "STOP"),
        ("M3", None),
        ("M5", None),
    ]
    assert [record.key for record in await at.records(at.topics.webhook_deliveries)] == [
        RECIPIENT.encode()
    ] * 4


async def test_r29_a_command_changes_the_list_and_is_in_the_history(settings: Settings) -> None:
    at = Installation(settings)
    command = {
        "command_id": "C1",
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": RECIPIENT,
        "channel_group": "sms",
        "blocked": True,
        "source": "operator",
        "reason": "asked on the phone",
        "at": NOW,
    }
    async with running(settings):
        await at.write(at.topics.consent_commands, command)
        [change] = await at.wait_for(at.topics.block_changes, 1)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
    assert change["cause"] == {
        "id": "C1",
        "source": "operator",
        "kind": None,
        "keyword": None,
        "sender": None,
        "message_sid": None,
        "reason": "asked on the phone",
        "claimed_at": NOW,
        "claimed_source": None,
        "actor": None,
    }
    assert await at.values(at.topics.reply_sends) == []


async def test_r25_the_gate_waits_while_no_list_is_whole(settings: Settings) -> None:
    at = Installation(settings)
    gate = settings.model_copy(update={"roles": ("gate",)})
    match = settings.model_copy(update={"roles": ("match",)})
    async with running(gate) as runtime:
        await at.sends(a_send("S1"))

        async def waits() -> bool:
            return any("not whole" in state.text for state in runtime.states()["gate"])

        await until(waits, "gate that waits")
        assert await at.values(at.topics.allowed_sends) == []
        assert runtime.unready() != []
        async with running(match):
            await at.wait_for(at.topics.allowed_sends, 1)
        waited_s = runtime.shared.metrics.registry.get_sample_value(
            "optout_gate_waiting_seconds_total", {"reason": "not_whole"}
        )
        assert waited_s is not None
        assert waited_s > 0


async def test_r25_the_gate_waits_where_the_lists_owner_was_not_heard(settings: Settings) -> None:
    at = Installation(settings)
    gate = settings.model_copy(update={"roles": ("gate",), "gate_max_staleness_s": 2.0})
    match = settings.model_copy(update={"roles": ("match",)})
    async with running(gate) as runtime:
        async with running(match):
            await at.sends(a_send("S1"))
            await at.wait_for(at.topics.allowed_sends, 1)
            await asyncio.sleep(2.5)  # an idle owner sends heartbeats, too
            await at.sends(a_send("S2"))
            await at.wait_for(at.topics.allowed_sends, 2)
        await asyncio.sleep(2.5)
        await at.sends(a_send("S3"))

        async def waits() -> bool:
            return any("not heard for 2 s" in why for why in runtime.unready())

        await until(waits, "gate that waits")
        async with running(match):
            await at.wait_for(at.topics.allowed_sends, 3)


async def test_a_second_worker_takes_its_share_and_nothing_is_lost_or_doubled(
    settings: Settings,
) -> None:
    at = Installation(settings)

    def batch(number: int) -> list[dict[str, Any]]:
        return [
            a_text(f"M{number}.{one}", body, **{"from": f"+1555000{one:04d}"})
            for one in range(50)
            for body in [("stop", "start", "help", "hello")[(number + one) % 4]]
        ]

    async with running(settings) as first:
        await at.texts(*batch(0))
        async with running(settings) as second:

            async def shared() -> bool:
                return len(first.states()["match"]) == len(second.states()["match"]) == 2

            await until(shared, "even share")
            await at.texts(*batch(1))
            await at.texts(*batch(2))
        await at.texts(*batch(3))
        expected = {
            text["message_sid"]
            for number in range(4)
            for text in batch(number)
            if text["body"] != "hello"
        }
        await at.wait_for(at.topics.opt_out_notifications, len(expected))
    assert set(by_sid(await at.values(at.topics.opt_out_notifications))) == expected


async def test_what_a_producer_writes_in_transactions_leaves_no_lag_and_no_lane_seems_stuck(
    settings: Settings,
) -> None:
    at = Installation(settings)
    key = RECIPIENT.encode()
    producer = AIOKafkaProducer(**settings.kafka(), transactional_id=f"{settings.topic_prefix}mo")
    async with running(settings) as runtime, producer:
        for sid in ("M1", "M2"):
            async with producer.transaction():
                await producer.send_and_wait(
                    at.topics.inbound_messages,
                    orjson.dumps(a_text(sid, "help")),
                    key=key,
                    partition=partition_of(key, settings.partitions),
                )
        await at.wait_for(at.topics.reply_sends, 2)
        await at.wait_for_no_lag("match")
        assert await runtime.lanes["match"].stuck(0, redis_since=0.0) == []
