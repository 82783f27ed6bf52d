"""Records have their effect under any codec of producers or the broker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer
from redis.asyncio import Redis

from deploy.local import stack
from processor.config import Settings
from processor.kafka import fetched
from processor.kafka.codecs import NAMES
from processor.kafka.inflating import Inflating
from processor.kafka.pieces import Walk
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import Change, plans
from tests.api import Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, NOW
from tests.installation import Installation, running, until
from tests.integration.test_api_clients import run
from tests.integration.test_flow import CLINIC, a_send, a_text, configure
from tests.integration.test_worker_process import environment, started

JAVA = Path(__file__).parents[1] / "clients" / "java"
PADDING = b"well compressed " * 100


class Line(NamedTuple):
    """A record to write with a codec."""

    codec: str
    topic: str
    key: bytes
    value: bytes


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The codecs of batches that were read in this process."""
    names: set[str] = set()

    class Noting(Inflating):
        def piece(self, walk: Walk) -> Any:
            names.add(NAMES[walk.codec])
            return super().piece(walk)

    monkeypatch.setattr(fetched, "_inflating", Noting())
    return names


async def librdkafka(settings: Settings, lines: Sequence[Line]) -> None:
    """As producers in C, Go, .NET, Python and more write."""
    for codec in NAMES.values():
        producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap,
                "compression.type": codec,
                "partitioner": "murmur2_random",
            }
        )
        for line in lines:
            if line.codec == codec:
                producer.produce(line.topic, line.value, line.key, headers=[("padding", PADDING)])
        assert await asyncio.to_thread(producer.flush, 60) == 0


async def java(settings: Settings, lines: Sequence[Line]) -> None:
    """As Kafka's own producer writes."""
    command = ("java", "-cp", f"{stack.kafka_jars()}/*", "Produce.java", settings.kafka_bootstrap)
    given = "".join(
        " ".join((line.codec, line.topic, line.key.hex(), line.value.hex(), PADDING.hex())) + "\n"
        for line in lines
    )
    await run(*command, cwd=JAVA, given=given.encode())


def compiles() -> bool:
    modules = subprocess.run(["java", "--list-modules"], capture_output=True, check=False)
    return b"jdk.compiler@" in modules.stdout


@pytest.mark.parametrize(
    "client",
    [
        librdkafka,
        pytest.param(
            java,
            marks=[
                pytest.mark.needs_more,
                pytest.mark.skipif(not compiles(), reason="no JDK: apt-get install default-jdk"),
            ],
        ),
    ],
)
async def test_records_of_every_codec_have_their_effect(
    settings: Settings, client: Callable[[Settings, Sequence[Line]], Any], read: set[str]
) -> None:
    settings = with_secrets(settings)
    at = Installation(settings)
    await create_accounts(settings, ACCOUNT)
    codecs = list(NAMES.values())
    texts, named, sent, written = (
        {codec: f"+1555{place}00000{number}" for number, codec in enumerate(codecs)}
        for place in range(4)
    )
    async with running(settings), serving(settings) as api:
        made = {codec: await a_message(api, written[codec]) for codec in codecs}
        await at.wait_for(at.topics.allowed_sends, len(codecs))
        topics, lines = at.topics, []

        def write(codec: str, topic: str, recipient: str, value: dict[str, Any]) -> None:
            lines.append(Line(codec, topic, recipient.encode(), orjson.dumps(value)))

        for codec in codecs:
            text = a_text(f"M-{codec}", "STOP", **{"from": texts[codec]})
            write(codec, topics.inbound_messages, texts[codec], text)
            write(codec, topics.consent_commands, named[codec], a_command(codec, named[codec]))
            send = a_send(f"S-{codec}", to=sent[codec])
            write(codec, topics.outbound_messages, sent[codec], send)
            status = a_status(made[codec], written[codec])
            write(codec, topics.message_statuses, written[codec], status)
        await client(settings, lines)
        stops = await at.wait_for(topics.opt_out_notifications, len(codecs))
        assert {one["message_sid"] for one in stops} == {f"M-{codec}" for codec in codecs}
        changes = await at.wait_for(topics.block_changes, 2 * len(codecs))
        assert {one["cause"]["id"] for one in changes} == {
            f"{kind}-{codec}" for kind in "MC" for codec in codecs
        }
        allowed = await at.wait_for(topics.allowed_sends, 2 * len(codecs))
        assert {f"S-{codec}" for codec in codecs} < {one["message_sid"] for one in allowed}
        for sid in made.values():
            await until(partial(is_sent, api, sid), "message that is sent")
    assert read == set(codecs)
    assert await at.records(topics.dead_letters) == []


async def a_message(api: Api, recipient: str) -> str:
    form = {"From": LONG_CODE, "To": recipient, "Body": "Your appointment is tomorrow."}
    number = {"PhoneNumber": LONG_CODE}
    await api.ask("POST", f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json", data=number)
    made = await api.ask("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form)
    assert made.status_code == 201, made.text
    return str(made.json()["sid"])


async def is_sent(api: Api, sid: str) -> bool:
    answer = await api.ask("GET", f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json")
    return bool(answer.json()["status"] == "sent")


def a_command(codec: str, recipient: str) -> dict[str, Any]:
    return {
        "command_id": f"C-{codec}",
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": recipient,
        "blocked": True,
        "source": "test",
        "at": NOW,
    }


def a_status(sid: str, recipient: str) -> dict[str, Any]:
    return {
        "message_sid": sid,
        "account_sid": ACCOUNT,
        "to": recipient,
        "from": LONG_CODE,
        "status": "sent",
        "at": NOW,
    }


@pytest.mark.parametrize("codec", NAMES.values())
async def test_a_broker_may_compress_every_topic(
    settings: Settings, codec: str, read: set[str]
) -> None:
    at = Installation(settings)
    await compress(settings, codec)
    await configure(settings, CLINIC)
    async with running(settings):
        await at.texts(a_text("M1", "halt"), a_text("M2", "bad", received_at="then"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.wait_for_letters(1)
    async with running(settings) as runtime:
        async with Redis.from_url(settings.redis_url) as redis:
            # As one: a list without its entries that has its mark is no list that was lost.
            lost = [name async for name in redis.scan_iter(f"{settings.topic_prefix}*")]
            await redis.delete(*lost)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
        assert runtime.services.directory.services
    assert read == {codec}


async def compress(settings: Settings, codec: str) -> None:
    """Set the codec of every topic, and wait until it is in force: the broker answers before."""
    setting, names = "compression.type", [plan.name for plan in plans(settings)]
    async with topic_admin._admin(settings) as admin:
        change = [Change(setting, "producer", codec)]
        assert await topic_admin._set(admin, dict.fromkeys(names, change)) == {}
        kind = ConfigResourceType.TOPIC
        asked = [ConfigResource(kind, name, {setting: None}) for name in names]

        async def is_set() -> bool:
            found = await admin.describe_configs(asked)
            entries = [one for answer in found for *_, each in answer.resources for one in each]
            return [value for _, value, *_ in entries] == [codec] * len(names)

        await until(is_set, f"topics compressed by {codec}")


async def test_a_worker_that_cannot_read_them_all_does_not_start(settings: Settings) -> None:
    without = "import sys; sys.modules['cramjam'] = None; from processor.cli import main; main()"
    command = (sys.executable, "-c", without, "worker")
    async with started(command, **environment(settings)) as worker:
        assert await worker.ends() == 2
    assert "cannot be read: pip install 'aiokafka[lz4,snappy,zstd]'" in worker.said
