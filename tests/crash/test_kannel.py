"""R22, R24, R25: a phone's STOP through Kannel, the confirmation back, whatever is killed."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.local import stack
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.builders import KEY
from tests.carrier_serving import store, with_carriers
from tests.carriers import a_document
from tests.clinic import CLINIC, a_send, configure
from tests.installation import DEADLINE_S, Installation, until
from tests.kannel import Kannel, kannel
from tests.processes import OPTOUT, Process, a_port, environment, started

pytestmark = [pytest.mark.crash, pytest.mark.needs_more]

PHONE = "+15557650042"
CODE = "+15551234567"


class Programs:
    """`optout carriers` and a worker, each killed and started at will."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._given = environment(settings) | {
            "OPTOUT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "OPTOUT_REDIS_URL": settings.redis_url,
            "OPTOUT_SECRET_KEYS": KEY,
            "OPTOUT_CARRIERS_PORT": str(port),
            "OPTOUT_CARRIERS_URL": f"http://127.0.0.1:{port}",
            "OPTOUT_CARRIER_FIRST_DELAY_S": "0.5",
            "OPTOUT_CARRIER_LONGEST_DELAY_S": "2",
            "OPTOUT_SESSION_TIMEOUT_S": "6",
            "OPTOUT_ROLES": "match,gate,carriers",
        }
        self._commands = {
            "carriers": (sys.executable, "-m", "processor", "carriers"),
            "worker": OPTOUT,
        }
        self._running: dict[str, tuple[AsyncExitStack, Process]] = {}

    async def start(self, name: str) -> None:
        stack_ = AsyncExitStack()
        process = await stack_.enter_async_context(started(self._commands[name], **self._given))
        self._running[name] = stack_, process

    async def kill(self, name: str) -> None:
        stack_, _ = self._running.pop(name)
        await stack_.aclose()  # SIGKILL

    async def stop(self) -> None:
        for name in list(self._running):
            await self.kill(name)

    @property
    def said(self) -> str:
        return "\n".join(process.said for _, process in self._running.values())


async def test_a_stop_through_kannel_has_one_effect_whatever_is_killed(tmp_path: Path) -> None:
    with stack.kafka(tmp_path) as broker, stack.valkey(tmp_path) as redis:
        settings = with_carriers(
            Settings(
                kafka_bootstrap=broker.address,
                redis_url=f"redis://{redis.address}/0",
                topic_prefix="kannel.",
                partitions=4,
            )
        )
        await topic_admin.create(settings)
        port = a_port()
        programs = Programs(settings, port)
        try:
            url = f"http://127.0.0.1:{port}/carriers/kannel-1"
            async with kannel(tmp_path / "kannel", url, PHONE) as gateway:
                await configure(settings, CLINIC)
                document = a_document("kannel", api_url=gateway.sendsms, senders=[CODE])
                await store(settings, document)
                await programs.start("carriers")
                await programs.start("worker")
                await _conversation(Installation(settings), gateway, programs, broker)
        finally:
            await programs.stop()


async def _conversation(
    at: Installation, gateway: Kannel, programs: Programs, broker: stack.Server
) -> None:
    phone = gateway.phone

    async def got(*texts: str) -> None:
        async def all_got() -> bool:
            return {body for _, body in phone.received} >= set(texts)

        try:
            await until(all_got, f"texts {texts}", DEADLINE_S)
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {phone.received}\n{phone.said}\n{programs.said}"
            ) from None

    # All is well: a send, its report, a STOP, and the next send refused.
    await phone.text(CODE, "hello")
    await at.wait_for(at.topics.inbound_messages, 1)
    await at.sends(a_send("SM1", to=PHONE, body="Your appointment is tomorrow. Äé €"))
    await got("Your appointment is tomorrow. Äé €")
    await at.wait_for(at.topics.message_statuses, 2)
    # `optout carriers` is away while the phone texts STOP: smsbox repeats it.
    await programs.kill("carriers")
    await phone.text(CODE, "Stop")
    await asyncio.sleep(1.5)
    await programs.start("carriers")
    await got("You are out.")
    await _refused(at, "SM2")
    # Kafka dies while START comes, and comes back.
    broker.kill()
    await phone.text(CODE, "START")
    await asyncio.sleep(1.5)
    broker.start()
    await at.wait_for(at.topics.reply_sends, 2)
    replies = {one["kind"]: one["body"] for one in await at.values(at.topics.reply_sends)}
    await got(replies["START"])
    assert [body for _, body in phone.received].count("You are out.") == 1
    # The worker is killed with a STOP under way, then the gateway, which has the confirmation.
    await phone.text(CODE, "halt")
    await at.wait_for(at.topics.inbound_messages, 4)
    await programs.kill("worker")
    await phone.off()
    await programs.start("worker")

    async def is_stored() -> bool:
        return any(one.is_file() for one in gateway.spool.rglob("*"))

    await until(is_stored, "confirmation in the gateway's store", DEADLINE_S)
    gateway.smsbox.kill()
    gateway.bearerbox.kill()
    gateway.bearerbox.start()
    gateway.smsbox.start()
    before = len(phone.received)
    await phone.text("999", "still here")  # the phone is on again

    async def is_confirmed() -> bool:
        return "You are out." in [body for _, body in phone.received[before:]]

    await until(is_confirmed, "confirmation", DEADLINE_S)
    await at.wait_for(at.topics.block_changes, 3)
    await _refused(at, "SM3")
    await at.wait_for_no_lag("match", "gate", "carriers")
    await _one_effect_each(at, phone.received)


async def _refused(at: Installation, sid: str) -> None:
    await at.sends(a_send(sid, to=PHONE, body=f"must not arrive: {sid}"))

    async def is_refused() -> bool:
        told = await at.values(at.topics.message_statuses)
        return any(one["message_sid"] == sid and one["error_code"] == 21610 for one in told)

    await until(is_refused, f"{sid} refused", DEADLINE_S)


async def _one_effect_each(at: Installation, received: list[tuple[str, str]]) -> None:
    notes = await at.values(at.topics.opt_out_notifications)
    assert Counter(one["body"] for one in notes) == {"Stop": 1, "START": 1, "halt": 1}
    changes = await at.values(at.topics.block_changes)
    assert [one["blocked"] for one in sorted(changes, key=_time)] == [True, False, True]
    texts = await at.values(at.topics.inbound_messages)
    assert {one["body"] for one in texts} >= {"hello", "Stop", "START", "halt"}
    assert {one["from"] for one in texts} == {PHONE}
    assert not any("must not arrive" in body for _, body in received)
    told = await at.values(at.topics.message_statuses)
    first = {one["status"] for one in told if one["message_sid"] == "SM1"}
    assert first >= {"sent", "delivered"}
    assert await at.records(at.topics.dead_letters) == []


def _time(change: dict[str, Any]) -> str:
    return str(change["at"])
