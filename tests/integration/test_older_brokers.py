"""Brokers that want to be asked before each transaction, as all did before Kafka 4.0."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import stack
from processor.config import Settings
from processor.kafka.lanes.transactional_producers import ExplicitProducer, start_producer
from processor.kafka.starting import stop
from processor.kafka.topics import topic_admin
from tests.clinic import a_send, a_text
from tests.installation import Installation
from tests.processes import OPTOUT, environment, started

OLDER = ["transaction.version=1"]


@pytest.mark.needs_more
async def test_a_worker_asks_first_where_brokers_want_it(
    settings: Settings, tmp_path: Path
) -> None:
    with stack.kafka(tmp_path, features=OLDER) as broker:
        there = settings.model_copy(update={"kafka_bootstrap": broker.address})
        await topic_admin.create(there)
        producer = await start_producer(there, "one", request_s=10)
        await stop(producer.inner)
        assert isinstance(producer, ExplicitProducer)
        at = Installation(there)
        mine = environment(there) | {"OPTOUT_KAFKA_BOOTSTRAP": broker.address}
        async with started(OPTOUT, **mine):
            for number in range(1, 4):
                await at.write(at.topics.inbound_messages, a_text(f"SM{number}", "STOP"))
                await at.wait_for(at.topics.opt_out_notifications, number)
                await at.write(at.topics.outbound_messages, a_send(f"SO{number}"))
                await at.wait_for(at.topics.message_statuses, number)
        assert len(await at.values(at.topics.reply_sends)) == 1  # to the first STOP
        assert await at.values(at.topics.allowed_sends) == []
