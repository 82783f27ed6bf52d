"""No input of a tenant, and no record, stops a lane: a bystander's STOP is the oracle.

On a real broker, a real Redis and the served API; `make fuzz` looks long.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from processor.config import Settings
from processor.kafka.client import writer
from processor.wire.topics import Topics
from tests.api import Api, all_running, create_accounts, with_secrets
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    command_record,
    inbound_record,
    outbound_record,
)
from tests.installation import Installation, until
from tests.strategies import json_values
from tests.victim import Victim, numbers_in, victim

PARTITION = 1
RECIPIENT = next(numbers_in(PARTITION, 4))
EXAMPLES = max(1, examples().max_examples // 6)  # each waits for a broker
STATUS = {
    "message_sid": "SM1",
    "account_sid": ACCOUNT,
    "from": LONG_CODE,
    "to": RECIPIENT,
    "status": "sent",
    "status_callback": "http://[",
    "at": "2026-11-02T12:00:00Z",
}
RECORDS: dict[str, dict[str, Any]] = {
    "inbound_messages": inbound_record(from_=RECIPIENT),
    "outbound_messages": outbound_record(to=RECIPIENT),
    "consent_commands": command_record(recipient=RECIPIENT),
    "message_statuses": STATUS,
    "webhook_deliveries": {
        "delivery_id": "SM1.inbound",
        "account_sid": ACCOUNT,
        "message_sid": "SM1",
        "url": "http://a℀b.com",
        "parameters": {"Body": "hello"},
    },
}
urls = st.sampled_from(
    ["http://[", "http://a℀b.com", "https://x:99999/", "http://:80", "https://user@/", "http://\\"]
) | st.from_regex(r"https?://[^\s]+", fullmatch=True)


@dataclass(frozen=True)
class Record:
    """Written as it is into the victim's partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    codec: str | None

    async def strike(self, at: Installation, api: Api) -> None:
        options = {"max_request_size": 1 << 26, "compression_type": self.codec}
        async with writer(at.settings, **options) as out:
            topic = getattr(Topics.under(at.settings.topic_prefix), self.topic)
            batch = out._producer.create_batch()
            batch.append(key=self.key, value=self.value, timestamp=None, headers=self.headers)
            batch.close()
            await (await out._producer.send_batch(batch, topic, partition=PARTITION))


@dataclass(frozen=True)
class Request:
    """Asked of the API as a tenant."""

    path: str
    options: dict[str, Any]

    async def strike(self, at: Installation, api: Api) -> None:
        answer = await api.ask("POST", self.path, **self.options)
        assert answer.status_code < 500, answer.text


@dataclass(frozen=True)
class Race:
    """A message that is redacted and deleted at once, and then goes on."""

    async def strike(self, at: Installation, api: Api) -> None:
        messages = f"/2010-04-01/Accounts/{ACCOUNT}/Messages"
        form = {"From": LONG_CODE, "To": RECIPIENT, "Body": "hello"}
        made = await api.ask("POST", f"{messages}.json", data=form)
        if made.status_code != 201:
            return  # its recipient opted out meanwhile
        one = f"{messages}/{made.json()['sid']}.json"
        both: list[Awaitable[Any]] = [
            api.ask("POST", one, data={"Body": ""}),
            api.ask("DELETE", one),
        ]
        for answer in await asyncio.gather(*both):
            assert answer.status_code < 500, answer.text
        status = {**STATUS, "message_sid": made.json()["sid"]}
        await at.write(at.topics.message_statuses, status)


@st.composite
def records(draw: st.DrawFn) -> Record:
    topic = draw(st.sampled_from(sorted(RECORDS)))
    value = dict(RECORDS[topic])
    for name in draw(st.lists(st.sampled_from(sorted(value)), max_size=3)):
        value[name] = draw(json_values | urls)
    raw = json.dumps(value).encode()
    fill = draw(st.sampled_from([0, 0, 0, 600_000, 3_000_000]))
    utf_8 = st.text(st.characters(codec="utf-8"), max_size=8)
    names = utf_8 | st.sampled_from(["mark", "optout.first-append", "ce_id"])
    headers = draw(st.lists(st.tuples(names, st.none() | st.binary(max_size=80)), max_size=6))
    key = RECIPIENT.encode()
    return Record(
        topic,
        draw(st.sampled_from([key, key, None, b"\xff", b"x" * 70_000])),
        draw(st.sampled_from([b" " * fill + raw, None]) | st.binary(max_size=40)),
        [*headers, ("big", b"x" * draw(st.sampled_from([0, 0, 70_000, 400_000])))],
        draw(st.sampled_from([None, "gzip"])) if fill == 0 else "gzip",
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    messages = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    form = {"From": LONG_CODE, "To": RECIPIENT, "Body": draw(st.text(max_size=20))}
    rows = [
        orjson.dumps({"recipient": RECIPIENT, "sender": f"N{one}", "reason": "x" * 400})
        for one in range(draw(st.sampled_from([1, 300])))
    ]
    imported = {
        "content": b"\n".join(rows),
        "headers": {"Content-Type": "application/x-ndjson"},
    }
    return draw(
        st.sampled_from(
            [
                Request(messages, {"data": form | {"StatusCallback": draw(urls)}}),
                Request(messages, {"data": form | {"MediaUrl": draw(urls)}}),
                Request(
                    "/v1/Services",
                    {"data": {"FriendlyName": "x", "InboundRequestUrl": draw(urls)}},
                ),
                Request("/v1/OptOuts/Import", imported),
                Request("/v1/OptOuts/Block", {"json": {"recipient": RECIPIENT, "reason": "x"}}),
            ]
        )
    )


attacks = st.lists(records() | requests() | st.just(Race()), min_size=1, max_size=5)


# Clients draw random numbers in the loop's thread meanwhile.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
async def test_whatever_is_written_or_asked_somebody_elses_stop_counts(settings: Settings) -> None:
    mine = with_secrets(settings, roles=("match", "gate", "webhooks"))
    await create_accounts(mine, ACCOUNT, OTHER_ACCOUNT)
    at = Installation(mine)
    async with all_running(mine) as api, victim(at, PARTITION) as somebody:
        number = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json"
        await api.ask("POST", number, data={"PhoneNumber": LONG_CODE})
        await asyncio.to_thread(_search, asyncio.get_running_loop(), at, api, somebody)

        async def worked() -> bool:
            return not await at.lag("webhooks")

        await until(worked, "webhooks without a lag")
    print(f"{len(somebody.took_s)} STOPs, the slowest in {max(somebody.took_s):.1f} s")


def _search(loop: asyncio.AbstractEventLoop, at: Installation, api: Api, somebody: Victim) -> None:
    """Hypothesis knows no event loop: it draws in this thread, and the attack runs in that one."""

    def wait(work: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(work(), loop).result()

    @examples(max_examples=EXAMPLES)
    @given(attacks)
    def attacked(struck: list[Record | Request | Race]) -> None:
        for attack in struck:
            wait(lambda attack=attack: attack.strike(at, api))  # type: ignore[misc]
        wait(somebody.is_heard)

    attacked()
