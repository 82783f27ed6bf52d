"""Every role with exactly the rights that `deploy/acls.toml` gives: each needed, none missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from click.testing import CliRunner, Result
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from deploy import redis_users
from deploy.local import stack
from processor import clocks, reviews
from processor.cli import main
from processor.config import Settings
from processor.core.messages import Arrival
from processor.core.partitions import partition_of
from processor.errors import StoreUnavailable
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import BY_PRODUCER
from processor.kafka.writing import Outgoing
from processor.stores.redis_block_list import block_list_store
from processor.stores.redis_client import redis_client
from processor.wire import dead_letters
from processor.wire.events import write_suspected
from processor.wire.record_index import Extent
from processor.wire.suspected import text_entry
from processor.worker import roles
from tests.api import Api, blocking, carrier_says, create_accounts, serving, with_secrets
from tests.application import OneToken, a_service, allowing, application, status, twiml
from tests.asked import Given, assert_each_right_was_needed, commands_given
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    OPERATOR_TOKEN,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
    a_report,
    an_inbound,
    command_record,
)
from tests.carrier_serving import serving as serving_carriers
from tests.carrier_serving import store, with_carriers
from tests.carriers import (
    a_document,
    a_request,
    twilio_text,
    whatsapp_event,
    whatsapp_message,
)
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.contract.redis_topologies import NODES, cluster_of
from tests.ears import ENOUGH, an_ear
from tests.forms import send_form, sign_out, signed_in
from tests.installation import Installation, running, until
from tests.processes import OPTOUT, a_port, started
from tests.secured import (
    REDIS_RULES,
    Right,
    Secured,
    Servers,
    as_environment,
    rights_of,
    servers_with_users,
)

pytestmark = pytest.mark.needs_more


@pytest.fixture(autouse=True)
def ear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "Ear", an_ear)


@pytest.fixture(scope="module")
def with_users(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers_with_users(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture
async def secured(with_users: Servers) -> Secured:
    made = Secured(with_users)
    await topic_admin.create(made.open)
    await forget_scripts(made)  # otherwise a role would not need to load a script
    return made


@pytest.fixture
async def given(secured: Secured) -> AsyncIterator[Given]:
    async with commands_given(secured.open.redis_url, secured.prefix) as given:
        yield given


async def forget_scripts(secured: Secured) -> None:
    """Flush the scripts, as a Redis restart does: the next caller must load its script again."""
    async with Redis.from_url(secured.open.redis_url) as redis:
        await redis.script_flush()


async def put_aside(at: Installation) -> None:
    """Put a record of every topic that has dead letters aside."""
    topics = (
        at.topics.inbound_messages,
        at.topics.outbound_messages,
        at.topics.consent_commands,
        at.topics.webhook_deliveries,
        at.topics.message_statuses,
        at.topics.carrier_retries_1,
    )
    for topic in topics:
        why = dead_letters.headers(
            (), topic=topic, partition=0, offset=0, stage="test", reason="bad"
        )
        await at.write_raw(Outgoing(at.topics.dead_letters, RECIPIENT.encode(), b"bad", why))


_MESSAGES = "/2010-04-01/Accounts/AC0000000000000000000000000000000f/Messages.json"


async def misplace(at: Installation, values: dict[str, dict[str, Any]]) -> None:
    """Write records under a key that is not their recipient's."""
    await at.write_raw(
        *(Outgoing(topic, b"another", orjson.dumps(value)) for topic, value in values.items())
    )


async def test_match_and_gate_work_with_the_rights_listed(
    secured: Secured, given: Given, tmp_path: Path
) -> None:
    at = Installation(secured.open)
    await configure(secured.open, CLINIC | {"inbound_request_url": "https://example.com/in"})
    match = await secured.user(rights_of("match"), redis="match")
    gate = await secured.user(rights_of("gate"), redis="gate")
    written: list[str] = []

    def fail_once(step: str) -> None:
        if step == "written" and not written:
            written.append(step)
            raise StoreUnavailable("after the first write, which is undone")

    match = match.model_copy(update={"roles": ("match",)})
    gate = gate.model_copy(update={"roles": ("gate",)})
    async with running(match, fail_once), running(gate):
        await at.texts(a_text("M1", "stop"), a_text("M3", ENOUGH))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.wait_for(at.topics.suspected_opt_outs, 1)
        await at.sends(a_send("S1"), a_send("S2", to=OTHER_RECIPIENT))
        await at.wait_for(at.topics.message_statuses, 1)
        await at.wait_for(at.topics.allowed_sends, 1)
        # Undo, rebuild and dead letters need more commands and topics.
        async with Redis.from_url(secured.open.redis_url) as redis:
            await redis.flushdb()
        key = RECIPIENT.encode()
        await at.write_raw(Outgoing(at.topics.inbound_messages, key, b"bad"))
        await at.write_raw(Outgoing(at.topics.outbound_messages, key, b"bad"))
        await at.wait_for_letters(2)
        await misplace(
            at,
            {
                at.topics.inbound_messages: a_text("M7", "help"),
                at.topics.consent_commands: command_record(
                    command_id="C7", recipient=OTHER_RECIPIENT, blocked=False
                ),
                at.topics.outbound_messages: a_send("S7", to=OTHER_RECIPIENT),
            },
        )
        await forget_scripts(secured)
        await at.wait_for(at.topics.allowed_sends, 2)
        await at.wait_for(at.topics.opt_out_notifications, 2)
        await at.wait_for_no_lag("match")
        # An entry that cannot be read: the gate asks for a rebuild, the one thing it may write.
        place = partition_of(key, secured.open.partitions)
        async with Redis.from_url(secured.open.redis_url) as redis:
            await redis.hset(f"{secured.prefix}{{{place}}}:entries", ENTRY, "nonsense")
        await forget_scripts(secured)  # match reads nothing now, and so loads no script
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.message_statuses, 2)
        await assert_each_right_was_needed(secured, "gate", gate, given)
    careful = match.model_copy(update={"redis_min_replicas": 1})
    async with a_replica(secured, tmp_path), running(careful):
        await at.texts(a_text("M2", "start"))
        await assert_each_right_was_needed(secured, "match", match, given)


@asynccontextmanager
async def a_replica(secured: Secured, directory: Path) -> AsyncIterator[None]:
    """A Redis that accepts no writes without its replica, and for now has a replica."""
    host, _, port = secured.servers.redis.partition(":")
    with stack.valkey(directory) as server:
        async with Redis(port=server.port) as replica, Redis(port=int(port)) as master:
            await replica.replicaof(host, port)

            async def follows() -> bool:
                return bool((await replica.info("replication"))["master_link_status"] == "up")

            await until(follows, "replica")
            await master.config_set("min-replicas-to-write", 1)
            try:
                yield
            finally:
                await master.config_set("min-replicas-to-write", 0)


async def test_webhooks_work_with_the_rights_listed(secured: Secured, given: Given) -> None:
    at = Installation(secured.open)
    mine = await secured.user(rights_of("webhooks"), redis="webhooks")
    match = secured.open.model_copy(update={"roles": ("match",)})
    async with application() as app:
        await configure(secured.open, a_service(app))
        app.answers["/inbound"] = twiml("<Response><Message>Hello</Message></Response>")
        async with running(match), running(allowing(mine, "webhooks"), tokens=OneToken()):
            await at.texts(a_text("M1", "hello"))
            await at.wait_for(at.topics.outbound_messages, 1)  # the answer
            app.answers["/inbound"] = status(500)
            await at.texts(a_text("M2", "hello"))
            await at.wait_for(at.topics.webhook_retries_1, 1)
            key = RECIPIENT.encode()
            await at.write_raw(Outgoing(at.topics.webhook_deliveries, key, b"bad"))
            await at.wait_for_letters(1)
            await at.wait_for(at.topics.webhooks_made, 1)
            await assert_each_right_was_needed(secured, "webhooks", mine, given)


async def test_carriers_work_with_the_rights_listed(secured: Secured, given: Given) -> None:
    at = Installation(secured.open)
    mine = await secured.user(rights_of("carriers"), redis="carriers")
    sending = {"carrier_first_delay_s": 0.2, "carrier_longest_delay_s": 0.5}
    worker = with_carriers(mine, roles=("carriers",), **sending)
    others = secured.open.model_copy(update={"roles": ("match", "gate")})
    async with application() as app, serving_carriers(with_carriers(mine)) as edge:
        app.answers |= dict.fromkeys([_MESSAGES], status(503))
        await store(
            with_carriers(secured.open),
            a_document("twilio", api_url=app.url("")),
            a_document("whatsapp"),
        )
        async with running(others), running(worker):
            await edge.knows("twilio-1", "whatsapp-1")
            new = {"type": "user_changed_number", "wa_id": "15557650001", "user_id": "US.2"}
            changed = whatsapp_event([whatsapp_message("system", new)])
            await edge.ask(a_request("whatsapp", changed))
            # A record in the list's topic: it is read only where there is one.
            await at.texts(a_text("M1", "stop", account_sid="ACother"))
            await at.wait_for(at.topics.reply_sends, 1)
            await edge.ask(a_request("twilio", twilio_text("halt?")))
            await at.wait_for(at.topics.inbound_messages, 2)
            await at.sends(a_send("S1"))
            await at.wait_for(at.topics.carrier_retries_1, 1)
            await forget_scripts(secured)  # the next try loads it
            app.answers.clear()
            await at.wait_for(at.topics.message_statuses, 1)
            await at.write_raw(Outgoing(at.topics.reply_sends, RECIPIENT.encode(), b"bad"))
            await at.wait_for_letters(1)
            await assert_each_right_was_needed(secured, "carriers", mine, given)


async def test_rates_work_with_the_rights_listed(secured: Secured, given: Given) -> None:
    at, port = Installation(secured.open), a_port()
    mine = await secured.user(rights_of("rates"), redis="rates")
    wanted = as_environment(mine) | {"OPTOUT_ROLES": "rates", "OPTOUT_WEB_PORT": str(port)}
    async with running(secured.open), started(OPTOUT, **wanted) as worker:
        await at.texts(a_text("M1", "stop"))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:

            async def counted() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return bool((await web.get("/opt-out-rates")).json()["hours"])
                return False

            await until(counted, f"rates: {worker.said}")
        await assert_each_right_was_needed(secured, "rates", mine, given)
        assert "Traceback" not in worker.said


async def test_the_audit_works_with_the_rights_listed(
    secured: Secured, given: Given, tmp_path: Path
) -> None:
    at = Installation(secured.open)
    await configure(secured.open, CLINIC)
    async with running(secured.open):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
        await at.wait_for_no_lag("match", "gate")
    topics = at.topics
    for topic in (  # an empty topic is not read
        *(topics.consent_commands, topics.suspected_opt_outs, topics.dead_letters),
        topics.allowed_sends,
        *(topics.webhook_deliveries, topics.webhook_retries_1, topics.webhooks_made),
    ):
        await at.write_raw(Outgoing(topic, RECIPIENT.encode(), b"{}"))
    mine = await secured.user(rights_of("audit"), redis="audit")
    changes: dict[str, Any] = {"roles": ("audit",), "audit_directory": str(tmp_path)}
    changes |= {"audit_delay_s": 0.0, "audit_every_s": 1.0, "audit_processes": 1}
    async with running(mine.model_copy(update=changes)) as runtime:

        async def audited() -> bool:
            registry = runtime.shared.metrics.registry
            return bool(registry.get_sample_value("optout_audited_until_seconds"))

        await until(audited, "audit")
        assert runtime.unready() == []
        await assert_each_right_was_needed(secured, "audit", mine, given)


async def test_the_api_works_with_the_rights_listed(secured: Secured, given: Given) -> None:
    at, open_to_all = Installation(secured.open), with_secrets(secured.open)
    await create_accounts(open_to_all, ACCOUNT)
    mine = with_secrets(await secured.user(rights_of("api"), redis="api"), account_messages=2)
    async with running(secured.open):
        # The block list is read from its topic only if the topic has records.
        await at.texts(a_text("M1", "stop"), a_text("M2", "start"), a_text("M3", ENOUGH))
        await at.wait_for(at.topics.reply_sends, 2)
    async with running(secured.open), serving(mine) as api:
        client = api.twilio()
        await blocking(client.incoming_phone_numbers.create, phone_number=LONG_CODE)
        await blocking(client.messaging.v1.services.create, friendly_name="Clinic")
        made = await blocking(client.messages.create, to=RECIPIENT, from_=LONG_CODE, body="Hello")
        async with Redis.from_url(secured.open.redis_url) as redis:  # an expired message
            await redis.zadd(f"{secured.prefix}messages:{ACCOUNT}", {"SMold": 0})
        await blocking(client.messages.create, to=RECIPIENT, from_=LONG_CODE, body="Again")
        first, second = await at.wait_for(at.topics.allowed_sends, 2)
        await carrier_says(at, first, "sent")
        await carrier_says(at, second, "sent")

        async def sent() -> bool:
            return bool((await blocking(client.messages(made.sid).fetch)).status == "sent")

        await until(sent, "message that was sent")
        asked = {"recipient": RECIPIENT, "reason": "asked"}
        blocked = await api.ask("POST", "/v1/OptOuts/Block", json=asked)
        assert blocked.status_code == 200, blocked.text
        assert len(await blocking(client.messages.list, to=RECIPIENT, page_size=1)) == 2
        await blocking(client.messages(made.sid).update, body="")
        assert await blocking(client.messages(made.sid).delete)
        for body in ("one more", "one too many"):
            to = OTHER_RECIPIENT
            await blocking(client.messages.create, to=to, from_=LONG_CODE, body=body)
        history, export = f"OptOuts/Blocks/{RECIPIENT}/History", "OptOuts/Export?Format=csv"
        for path in (history, export, "ConfigurationChanges"):
            assert (await api.ask("GET", f"/v1/{path}")).status_code == 200
        await review(api)
        await forget_scripts(secured)
        checked = await api.ask("POST", "/v1/OptOuts/Check", json={"recipients": [RECIPIENT]})
        assert checked.status_code == 200, checked.text
        await put_aside(at)
        async with signed_in(api.base, "operator", OPERATOR_TOKEN) as console:
            for path in ("live", "charts", "overview"):
                assert (await console.get(f"/console/{path}")).status_code == 200
            confirming = (await console.get("/console/dead-letters/redrive")).text
            sent_back = await send_form(console, "/console/dead-letters/redrive")
            assert sent_back.headers["location"].endswith("?said=redriven"), sent_back.headers
            await at.wait_for_letters(8)  # the two letters that went back are as bad as before
            left = (await console.get("/console/dead-letters")).text
            await send_form(console, f"/console/accounts/{ACCOUNT}/suspend")
            await sign_out(console)
        assert (await api.ask("GET", "/v1/Services")).status_code == 401
        # The console only sends back to topics that the API writes anyway; others need a command.
        for topic in (at.topics.outbound_messages, at.topics.consent_commands):
            assert f"<li>1 to {topic}</li>" in confirming
        for topic in (at.topics.inbound_messages, at.topics.webhook_deliveries):
            assert f"<code>optout dead-letters redrive --topic {topic}</code>" in confirming
        assert "8 in all, 6 not sent back" in left
        await assert_each_right_was_needed(secured, "api", mine, given)


async def review(api: Api) -> None:
    """Find the text to review, dismiss it and bring it back."""
    path = "/v1/OptOuts/Suspected"

    async def found() -> bool:
        return bool((await api.ask("GET", path)).json()["suspected"])

    await until(found, "text to review")
    [text] = (await api.ask("GET", path)).json()["suspected"]
    for act in ("Dismiss", "Undo"):
        answer = await api.ask("POST", f"{path}/{text['text_id']}/{act}")
        assert answer.status_code == 200, answer.text
    assert (await api.ask("GET", f"{path}?state=decided")).json()["suspected"] == []


WITHOUT = [
    ("match", Right("topics", "reply-sends.v1", "Write"), "TopicAuthorizationFailedError"),
    ("match", Right("topics", "inbound-messages.v1", "Read"), "TopicAuthorizationFailedError"),
    ("match", Right("topics", "block-list.v2", "Read"), "TopicAuthorizationFailedError"),
    ("match", Right("groups", "match", "Read"), "GroupAuthorizationFailedError"),
    ("match", Right("transactional_ids", "match-*", "Write"), "TransactionalIdAuthorizationFailed"),
    ("gate", Right("topics", "allowed-sends.v1", "Write"), "TopicAuthorizationFailedError"),
    ("webhooks", Right("topics", "webhook-deliveries.v1", "Read"), "TopicAuthorizationFailedError"),
    ("webhooks", Right("groups", "webhooks", "Read"), "GroupAuthorizationFailedError"),
]


@pytest.mark.parametrize(("role", "missing", "why"), WITHOUT, ids=str)
async def test_without_a_right_a_worker_says_so_and_lets_nothing_through(
    secured: Secured, role: Any, missing: Right, why: str
) -> None:
    at = Installation(secured.open)
    rights = [right for right in rights_of(role) if right != missing]
    assert len(rights) == len(rights_of(role)) - 1
    mine = await secured.user(rights)
    async with running(secured.open):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    other = secured.open.model_copy(update={"roles": tuple({"match", "gate"} - {role})})
    async with running(other), running(mine.model_copy(update={"roles": (role,)})) as worker:
        await at.texts(a_text("M2", "start"))
        await at.sends(a_send("S1", to=OTHER_RECIPIENT))

        async def says_so() -> bool:
            return any(why in reason and "acls.toml" in reason for reason in worker.unready())

        await until(says_so, f"{why} in what the worker says")
        topic, count = {
            "match": (at.topics.reply_sends, 1),
            "gate": (at.topics.allowed_sends, 0),
            "webhooks": (at.topics.webhook_retries_1, 0),
        }[role]
        assert len(await at.records(topic)) == count


async def test_a_worker_that_may_not_read_settings_says_so_once_and_works(
    secured: Secured, written: list[str]
) -> None:
    at = Installation(secured.open)
    rights = [right for right in rights_of("match") if right.operation != "DescribeConfigs"]
    assert len(rights) == len(rights_of("match")) - 1
    mine = await secured.user(rights)
    async with running(mine.model_copy(update={"roles": ("match",)})):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
    said = [line for line in written if "topics.differ" in line and "DescribeConfigs" in line]
    assert len(said) == 1
    assert "deploy/acls.toml" in said[0]


async def test_who_may_not_mend_is_told_which_right_is_missing(secured: Secured) -> None:
    at = Installation(secured.open)
    rights = [right for right in rights_of("operator") if right.operation != "AlterConfigs"]
    mine = await secured.user([*rights, Right("topics", "*", "DescribeConfigs")])
    await topic_admin.set_timestamps(secured.open, BY_PRODUCER)
    made = await topic_admin.create(mine)
    assert made.mended == {}
    [refused] = [one for one in made.refused if at.topics.inbound_messages in one]
    assert "message.timestamp.type CreateTime -> LogAppendTime" in refused
    assert "give it AlterConfigs (deploy/acls.toml)" in refused


async def test_without_a_right_the_api_refuses_and_its_log_says_where_the_rights_are(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    await create_accounts(with_secrets(secured.open), ACCOUNT)
    missing = {Right("topics", "consent-commands.v1", "Write"), Right("groups", "api", "Read")}
    rights = [right for right in rights_of("api") if right not in missing]
    assert len(rights) == len(rights_of("api")) - len(missing)
    mine = with_secrets(await secured.user(rights, redis="api"))
    async with running(secured.open), serving(mine) as api:
        asked = {"recipient": RECIPIENT, "reason": "asked"}
        assert (await api.ask("POST", "/v1/OptOuts/Block", json=asked)).status_code == 503

        async def said() -> bool:
            told = {one.message for one in caplog.records if "acls.toml" in str(vars(one))}
            return {"api.cannot", "statuses.unreadable"} <= told

        await until(said, "log line with both rights")


async def test_the_command_line_works_with_the_rights_listed(
    secured: Secured, given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at = Installation(secured.open)
    mine = with_secrets(await secured.user(rights_of("operator"), redis="operator"))
    for name, value in as_environment(mine).items():
        monkeypatch.setenv(name, value)
    services = tmp_path / "services.yaml"
    services.write_bytes(orjson.dumps(CLINIC))

    async def optout(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert result.exit_code == 0, result.output + str(result.exception)
        return result

    await topic_admin.set_timestamps(secured.open, BY_PRODUCER)
    assert f"corrected {at.topics.inbound_messages}" in (await optout("topics", "create")).output
    await optout("topics", "check")
    await optout("services", "apply", str(services))
    await optout("services", "list")
    await optout("accounts", "create", "--sid", ACCOUNT)
    await optout("accounts", "limits", ACCOUNT)
    await optout("numbers", "grant", OTHER_LONG_CODE, "--account-sid", ACCOUNT)
    async with running(secured.open):
        await optout("blocks", "block", RECIPIENT, "--account-sid", "AC1", "--reason", "asked")
        assert RECIPIENT in (await optout("blocks", "list")).output
        await optout("blocks", "history", RECIPIENT)
        await forget_scripts(secured)
        await optout("blocks", "verify")
        await optout("blocks", "rebuild")
    carriers = tmp_path / "carriers.yaml"
    carriers.write_bytes(orjson.dumps(a_document("twilio")))
    await optout("carriers", "apply", str(carriers))
    for role in ("match", "gate", "webhooks", "carriers"):
        await optout("offsets", "show", role)
        await optout("offsets", "set", role, "--to", "latest", "--all", "--yes")
    await put_aside(at)
    inbound = await optout("dead-letters", "redrive", "--topic", at.topics.inbound_messages)
    assert inbound.output == "1 sent back\n"
    assert (await optout("dead-letters", "redrive", "--all")).output == "5 sent back\n"
    client = redis_client(secured.open)
    texts = reviews.texts_of(secured.open, client)
    message = an_inbound(ENOUGH, arrival=Arrival(clocks.now_ms()))
    report = text_entry(write_suspected(a_report(message=message)))
    begun = await texts.begin("0", Extent("", 0), Extent("T", 0))
    await texts.add_texts("0", begun, 1, [report])
    await client.close()
    await forget_scripts(secured)
    for act in ("dismiss", "undo"):
        await optout("suspected", act, report.text_id)
    for _ in range(3):  # a short connection may be gone before its user is known
        assert report.text_id in (await optout("suspected", "list")).output
    await optout("suspected", "overdue")
    await optout("suspected", "list", "--decided")
    await optout("suspected", "export", str(tmp_path / "labels.jsonl"))
    await optout("audit")
    await assert_each_right_was_needed(secured, "operator", mine, given)


async def test_the_topics_job_works_with_the_rights_listed(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Installation(secured.open)
    mine = await secured.user(rights_of("topics"))
    for name, value in as_environment(mine).items():
        monkeypatch.setenv(name, value)
    await topic_admin.set_timestamps(secured.open, BY_PRODUCER)
    made = await asyncio.to_thread(CliRunner().invoke, main, ("topics", "create"))
    assert f"corrected {at.topics.inbound_messages}" in made.output
    checked = await asyncio.to_thread(CliRunner().invoke, main, ("topics", "check"))
    assert checked.exit_code == 0, checked.output
    await assert_each_right_was_needed(secured, "topics", mine)


async def test_only_the_gate_can_allow_a_send(secured: Secured) -> None:
    at = Installation(secured.open)
    await at.write_raw(Outgoing(at.topics.allowed_sends, b"+15557654321", b"{}"))
    for role in (
        "application",
        "carrier",
        "match",
        "operator",
        "webhooks",
        "rates",
        "audit",
        "api",
        "topics",
    ):
        await assert_may_not_write(await secured.user(rights_of(role)), at.topics.allowed_sends)


async def test_who_takes_the_api_over_cannot_text_for_anybody(secured: Secured) -> None:
    at, mine = Installation(secured.open), await secured.user(rights_of("api"))
    for topic in (
        at.topics.inbound_messages,  # a START for a recipient who opted out
        at.topics.message_statuses,
        at.topics.webhook_deliveries,  # requests that are signed with any account's token
        at.topics.block_list,
        at.topics.block_changes,
    ):
        await at.write_raw(Outgoing(topic, b"+15557654321", b"{}"))
        await assert_may_not_write(mine, topic)


async def assert_may_not_write(mine: Settings, topic: str) -> None:
    producer = AIOKafkaProducer(**mine.kafka())
    await producer.start()
    with pytest.raises(TopicAuthorizationFailedError):
        await producer.send_and_wait(topic, b"{}", key=b"+15557654321")
    await producer.stop()


ENTRIES, META, ASKED = "{0}:entries", "{0}:meta", "{0}:asked"
_READ_BY_SCRIPT = "return redis.call('HGET', KEYS[1], 'x')"
_WRITE_BY_SCRIPT = "return redis.call('HSET', KEYS[1], 'x', 'y')"
_WRITE_UNDECLARED = "return redis.call('HSET', ARGV[1], 'x', 'y')"
BEYOND = [
    *[
        (role, command)
        for role in ("gate", "webhooks", "carriers", "rates", "audit", "api", "operator")
        for command in [
            ("HSET", ENTRIES, "x", "y"),
            ("HDEL", ENTRIES, "x"),
            ("DEL", ENTRIES),
            ("UNLINK", META),
            ("HSET", META, "epoch", "9"),
            ("SET", "{0}:undo", ""),
            ("EVAL", _WRITE_BY_SCRIPT, "1", ENTRIES),
            ("EVAL", _WRITE_BY_SCRIPT, "1", META),
            ("PEXPIRE", ENTRIES, "1"),
            ("RENAME", "{0}:rebuilt", ENTRIES),
        ]
    ],
    ("gate", ("HDEL", META, "ready")),
    ("api", ("HDEL", META, "ready")),
    ("api", ("SET", ASKED, "")),
    ("api", ("EVAL", _WRITE_UNDECLARED, "1", "message:SM1", "{prefix}" + ENTRIES)),
    *[
        (role, command)
        for role in ("match", "gate", "webhooks", "carriers", "rates", "audit", "operator")
        for command in [
            ("HGETALL", "message:SM1"),
            ("HSET", "message:SM1", "x", "y"),
            ("EVAL", _READ_BY_SCRIPT, "1", "message:SM1"),
            ("ZREVRANGE", "messages:AC1", "0", "-1"),
            ("DEL", "messages:AC1"),
        ]
    ],
    *[("webhooks", command) for command in [("HMGET", ENTRIES, "x"), ("GET", ASKED)]],
    *[
        (role, command)
        for role in ("match", "gate", "webhooks", "carriers", "rates", "audit", "api", "operator")
        for command in [
            ("FLUSHDB",),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("CONFIG", "GET", "requirepass"),
            ("ACL", "LIST"),
            ("MONITOR",),
            ("SCRIPT", "FLUSH"),
        ]
    ],
]


@pytest.mark.parametrize("role", REDIS_RULES)
async def test_redis_refuses_a_role_all_that_is_not_its_own(secured: Secured, role: str) -> None:
    mine = await secured.user([], redis=role)
    is_kept = {ENTRIES, META, ASKED, "{0}:undo", "{0}:rebuilt", "message:SM1", "messages:AC1"}
    allowed = []
    async with Redis.from_url(mine.redis_url) as redis:
        for who, (name, *words) in BEYOND:
            given = [
                secured.prefix + one if one in is_kept else one.replace("{prefix}", secured.prefix)
                for one in words
            ]
            if who == role and not await is_refused(redis, name, *given):
                allowed.append((name, *words))
    assert allowed == []


async def is_refused(redis: Any, *command: str) -> bool:
    try:
        await redis.execute_command(*command)
    except NoPermissionError:
        return True
    except ResponseError as error:  # of a command inside a script
        return "ACL failure in script" in str(error)
    return False


async def test_nobody_reaches_past_the_prefix(secured: Secured) -> None:
    for role in ("match", "gate", "operator", "api"):
        mine = await secured.user([], redis=role)
        own = {"message:SM1"} if role == "api" else {META, ENTRIES}
        async with Redis.from_url(mine.redis_url) as redis:
            for key in own:
                nothing = "EVAL", "return 1", "1"
                assert not await is_refused(redis, *nothing, secured.prefix + key)
                for prefix in ("", "another.", secured.prefix[:-1], secured.prefix + "x"):
                    assert await is_refused(redis, *nothing, prefix + key), (role, prefix + key)


async def test_the_users_are_made_by_the_lines_that_are_printed(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", secured.prefix)
    redis_users.main()
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(REDIS_RULES)
    gate = f"{secured.prefix}gate"
    made = await secured.user([], redis="gate")
    async with Redis.from_url(secured.open.redis_url, decode_responses=True) as redis:
        ask: Any = redis.execute_command
        for line in told:
            await ask(*line.split(" "))
        with pytest.raises(AuthenticationError):
            await Redis(port=redis_port(secured), username=gate, password="").ping()
        await ask("ACL", "SETUSER", gate, ">secret", "~*", "+@all")
        for line in told:  # it keeps its password, and loses all other rights
            await ask(*line.split(" "))
        theirs, ours = [await ask("ACL", "GETUSER", name) for name in (gate, made.kafka_username)]
    assert theirs.pop("passwords") != ours.pop("passwords")
    assert theirs == ours
    async with Redis(port=redis_port(secured), username=gate, password="secret") as mine:
        assert not await is_refused(mine, "HMGET", f"{secured.prefix}{ENTRIES}", "x")
        assert await is_refused(mine, "HSET", f"{secured.prefix}{ENTRIES}", "x", "y")


def redis_port(secured: Secured) -> int:
    return int(secured.servers.redis.rpartition(":")[2])


async def test_a_cluster_takes_the_same_users(tmp_path: Path) -> None:
    settings = Settings(topic_prefix="t.")
    async with cluster_of(tmp_path, NODES) as (url, servers):
        for server in servers:
            async with Redis(port=server.port) as redis:
                for role in ("match", "gate", "api"):
                    given = ["reset", f">{role}", *redis_users.rights(REDIS_RULES[role], "t.")]
                    await redis.execute_command("ACL", "SETUSER", role, *given)  # type: ignore[no-untyped-call]

        def of(role: str) -> Settings:
            mine = url.replace("//", f"//{role}:{role}@")
            return settings.model_copy(update={"redis_url": mine})

        async with AsyncExitStack() as closing:
            stores = {}
            for role in ("match", "gate", "api"):
                client = redis_client(of(role))
                closing.push_async_callback(client.close)
                await client.check()
                stores[role] = block_list_store(of(role), client)
            for partition in range(12):  # on every server
                epoch = (await stores["match"].claim(partition, at_least=0)).epoch
                for role in ("gate", "api"):
                    assert (await stores[role].read(partition, [ENTRY])).meta.epoch == epoch
                    with pytest.raises(StoreUnavailable):
                        await stores[role].claim(partition, at_least=0)


async def test_applications_and_carriers_work_with_the_rights_listed(secured: Secured) -> None:
    at = Installation(secured.open)
    carrier = await secured.user(rights_of("carrier"))
    sender = await secured.user(rights_of("application"))
    service = {"messaging_service_sid": "MGclinic"}
    sends = [a_send("S1", **service), a_send("S2", to=OTHER_RECIPIENT, **service)]
    reads = {
        "carrier": (carrier, [at.topics.reply_sends, at.topics.allowed_sends]),
        "application": (
            sender,
            [at.topics.message_statuses, at.topics.opt_out_notifications],
        ),
    }
    async with running(secured.open):
        await Installation(carrier).write(at.topics.inbound_messages, a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await Installation(sender).write(at.topics.outbound_messages, *sends)
        [allowed] = await at.wait_for(at.topics.allowed_sends, 1)
        await carrier_says(Installation(carrier), allowed, "sent")
        for role, (mine, topics) in reads.items():
            for topic in topics:
                consumer = AIOKafkaConsumer(
                    topic, group_id=f"{role}-1", auto_offset_reset="earliest", **mine.kafka()
                )
                await consumer.start()
                assert (await consumer.getone()).value
                await consumer.stop()
            await assert_each_right_was_needed(secured, role, mine)
