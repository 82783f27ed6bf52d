"""Every follower skips records it cannot use, whatever the broker accepts, and logs it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
from redis.asyncio import Redis

from processor.config import Settings
from processor.core.partitions import partition_of
from processor.http.api import create_api
from processor.http.backend import Backend
from processor.http.serving import Server, web_config
from processor.kafka.topics.compacted import CompactedTopic
from processor.kafka.writing import Outgoing
from processor.metrics import Metrics
from processor.wire.json_values import to_text
from processor.wire.topics import Topics
from tests.api import BASE, Api, carrier_says, create_accounts, serving, with_a_number, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, OTHER_ACCOUNT, RECIPIENT, TOKEN
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.counts import counted
from tests.forms import signed_in
from tests.installation import DEADLINE_S, Installation, by_sid, running, until
from tests.integration.conftest import Command
from tests.processes import OPTOUT, environment, started
from tests.raw_headers import write_at_once
from tests.samples import samples_of, value
from tests.schema_files import example

SECRET = "Tuesday-at-four"
KEY = RECIPIENT.encode()
DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
NO_RECORDS = [
    b"",
    f"STOP {SECRET} {RECIPIENT}".encode(),
    b"null",
    b"[]",
    b"{}",
    b"21610",
    b"\xff\xfe",
    DEEP,
    b'{"surplus":' + DEEP + b"}",
    b'{"account_sid":[],"recipient":{},"message_sid":1e400,"sid":' + b"9" * 5_000 + b"}",
]
ODD_VALUES = [
    b"[]",
    b"{}",
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"9" * 400,
    b'"\\ud800"',
    b'"%b"' % (SECRET.encode() * 5_000),
]
EXAMPLES = Path("schemas/examples")


def odd(record: Mapping[str, Any]) -> list[bytes]:
    """Copies of a record, each with another field of the wrong type."""
    return [
        b'{%b,"%b":%b}' % (json.dumps(rest).encode()[1:-1] or b'"":""', name.encode(), raw)
        for name in record
        for rest in [{key: value for key, value in record.items() if key != name}]
        for raw in ODD_VALUES
    ]


async def poison(
    settings: Settings,
    topic: str,
    record: Mapping[str, Any],
    key: bytes,
    *,
    compacted: bool = False,
    partitions: int | None = None,
) -> None:
    """Write records that the broker accepts but few or no readers can use."""
    alone = settings.model_copy(update={"partitions": partitions or settings.partitions})
    values = [*NO_RECORDS, *odd(record)]
    headers = [("", b""), ("mark", b"\xff"), ("mark", None), ("traceparent", b"\0" * 1_000)]
    records = [Outgoing(topic, key, one, headers) for one in values]
    records += [Outgoing(topic, b"\xff\0", one) for one in (*values[:3], None)]
    if (
        not compacted
    ):  # there the broker refuses a record without a key, and a record without a value counts
        records += [Outgoing(topic, None, one) for one in values[:3]]
        records += [Outgoing(topic, key, None)]
    await Installation(alone).write_raw(*records)
    where = partition_of(key, alone.partitions)
    await write_at_once(settings, topic, values[:3], partition=where, key=key)


async def refused(api: Api) -> dict[str, float]:
    """How many records each follower of an API passed over."""
    text = (await api.ask("GET", "/metrics")).text
    return {
        dict(labels)["follower"]: found
        for (name, labels), found in samples_of(text).items()
        if name == "optout_follower_refused_total"
    }


async def test_the_api_goes_on_past_any_record_of_a_topic_it_follows(
    settings: Settings, written: list[str]
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at, topics = Installation(settings), Topics.under(settings.topic_prefix)
    async with serving(settings) as api, signed_in(api.base, ACCOUNT, TOKEN) as console:
        number = await with_a_number(api)
        form = {"FriendlyName": "Clinic"}
        service = str((await api.ask("POST", "/v1/Services", data=form)).json()["sid"])
        form = {"To": RECIPIENT, "From": LONG_CODE, "Body": SECRET}
        message = str((await api.ask("POST", f"{BASE}/Messages.json", data=form)).json()["sid"])
        await console.get("/console/live")  # the topics that are followed while a Live page is open

        of_us = {"account_sid": ACCOUNT, "recipient": RECIPIENT}
        change = example("block-changes.v1", "stop_blocks_for_the_account", **of_us)
        match = example("opt-out-notifications.v1", "stop_without_aoo", account_sid=ACCOUNT)
        status = example(
            "message-statuses.v1", "refused_by_a_block_for_the_account", account_sid=ACCOUNT
        )
        edit = example(
            "configuration-changes.v1", "service_enabled_by_its_account", account_sid=ACCOUNT
        )
        now = to_text(time.time_ns() // 1_000_000)
        count = example(
            "opt-out-counts.v1", "stops_in_a_country_override", account_sid=ACCOUNT, second=now
        )
        stored = {
            topic: (await at.values(topic))[-1]
            for topic in (topics.messaging_services, topics.accounts, topics.numbers)
        }
        for topic, record in stored.items():
            await poison(
                settings, topic, record, record["sid"].encode(), compacted=True, partitions=1
            )
        await poison(settings, topics.configuration_changes, edit, b"MG1", partitions=1)
        for topic, record in (
            (topics.block_changes, change),
            (topics.opt_out_notifications, match),
            (topics.message_statuses, status),
            (topics.opt_out_counts, count),
        ):
            await poison(settings, topic, record, KEY)

        # The last good records are in force, and later records are too.
        fetched = (await api.ask("GET", f"/v1/Services/{service}")).json()
        assert fetched["friendly_name"] == "Clinic"
        listed = (await api.ask("GET", f"{BASE}/IncomingPhoneNumbers/{number}.json")).json()
        assert listed["phone_number"] == LONG_CODE
        form = {"FriendlyName": "Pharmacy"}
        saved = await api.ask("POST", f"/v1/Services/{service}", data=form)
        assert saved.json()["friendly_name"] == "Pharmacy"
        await create_accounts(settings, OTHER_ACCOUNT)

        async def both_are_known() -> bool:
            asked = [await one.ask("GET", "/v1/Services") for one in (api, api.as_(OTHER_ACCOUNT))]
            return [answer.status_code for answer in asked] == [200, 200]

        await until(both_are_known, "account made since")
        sent = {"message_sid": message, "account_sid": ACCOUNT, "to": RECIPIENT}
        await carrier_says(at, {**sent, "messaging_service_sid": None}, "sent")

        async def is_sent() -> bool:
            answer = await api.ask("GET", f"{BASE}/Messages/{message}.json")
            return bool(answer.json()["status"] == "sent")

        await until(is_sent, "status behind the others")
        await at.write(topics.opt_out_counts, {**count, "count": 7, "to": RECIPIENT})

        async def is_counted() -> bool:
            kinds = api.backend.counts.hourly.of(ACCOUNT, count["messaging_service_sid"])
            return any(sum(hours) >= 7 for hours in kinds.values())

        await until(is_counted, "count behind the others")
        assert (await console.get("/console/rates")).status_code == 200
        await at.write(topics.block_changes, change)
        await at.write(topics.opt_out_notifications, {**match, "keyword": "halt"})

        async def is_shown() -> bool:
            page = await console.get("/console/live")
            return page.status_code == 200 and "STOP by “halt”" in page.text

        await until(is_shown, "match behind the others")
        history = await api.ask("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}/History")
        assert history.status_code == 200
        assert history.json()["changes"][0] == change
        edits = await api.ask("GET", "/v1/ConfigurationChanges")
        assert edits.status_code == 200
        assert edits.json()["changes"][0]["sid"] == service
        assert api.backend.ended() == ""
        passed_over = await refused(api)
    followers = (
        *("services", "accounts", "numbers", "statuses", "counts", "live", "histories"),
        "sums",
    )
    assert {one: passed_over[one] > 0 for one in followers} == dict.fromkeys(followers, True)
    ours = [line for line in written if " httpx " not in line]
    for one in followers:
        assert any(f" {one}.refused topic=" in line for line in ours)
    assert re.findall(rf"{SECRET}|{RECIPIENT[1:]}|Traceback", "".join(ours)) == []


async def test_a_worker_keeps_the_last_good_configuration_and_takes_the_next(
    settings: Settings,
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    [stored] = await at.values(at.topics.messaging_services)
    async with running(settings) as worker:
        await poison(
            settings,
            at.topics.messaging_services,
            stored,
            b"MGclinic",
            compacted=True,
            partitions=1,
        )
        await configure(settings, {**CLINIC, "sid": "MGother", "senders": []})

        async def is_followed() -> bool:
            return "MGother" in worker.shared.services.directory.services

        await until(is_followed, "service behind the others")
        await at.texts(a_text("M1", "halt"))
        [reply] = await at.wait_for(at.topics.reply_sends, 1)
        assert reply["body"] == "You are out."
        text = worker.shared.metrics.text().decode()
    assert value(samples_of(text), "optout_follower_refused_total", follower="services") > 0


async def test_who_takes_what_changed_may_raise_for_one_record_and_gets_the_others(
    settings: Settings,
) -> None:
    at, taken = Installation(settings), dict[str, Any]()
    metrics = Metrics()

    def take(changed: Mapping[str, Any]) -> None:
        if any(one and one["name"] == "bad" for one in changed.values()):
            raise RuntimeError(SECRET)
        taken.update(changed)

    topic = CompactedTopic(
        settings,
        at.topics.numbers,
        "numbers",
        read=orjson.loads,
        sid_of=lambda one: str(one["sid"]),
        take=take,
        metrics=metrics,
    )

    async def write(**named: str) -> None:
        records = [
            Outgoing(at.topics.numbers, sid.encode(), orjson.dumps({"sid": sid, "name": name}))
            for sid, name in named.items()
        ]
        alone = Installation(settings.model_copy(update={"partitions": 1}))
        await alone.write_raw(*records)

    async def has(**named: str) -> None:
        async def all_of_them() -> bool:
            return {sid: one["name"] for sid, one in taken.items()} == named

        await until(all_of_them, f"{named} where {taken}")

    await write(one="good", two="bad", three="good", four="bad", five="good")
    following = asyncio.create_task(topic.follow())
    await has(one="good", three="good", five="good")
    await write(one="bad", two="good", three="better")
    await has(one="good", two="good", three="better", five="good")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    found = samples_of(metrics.text().decode())
    assert value(found, "optout_follower_refused_total", follower="numbers") == 3


async def test_a_rebuild_ends_past_notifications_and_commands_that_are_none(
    settings: Settings,
) -> None:
    """B13: a value that was not JSON ended each rebuild, and sends waited for ever."""
    at = Installation(settings)
    start = a_text("M1", "start")
    async with running(settings):
        await at.texts(start, a_text("M2", "stop"))
        await at.wait_for(at.topics.reply_sends, 2)
    [match, _] = await at.values(at.topics.opt_out_notifications)
    await poison(settings, at.topics.opt_out_notifications, match, KEY)
    await poison(settings, at.topics.block_list, {"key": "none"}, KEY + b"0", compacted=True)
    async with running(settings) as worker:
        async with Redis.from_url(settings.redis_url) as redis:
            lost = [key async for key in redis.scan_iter(f"{settings.topic_prefix}*")]
            await redis.delete(*lost)
        # Delivered again it lifts nothing, as the good notifications were read.
        await at.texts(start)
        await at.sends(a_send("S1"))
        failed = by_sid(await at.wait_for(at.topics.message_statuses, 1))
        assert failed["S1"]["error_code"] == 21610
        await at.wait_for_no_lag("match")
        text = worker.shared.metrics.text().decode()
    assert value(samples_of(text), "optout_follower_refused_total", follower="handled") > 0
    assert len(await at.values(at.topics.block_changes)) == 1


async def test_the_rates_go_on_past_any_record_of_counts_and_of_their_own_tables(
    settings: Settings,
) -> None:
    at, mine = Installation(settings), environment(settings) | {"OPTOUT_ROLES": "rates"}
    count = example("opt-out-counts.v1", "stops_in_a_country_override", account_sid=ACCOUNT)
    sid = count["messaging_service_sid"]
    await poison(settings, at.topics.opt_out_counts, count, sid.encode())
    tables = [f"{settings.topic_prefix}rates-{name}-changelog" for name in ("hours", "minutes")]
    for topic in tables:
        await poison(settings, topic, {"key": "none"}, b"[1,2]", compacted=True)
    async with started(OPTOUT, **mine) as worker, httpx.AsyncClient() as web:
        await worker.says("http://localhost:")
        [base] = re.findall(r"http://localhost:\d+", worker.said)
        await at.write(at.topics.opt_out_counts, {**count, "count": 1_000, "to": sid})

        async def is_folded() -> bool:
            try:
                answer = (await web.get(f"{base}/opt-out-rates")).json()
            except httpx.HTTPError:
                return False
            sums = [counted(answer, size)[sid, "STOP"] for size in ("hours", "minutes")]
            return min(sums) >= 1_000

        await until(is_folded, "count behind the others")
        samples = samples_of((await web.get(f"{base}/metrics")).text)
        assert value(samples, "optout_follower_refused_total", follower="rates") > 0
        assert await worker.ends(signal.SIGTERM) == 0
    assert SECRET not in worker.said


async def test_commands_go_on_past_them_too(settings: Settings, optout: Command) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    async with running(settings):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    [stored] = await at.values(at.topics.messaging_services)
    await poison(
        settings, at.topics.messaging_services, stored, b"MGclinic", compacted=True, partitions=1
    )
    audited = await optout("audit")
    assert "Traceback" not in audited.output
    shown = await optout("services", "show", "MGclinic")
    assert "Clinic reminders" in shown.stdout
    [change] = await at.values(at.topics.block_changes)
    await poison(settings, at.topics.block_changes, {"recipient": SECRET}, KEY)
    past = await optout("blocks", "history", RECIPIENT, "--json")
    assert [orjson.loads(line) for line in past.stdout.splitlines()] == [change]
    assert "skipped: not JSON" in past.stderr
    assert SECRET not in past.output


# Failures that still end a process


async def test_an_api_that_lost_what_it_stands_on_ends_and_says_so(
    settings: Settings, written: list[str]
) -> None:
    api = create_api(settings)
    backend: Backend = api.state.backend

    async def dies() -> None:
        raise RuntimeError("a defect")

    backend._works = lambda: [dies()]  # type: ignore[method-assign]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        web = web_config(api, settings, host=settings.api_host, port=0, metrics=backend.metrics)
        server = Server(web, backend)
        await asyncio.wait_for(server.serve([listening]), DEADLINE_S)
    assert backend.exit_code == 1
    assert any("api.broken" in line for line in written)


async def test_an_api_that_does_not_fit_its_topics_ends_as_a_worker_does(
    settings: Settings,
) -> None:
    mine = environment(settings) | {"OPTOUT_PARTITIONS": "6"}
    async with started((sys.executable, "-m", "processor", "api"), **mine) as api:
        assert await api.ends() == 2
    assert "4 partitions where 6 are expected" in api.said


_DYING = """
import sys
from processor.cli import main
from processor.worker.shared import Shared

async def follow(self, roles):
    raise RuntimeError("a defect")

Shared.follow = follow
sys.argv = ["optout", "worker"]
main()
"""


async def test_a_worker_that_lost_its_configuration_ends_and_says_so(settings: Settings) -> None:
    async with started((sys.executable, "-c", _DYING), **environment(settings)) as worker:
        assert await worker.ends() == 1
    assert "Crashed reason=RuntimeError" in worker.said
