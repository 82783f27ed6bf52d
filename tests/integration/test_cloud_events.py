"""Records for downstream consumers have CloudEvents attributes as headers."""

from __future__ import annotations

import jsonschema
import orjson

from processor.config import Settings
from processor.kafka.writing import Outgoing
from schemas.cloud_events import TYPES, header_schema
from tests.builders import RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running

OF_THE_SEND = [("ce_id", b"of the send"), ("traceparent", b"00-1-2-01")]


async def test_what_happened_is_told_as_cloud_events_and_a_send_goes_on_as_it_came(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"inbound_request_url": "https://example.com/inbound"})
    sends = [
        Outgoing(
            at.topics.outbound_messages,
            RECIPIENT.encode(),
            orjson.dumps(a_send(sid)),
            OF_THE_SEND,
        )
        for sid in ("S1", "S2")
    ]
    async with running(settings):
        await at.write_raw(sends[0])
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.texts(a_text("M1", "STOP"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.write_raw(sends[1])
        await at.wait_for(at.topics.message_statuses, 1)
        await at.texts(a_text("M2", "START"))
        await at.wait_for(at.topics.reply_sends, 2)

    ids = []
    for topic in TYPES:
        for record in await at.records(settings.topic_prefix + topic):
            event = {
                name: value.decode()
                for name, value in record.headers
                if name in header_schema(topic)["properties"]
            }
            jsonschema.Draft202012Validator(header_schema(topic)).validate(event)
            assert event["ce_source"] == settings.source()
            ids.append(event["ce_id"])
    assert len(ids) == len(set(ids)) == 2 * 4 + 1

    [allowed] = await at.records(at.topics.allowed_sends)
    assert list(allowed.headers[:2]) == OF_THE_SEND
    [refused] = await at.records(at.topics.message_statuses)
    names = [name for name, _ in refused.headers]
    assert names[:3] == ["traceparent", "mark", "optout.source"]
    assert len(names) == len(set(names))
