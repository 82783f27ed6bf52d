"""The match stage of one partition, over a list in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from processor.core.events import ReplySend, WebhookDelivery
from processor.core.messages import Scope
from processor.core.services import Service, Webhook
from processor.core.suspected import OwnWords, TierPolicy
from processor.errors import ListLost
from processor.kafka.fetched import FetchedRecord
from processor.metrics import MatchMetrics, Metrics
from processor.stages.hearing import Ear
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.stores.notes import Note
from processor.wire import blocks as wire_blocks
from processor.wire import consent_commands, dead_letters, events
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics
from tests.builders import (
    ENTRY,
    LONG_CODE,
    NOW_MS,
    RECIPIENT,
    SHORT_CODE,
    a_command,
    a_config,
    a_service,
    inbound_record,
)
from tests.ears import ENOUGH, PLEASE, FakeGlance, an_ear, fake_assess
from tests.one_lane import EmptyList, Kept, NothingHandled, Services

TOPICS = Topics.under("")
pytestmark = pytest.mark.usefixtures("readers")
HOOK = Webhook("https://example.com/inbound")


def a_record(offset: int = 7, **fields: Any) -> Any:
    value = json.dumps(inbound_record(**fields)).encode()
    place = TOPICS.inbound_messages, 0, offset
    return FetchedRecord(*place, NOW_MS + offset, 0, RECIPIENT.encode(), value, ())


async def a_stage(
    store: MemoryBlockList,
    services: Iterable[Service] = (),
    counted: list[Any] | None = None,
    metrics: Metrics | None = None,
    notes: Iterable[str] = (),
    ear: Ear | None = None,
) -> MatchInbound:
    """A stage that has taken its partition."""
    fakes: Any = SimpleNamespace(
        services=Services(services),
        block_list=EmptyList(),
        handled=NothingHandled(),
        counts=SimpleNamespace(add=[].append if counted is None else counted.append),
    )
    needs = MatchDependencies(
        partitions=1,
        topics=TOPICS,
        scope=Scope.ACCOUNT,
        store=store,
        block_list=fakes.block_list,
        services=fakes.services,
        cloud_events=CloudEvents("urn:test"),
        counts=fakes.counts,
        metrics=MatchMetrics(metrics or Metrics()),
        traces=Traces(),
        handled=fakes.handled,
        ear=ear or Ear(),
    )
    stage = MatchInbound(0, needs)
    await stage.claim()
    await stage.inherit(notes)
    await stage.recover({})
    return stage


def a_list() -> MemoryBlockList:
    return MemoryBlockList(lambda: NOW_MS)


async def blocks_in(store: MemoryBlockList) -> list[tuple[str, list[str]]]:
    return [
        (key, [source.kind for block in wire_blocks.unpack(value) for source in block.sources])
        async for key, value in store.entries(0)
    ]


@pytest.mark.parametrize("blocked_before", [False, True])
async def test_our_defect_on_a_stop_that_is_no_keyword_blocks_unanswered_and_stops_no_lane(
    monkeypatch: pytest.MonkeyPatch, blocked_before: bool
) -> None:
    """R3: a short code without a configuration has no keywords; its application gets a webhook."""

    def raising(event: WebhookDelivery) -> bytes:
        raise KeyError("a defect that nobody has found yet")

    store = a_list()
    services = [a_service(LONG_CODE, SHORT_CODE, active=None, webhook=HOOK)]
    stage, out = await a_stage(store, services), Kept()
    if blocked_before:
        await stage.process([a_record(6, body="stop", message_sid="M0")], Kept())
    monkeypatch.setattr(events, "write_delivery", raising)
    await stage.process([a_record(7, body="Stop!", to=SHORT_CODE)], out)
    [letter] = out.of(TOPICS.dead_letters)
    reason = dead_letters.said(letter.headers, "exception.message")
    assert reason == "unexpected KeyError while it was decided on: please report it"
    assert out.of(TOPICS.reply_sends) == []
    assert len(out.of(TOPICS.block_list)) == 1
    assert (out.counts["faults"], out.counts["unread_stops"]) == (1, 1)
    before = ["keyword"] if blocked_before else []
    assert await blocks_in(store) == [(ENTRY, [*before, "unread-stop"])]


async def test_a_batch_notes_the_mark_it_wrote_and_counts_once_it_is_committed() -> None:
    counted: list[Any] = []
    stage, out = await a_stage(a_list(), counted=counted), Kept()
    earlier = await stage.process([a_record(6, body="good morning")], out)
    batch = await stage.process([a_record(7, body="stop")], out)
    assert await batch.still_holds()
    [entry] = out.of(TOPICS.block_list)
    mark = dict(entry.headers)[wire_blocks.MARK_HEADER] or b""
    assert str(Note.parse(batch.note).mark) == mark.decode()
    assert Note.parse(batch.note) > Note.parse(earlier.note)
    assert counted == []
    await batch.committed()
    assert [[(key.kind, key.keyword, count) for key, count in one.items()] for one in counted] == [
        [("STOP", "stop", 1)]
    ]


@pytest.mark.parametrize("is_command", [False, True])
async def test_a_command_that_is_committed_is_in_force_for_good_at_once(is_command: bool) -> None:
    store = a_list()
    stage = await a_stage(store)
    record = a_record(7, body="stop")
    if is_command:
        command = consent_commands.checked(a_command())
        record = record._replace(topic=TOPICS.consent_commands, value=command)
    batch = await stage.process([record], Kept())
    written = (await store.read(0, [])).meta
    assert written.committed < written.mark
    await batch.committed()
    assert ((await store.read(0, [])).meta.committed == written.mark) is is_command
    await stage.idle()
    assert (await store.read(0, [])).meta.committed == written.mark


async def test_a_batch_fails_where_redis_no_longer_holds_what_it_wrote() -> None:
    store = a_list()
    stage = await a_stage(store)
    nothing = await stage.process([a_record(6, body="good morning")], Kept())
    batch = await stage.process([a_record(7, body="stop")], Kept())
    store.flush()
    with pytest.raises(ListLost):
        await batch.still_holds()
    assert await nothing.still_holds()  # it wrote nothing that could be lost


async def test_a_stop_that_our_code_cannot_answer_blocks_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R18: the message at fault is put aside, and its recipient is still blocked."""
    write = events.write_reply

    def raising(event: ReplySend) -> bytes:
        if event.message.message_sid == "M1":
            raise ZeroDivisionError
        return write(event)

    monkeypatch.setattr(events, "write_reply", raising)
    store = a_list()
    stage, out = await a_stage(store), Kept()
    stop = a_record(7, body="stop", message_sid="M1")
    await stage.process([stop, a_record(8, body="help", message_sid="M2")], out)
    assert await blocks_in(store) == [(ENTRY, ["unread-stop"])]
    assert len(out.of(TOPICS.dead_letters)) == 1
    notified = [json.loads(one.value or b"") for one in out.of(TOPICS.opt_out_notifications)]
    assert [one["message_sid"] for one in notified] == ["M2"]


def answers(out: Kept) -> list[tuple[str, bool]]:
    """Of each notification, who answered and whether a brake kept the answer back."""
    told = [json.loads(one.value or b"") for one in out.of(TOPICS.opt_out_notifications)]
    return [(one["reply_sent"], one["braked"]) for one in told]


def helps(*numbers: int) -> list[Any]:
    return [a_record(number, body="help", message_sid=f"M{number}") for number in numbers]


async def test_r37_a_later_batch_counts_the_replies_of_those_before() -> None:
    metrics, out = Metrics(), Kept()
    stage = await a_stage(a_list(), metrics=metrics)
    await stage.process(helps(1, 2, 3), Kept())
    batch = await stage.process(helps(4, 5), out)
    assert answers(out) == [("default", False), ("none", True)]
    assert [json.loads(one.value or b"")["in_reply_to"] for one in out.of(TOPICS.reply_sends)] == [
        "M4"
    ]
    await batch.committed()
    braked = metrics.registry.get_sample_value("optout_braked_replies_total", {"kind": "HELP"})
    assert braked == 1


async def test_r37_replies_of_a_batch_that_was_not_committed_do_not_count() -> None:
    store, out = a_list(), Kept()
    stage = await a_stage(store)
    committed = await stage.process(helps(1, 2), Kept())
    await stage.process(helps(3, 4, 5), Kept())
    later = await a_stage(store, notes=[committed.note])
    await later.process(helps(3, 4, 5), out)
    assert answers(out) == [*[("default", False)] * 2, ("none", True)]


# Opt-outs in other words (R30)


async def test_r30_a_phrase_of_an_american_blocks_and_is_answered_as_a_stop() -> None:
    metrics = Metrics()
    store, out = a_list(), Kept()
    stage = await a_stage(store, [a_service()], metrics=metrics, ear=an_ear())
    batch = await stage.process([a_record(body="Stop please")], out)
    await batch.committed()
    assert await blocks_in(store) == [(ENTRY, ["own-words"])]
    [notification] = values_of(out, TOPICS.opt_out_notifications)
    suspected = {
        "tier": "phrase",
        "score": 1.0,
        "reasons": ["keyword:stop", "courtesy"],
        "policy": "block",
    }
    assert (notification["kind"], notification["match"]) == ("STOP", "tolerant")
    assert notification["suspected"] == suspected
    [text] = values_of(out, TOPICS.suspected_opt_outs)
    assert (text["suspected"], text["due_at"], text["body"]) == (suspected, None, "Stop please")
    assert len(out.of(TOPICS.reply_sends)) == len(out.of(TOPICS.block_changes)) == 1
    assert counted_in(metrics, tier="phrase", policy="block") == 1


async def test_r30_what_is_suspected_is_reported_once_and_changes_nothing() -> None:
    metrics = Metrics()
    store, out = a_list(), Kept()
    services = [a_service(webhook=HOOK)]
    stage = await a_stage(store, services, metrics=metrics, ear=an_ear())
    batch = await stage.process([a_record(7, body=ENOUGH), a_record(8, body=ENOUGH)], out)
    await batch.committed()
    assert await blocks_in(store) == []
    assert {one.topic for one in out.put_out} == {
        TOPICS.suspected_opt_outs,
        TOPICS.webhook_deliveries,
    }
    [text] = values_of(out, TOPICS.suspected_opt_outs)
    assert (text["suspected"]["policy"], text["overdue"]) == ("report", "block")
    assert text["due_at"] == "2026-11-17T12:00:00.007Z"
    [delivery] = values_of(out, TOPICS.webhook_deliveries)
    assert json.loads(delivery["parameters"]["SuspectedOptOut"]) == text["suspected"]
    assert "OptOutType" not in delivery["parameters"]
    assert counted_in(metrics, tier="suspected", policy="report") == 1
    again = Kept()
    await stage.process([a_record(9, body=ENOUGH)], again)
    assert again.put_out == []


@pytest.mark.parametrize(
    ("words", "topics"),
    [
        (OwnWords(phrases=TierPolicy.OFF), set()),
        (OwnWords(phrases=TierPolicy.REPORT), {TOPICS.suspected_opt_outs}),
    ],
)
async def test_r30_a_service_decides_what_a_phrase_does(words: OwnWords, topics: set[str]) -> None:
    out = Kept()
    service = a_service(active=a_config(own_words=words))
    stage = await a_stage(a_list(), [service], ear=an_ear())
    await stage.process([a_record(body=PLEASE)], out)
    assert {one.topic for one in out.put_out} == topics


@pytest.mark.parametrize(("country", "blocks"), [("US", 1), ("CA", 1), ("DE", 0)])
async def test_r3_r30_default_handling_goes_by_the_recipients_country(
    country: str, blocks: int
) -> None:
    out = Kept()
    stage = await a_stage(a_list(), ear=an_ear())
    await stage.process([a_record(body=PLEASE, from_country=country)], out)
    assert len(out.of(TOPICS.block_changes)) == blocks
    assert len(out.of(TOPICS.suspected_opt_outs)) == 1


async def test_r15_r30_without_a_reported_country_the_number_says_it() -> None:
    out = Kept()
    stage = await a_stage(a_list(), ear=an_ear())
    german, key = "+4915112345678", b"+4915112345678"
    fields: dict[str, Any] = {"body": PLEASE, "from_country": None, "from": german}
    await stage.process([a_record(**fields)._replace(key=key)], out)
    [text] = values_of(out, TOPICS.suspected_opt_outs)
    assert (text["country"], text["suspected"]["policy"]) == ("DE", "report")


async def test_r3_r30_what_has_no_default_handling_is_left_to_its_application() -> None:
    out = Kept()
    stage = await a_stage(a_list(), ear=an_ear())
    await stage.process([a_record(body=PLEASE, to=SHORT_CODE)], out)
    assert out.put_out == []


async def test_a_glance_is_made_again_only_when_the_keywords_change() -> None:
    made: list[FakeGlance] = []

    def glance(keywords: Iterable[str]) -> FakeGlance:
        made.append(FakeGlance(keywords))
        return made[-1]

    services = Services()
    ear = Ear(glance, fake_assess)
    for _ in range(2):
        assert ear.glance(services.directory).at(["hello", PLEASE]) == [1]
    assert len(made) == 2  # the first knows no keyword
    service = a_service()
    services.directory.change({service.sid: service})
    ear.glance(services.directory)
    assert "baja" in made[-1].keywords
    assert len(made) == 3


def values_of(out: Kept, topic: str) -> list[Any]:
    return [json.loads(one.value or b"") for one in out.of(topic)]


def counted_in(metrics: Metrics, **labels: str) -> float:
    found = metrics.registry.get_sample_value("optout_suspected_total", labels)
    assert found is not None
    return found
