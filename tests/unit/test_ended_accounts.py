"""The effects of suspending or closing an account, and all that goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from processor.configuration.edits import edit_of_account
from processor.core.blocks import Mark
from processor.core.messages import entry_key
from processor.core.services import Directory
from processor.errors import ConfigError, EditRefused
from processor.kafka.topics.ending import closed, with_status
from processor.kafka.writing import Outgoing
from processor.metrics import GateMetrics, Metrics
from processor.stages.accounts import AllActive
from processor.stages.deliver_webhooks import DeliverWebhooks, Delivery
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.sends import Sends
from processor.stages.tracing import Traces
from processor.stores.memory import MemoryBlockList
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.client import Client, Limits
from processor.webhooks.endpoint import Endpoints, Rules
from processor.webhooks.retries import RetryRules
from processor.wire import message_statuses, outbound_messages
from processor.wire.cloud_events import CloudEvents
from processor.wire.headers import source_of
from processor.wire.screening import Origin
from processor.wire.topics import Topics
from schemas import MODELS
from tests.builders import (
    ACCOUNT,
    ENTRY,
    OTHER_ACCOUNT,
    RECIPIENT,
    SERVICE,
    a_block,
    outbound_record,
)
from tests.deliveries import a_delivery, a_record
from tests.stored import a_stored_service, an_account, created, stored
from tests.tokens import NoTokens

TOPICS = Topics.under("")
AT = datetime(2026, 11, 2, 12, tzinfo=UTC)

Status = Literal["active", "suspended", "closed"]


class _Ended(AllActive):
    def __init__(self, **ended: Status) -> None:
        self.ended = ended


class _Out:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.records: list[Outgoing] = []

    def clear(self) -> None:
        self.records.clear()

    def put(self, topic: str, key: Any, value: Any, headers: Any = ()) -> None:
        self.records.append(Outgoing(topic, key, value, headers))

    def copy(self, topic: str, records: Any, headers: Any) -> None:
        for record in records:
            self.put(topic, record.key, record.value, [*headers, source_of(record)])


def a_gate(metrics: Metrics, **ended: Status) -> GateOutbound:
    services: Any = SimpleNamespace(directory=Directory(), view=None, view_at=lambda position: None)
    block_list: Any = None
    counts: Any = SimpleNamespace(add=lambda judged: None)
    needs = GateDependencies(
        partitions=1,
        topics=TOPICS,
        store=MemoryBlockList(lambda: 0),
        block_list=block_list,
        services=services,
        accounts=_Ended(**ended),
        cloud_events=CloudEvents("urn:test"),
        counts=counts,
        metrics=GateMetrics(metrics),
        traces=Traces(),
    )
    return GateOutbound(0, needs)


def judged(gate: GateOutbound, *sends: dict[str, Any], blocks: Any = ()) -> list[Outgoing]:
    values = [json.dumps(send).encode() for send in sends]
    records = [a_record(TOPICS.outbound_messages, value) for value in values]
    keys = [entry_key(send["account_sid"], RECIPIENT) for send in sends]
    origins = [origin_of(send) for send in sends]
    looked = Sends(records, keys, origins, [blocks] * len(records))
    out: Any = _Out()
    asyncio.run(gate._put_out(looked, Mark(1, 1), {}, out).committed())
    found: list[Outgoing] = out.records
    return found


def origin_of(send: dict[str, Any]) -> Origin:
    return send["account_sid"], send["messaging_service_sid"], send["from"]


def verdicts(metrics: Metrics) -> dict[str, float]:
    text = metrics.text().decode()
    lines = [line for line in text.splitlines() if line.startswith("optout_verdicts_total{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


@pytest.mark.parametrize("status", ["suspended", "closed"])
@pytest.mark.parametrize("blocks", [(), (a_block(),)], ids=["not blocked", "blocked"])
def test_the_gate_fails_an_ended_accounts_sends_with_30002_and_lets_others_pass(
    status: Status, blocks: Any
) -> None:
    metrics = Metrics()
    gate = a_gate(metrics, **{ACCOUNT: status})
    sends = [outbound_record(), outbound_record(account_sid=OTHER_ACCOUNT)]
    mine, theirs = judged(gate, *sends, blocks=blocks)
    assert mine.topic == TOPICS.message_statuses
    assert mine.value is not None
    MODELS["message-statuses.v1"].model_validate_json(mine.value)
    told = json.loads(mine.value)
    assert (told["status"], told["error_code"], told["error_message"], told["block"]) == (
        *("failed", 30002, "Account suspended"),
        None,
    )
    assert dict(mine.headers)["mark"] == b"1-1"
    assert theirs.topic == (TOPICS.message_statuses if blocks else TOPICS.allowed_sends)
    assert verdicts(metrics) == {
        "suspended": 1,
        "allowed": 0 if blocks else 1,
        "refused": 1 if blocks else 0,
    }


def test_a_verdict_changes_with_the_account_as_it_does_with_a_block() -> None:
    gate = a_gate(Metrics())
    record = a_record(TOPICS.outbound_messages, json.dumps(outbound_record()).encode())
    looked = Sends([record], [ENTRY], [origin_of(outbound_record())], [()])
    before = gate._verdicts(looked)
    gate._needs.accounts.ended[ACCOUNT] = "suspended"  # type: ignore[index]
    assert gate._verdicts(looked) != before == {}


async def test_a_gate_that_starts_waits_until_it_knows_who_is_suspended() -> None:
    gate, known = a_gate(Metrics()), asyncio.Event()

    async def loaded() -> None:
        return None

    gate._needs.services.wait_loaded = loaded
    gate._needs.accounts.wait_loaded = known.wait  # type: ignore[method-assign, assignment]
    claiming = asyncio.create_task(gate.claim())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (claiming.done(), gate.waits_for) == (False, "the configuration is being read")
    known.set()
    await claiming


def a_stage(**ended: Status) -> DeliverWebhooks:
    counts: Counter[str] = Counter()
    services: Any = SimpleNamespace(directory=Directory())
    return DeliverWebhooks(
        topics=TOPICS,
        services=services,
        tokens=NoTokens(),
        accounts=_Ended(**ended),
        client=Client((), Limits(1, 1)),
        endpoints=Endpoints(Rules(1, 1, 2, CircuitRules(10, 1)), counts),
        rules=RetryRules(3, 1, 27),
        counts=counts,
        request_seconds=Metrics().webhook_request_seconds,
        clock=lambda: AT,
    )


async def what_follows(status: Status, attempt: int, url: str = "https://example.com/") -> Outgoing:
    value = a_delivery(url=url, attempt=attempt)
    work = a_stage(**{ACCOUNT: status}).work_of(a_record(TOPICS.webhook_deliveries, value))
    assert isinstance(work, Delivery)
    [found] = await work.do()
    assert not work.begun  # no request was made
    return found


async def test_a_suspended_accounts_webhooks_wait_until_their_usual_end() -> None:
    for url in ("https://example.com/", "https://example.com/#rp=5xx"):
        again = await what_follows("suspended", 1, url)
        assert again.topic in TOPICS.webhook_retries
        assert json.loads(again.value or b"")["attempt"] == 2
    last = await what_follows("suspended", 3)
    assert last.topic == TOPICS.dead_letters
    assert b"30002: the account is suspended; attempt 3" in dict(last.headers).values()


async def test_a_closed_accounts_webhooks_are_put_aside_at_once() -> None:
    letter = await what_follows("closed", 1)
    assert letter.topic == TOPICS.dead_letters
    assert b"30002: the account is closed; attempt 1" in dict(letter.headers).values()


def test_an_account_is_suspended_resumed_and_closed_for_good() -> None:
    account = an_account(keys=2)
    suspended = with_status(account, "suspended")
    assert (suspended.state, with_status(suspended, "suspended")) == ("suspended", suspended)
    resumed = with_status(suspended, "active")
    assert (resumed.state, resumed.token_hash) == ("active", account.token_hash)
    ended = closed(suspended, "scrypt$1$1$1$a$b")
    assert (ended.state, ended.api_keys, ended.sealed_token) == ("closed", [], "")
    assert ended.token_hash != account.token_hash
    assert closed(ended, "scrypt$1$1$1$c$d") == ended
    statuses: list[Literal["active", "suspended"]] = ["active", "suspended"]
    for status in statuses:
        with pytest.raises(ConfigError, match="closed for good"):
            with_status(ended, status)


def test_followers_know_who_has_ended_and_what_they_were_sealed_with_no_more() -> None:
    account = an_account(keys=1)
    accounts = stored(edit_of_account(None, account)).accounts
    assert accounts.ended == {}
    ended = accounts.ended  # altered in place: the gate keeps it
    for changed, status in (
        (with_status(account, "suspended"), "suspended"),
        (closed(account, account.token_hash), "closed"),
    ):
        accounts._take({ACCOUNT: changed})
        assert ended == {ACCOUNT: status}
    assert accounts.of_key("SK" + "0" * 32) is None
    assert accounts.token_of(ACCOUNT) is None
    accounts._take({ACCOUNT: account})
    assert ended == {}


def test_nothing_is_added_to_a_closed_account() -> None:
    ended = closed(an_account(), "scrypt$1$1$1$a$b")
    made = stored(*created(a_stored_service()), edit_of_account(None, ended))
    with pytest.raises(EditRefused, match="closed"):
        made.holdings.check(created(a_stored_service(SERVICE)))


def test_what_is_said_of_an_accounts_change_is_its_new_status() -> None:
    account = an_account()
    suspended = with_status(account, "suspended")
    assert edit_of_account(None, account).status_after == "active"
    assert edit_of_account(account, suspended).status_after == "suspended"
    assert edit_of_account(suspended, suspended).status_after is None


def test_a_status_of_an_ended_account_names_no_block() -> None:
    send = outbound_messages.read(json.dumps(outbound_record(to=RECIPIENT)).encode())
    assert json.loads(message_statuses.write_suspended(send, 0))["block"] is None
