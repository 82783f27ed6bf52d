"""Every role with exactly the rights that `deploy/acls.toml` gives it, and without one of them."""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest
from click.testing import CliRunner, Result
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from deploy.local import stack
from processor.cli import main
from processor.config import Settings
from processor.kafka import topic_admin
from processor.kafka.client import Outgoing
from tests.api import blocking, carrier_says, create_accounts, serving, with_secrets
from tests.application import OneToken, allowing, application, status, twiml
from tests.builders import ACCOUNT, LONG_CODE, OTHER_RECIPIENT, RECIPIENT
from tests.installation import Installation, running, until
from tests.integration.test_flow import CLINIC, a_send, a_text, configure
from tests.integration.test_metrics import a_port
from tests.integration.test_webhooks import a_service
from tests.integration.test_worker_process import OPTOUT, started

RIGHTS = tomllib.loads(Path("deploy/acls.toml").read_text())
KINDS = {"topics": 2, "groups": 3, "transactional_ids": 5}  # as the protocol numbers them
LITERAL, PREFIXED = 3, 4
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8}
ALLOW = 3
USERS = [f"user{number}" for number in range(32)]

# A broker that knows users; whoever comes without a name, on the other port, may do everything.
SECURED = """
listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:SECURE,CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.sasl_plaintext.plain.sasl.jaas.config=\\
  org.apache.kafka.common.security.plain.PlainLoginModule required LOGINS;
"""


class Right(NamedTuple):
    """One operation on one resource; a name that ends in * is a prefix."""

    kind: str
    name: str
    operation: str


def rights_of(*roles: str) -> list[Right]:
    return [
        Right(kind, name, operation)
        for role in roles
        for kind in KINDS
        for name, operations in RIGHTS["kafka"][role].get(kind, {}).items()
        for operation in operations
    ]


class Secured:
    """A broker with users and a Redis with users, and an installation of its own on them."""

    def __init__(self, plain: str, secure: str, redis: str) -> None:
        prefix = f"t{uuid.uuid4().hex[:12]}."
        self.open = Settings(
            kafka_bootstrap=plain,
            redis_url=f"redis://{redis}/0",
            topic_prefix=prefix,
            partitions=4,
            session_timeout_s=2,
        )
        self._secure = secure
        self._redis = redis

    async def user(self, rights: Sequence[Right], *, redis: str | None = None) -> Settings:
        """The settings of a new user with these rights on Kafka, and a role's on Redis."""
        name = next(_free_users)
        sign = f"sign-of-{name}"  # a topic that is seen once the rights given before are in force
        prefix = self.open.topic_prefix
        admin = AIOKafkaAdminClient(**self.open.kafka())
        await admin.start()
        await admin.create_topics([NewTopic(sign, 1, 1)])
        for acl in [*(_acl(prefix, name, right) for right in rights), _sign(name, sign)]:
            answer = await admin._send_to_controller(acl)
            assert answer.creation_responses[0][0] == 0
        await admin.close()
        mine = self._settings_of(name)
        theirs = AIOKafkaAdminClient(**mine.kafka())
        await theirs.start()

        async def in_force() -> bool:
            return sign in await theirs.list_topics()

        await until(in_force, "rights in force")
        await theirs.close()
        if redis:
            given = RIGHTS["redis"][redis]
            allowed = ["+@connection", *(f"+{command}" for command in given["commands"])]
            async with Redis.from_url(self.open.redis_url) as client:
                setting = ["reset", "on", f">{name}", f"~{prefix}{given['keys']}", *allowed]
                assert await client.execute_command("ACL", "SETUSER", name, *setting)  # type: ignore[no-untyped-call]
            return mine.model_copy(update={"redis_url": f"redis://{name}:{name}@{self._redis}/0"})
        return mine

    def _settings_of(self, name: str) -> Settings:
        return self.open.model_copy(
            update={
                "kafka_bootstrap": self._secure,
                "kafka_security_protocol": "SASL_PLAINTEXT",
                "kafka_sasl_mechanism": "PLAIN",
                "kafka_username": name,
                "kafka_password": SecretStr(name),
            }
        )


def as_environment(settings: Settings) -> dict[str, str]:
    return {
        f"OPTOUT_{name.upper()}": str(
            value.get_secret_value() if isinstance(value, SecretStr) else value
        )
        for name, value in settings.model_dump().items()
        if value != Settings.model_fields[name].default
    }


_free_users: Iterator[str] = iter(USERS)


def _acl(prefix: str, user: str, right: Right) -> CreateAclsRequest:
    pattern = PREFIXED if right.name.endswith("*") else LITERAL
    own = right.kind == "groups" and right.name.startswith(("application-", "carrier-"))
    name = ("" if own else prefix) + right.name.removesuffix("*")
    kind, operation = KINDS[right.kind], OPERATIONS[right.operation]
    return CreateAclsRequest(kind, name, pattern, f"User:{user}", "*", operation, ALLOW)


def _sign(user: str, topic: str) -> CreateAclsRequest:
    return _acl("", user, Right("topics", topic, "Describe"))


@pytest.fixture(scope="module")
def servers_with_users(
    servers: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    with ExitStack() as started:
        home = tmp_path_factory.mktemp("secured")
        secure = started.enter_context(stack.free_port(9192))
        logins = " ".join(f'user_{user}="{user}"' for user in USERS)
        properties = SECURED.replace(":SECURE", f":{secure}")
        broker = started.enter_context(stack.kafka(home, properties.replace("LOGINS", logins)))
        redis = started.enter_context(stack.valkey(home))
        yield broker.address, f"127.0.0.1:{secure}", redis.address


@pytest.fixture
async def secured(servers_with_users: tuple[str, str, str]) -> Secured:
    made = Secured(*servers_with_users)
    await topic_admin.create(made.open)
    return made


async def test_match_and_gate_work_with_the_rights_listed(secured: Secured) -> None:
    at = Installation(secured.open)
    match = await secured.user(rights_of("match"), redis="match")
    gate = await secured.user(rights_of("gate"), redis="gate")
    async with (
        running(match.model_copy(update={"roles": ("match",)})),
        running(gate.model_copy(update={"roles": ("gate",)})),
    ):
        await at.texts(a_text("M1", "stop"))
        await at.wait_for(at.topics.reply_sends, 1)
        await at.sends(a_send("S1"), a_send("S2", to="+15557654322"))
        await at.wait_for(at.topics.message_statuses, 1)
        await at.wait_for(at.topics.allowed_sends, 1)
        # Undo, rebuild and dead letters ask for more commands and topics.
        async with Redis.from_url(secured.open.redis_url) as redis:
            await redis.flushdb()
        key = RECIPIENT.encode()
        await at.write_raw(Outgoing(at.topics.inbound_messages, key, b"bad"))
        await at.write_raw(Outgoing(at.topics.outbound_messages, key, b"bad"))
        await at.wait_for_letters(2)
        await at.sends(a_send("S3"))
        await at.wait_for(at.topics.message_statuses, 2)


async def test_webhooks_work_with_the_rights_listed(secured: Secured) -> None:
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
            await at.wait_for(at.topics.webhook_retries, 1)
            key = RECIPIENT.encode()
            await at.write_raw(Outgoing(at.topics.webhook_deliveries, key, b"bad"))
            await at.wait_for_letters(1)


async def test_rates_work_with_the_rights_listed(secured: Secured) -> None:
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
        assert "Traceback" not in worker.said


async def test_the_api_works_with_the_rights_listed(secured: Secured) -> None:
    at, open_to_all = Installation(secured.open), with_secrets(secured.open)
    await create_accounts(open_to_all, ACCOUNT)
    mine = with_secrets(await secured.user(rights_of("api"), redis="api"))
    async with running(secured.open), serving(mine) as api:
        client = api.twilio()
        await blocking(client.incoming_phone_numbers.create, phone_number=LONG_CODE)
        await blocking(client.messaging.v1.services.create, friendly_name="Clinic")
        made = await blocking(client.messages.create, to=RECIPIENT, from_=LONG_CODE, body="Hello")
        [allowed] = await at.wait_for(at.topics.allowed_sends, 1)
        await carrier_says(at, allowed, "sent")

        async def sent() -> bool:
            return bool((await blocking(client.messages(made.sid).fetch)).status == "sent")

        await until(sent, "message that was sent")
        asked = {"recipient": RECIPIENT, "reason": "asked"}
        blocked = await api.ask("POST", "/v1/OptOuts/Block", json=asked)
        assert blocked.status_code == 200, blocked.text
        assert len(await blocking(client.messages.list, to=RECIPIENT)) == 1
        await blocking(client.messages(made.sid).update, body="")
        assert await blocking(client.messages(made.sid).delete)
        for path in (f"Blocks/{RECIPIENT}/History", "Export?Format=csv"):
            assert (await api.ask("GET", f"/v1/OptOuts/{path}")).status_code == 200
        checked = await api.ask("POST", "/v1/OptOuts/Check", json={"recipients": [RECIPIENT]})
        assert checked.status_code == 200, checked.text


WITHOUT = [
    ("match", Right("topics", "reply-sends.v1", "Write"), "TopicAuthorizationFailedError"),
    ("match", Right("topics", "inbound-messages.v1", "Read"), "TopicAuthorizationFailedError"),
    ("match", Right("topics", "block-list.v1", "Read"), "TopicAuthorizationFailedError"),
    ("match", Right("groups", "match", "Read"), "GroupAuthorizationFailedError"),
    ("match", Right("transactional_ids", "match-*", "Write"), "TransactionalIdAuthorizationFailed"),
    ("gate", Right("topics", "allowed-sends.v1", "Write"), "TopicAuthorizationFailedError"),
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
        }[role]
        assert len(await at.records(topic)) == count


async def test_the_command_line_works_with_the_rights_listed(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at = Installation(secured.open)
    mine = await secured.user(rights_of("operator"), redis="operator")
    for name, value in as_environment(mine).items():
        monkeypatch.setenv(name, value)
    services = tmp_path / "services.yaml"
    services.write_bytes(orjson.dumps(CLINIC))

    async def optout(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert result.exit_code == 0, result.output + str(result.exception)
        return result

    await optout("topics", "create")
    await optout("topics", "check")
    await optout("services", "apply", str(services))
    await optout("services", "list")
    async with running(secured.open):
        await optout("blocks", "block", RECIPIENT, "--account-sid", "AC1", "--reason", "asked")
        assert RECIPIENT in (await optout("blocks", "list")).output
        await optout("blocks", "history", RECIPIENT)
        await optout("blocks", "verify")
        await optout("blocks", "rebuild")
        await at.write_raw(Outgoing(at.topics.outbound_messages, RECIPIENT.encode(), b"bad"))
        await at.wait_for_letters(1)
        assert (await optout("dead-letters", "redrive", "--all")).output == "1 sent back\n"
        await at.wait_for_letters(2)
    await optout("audit")


async def test_only_the_gate_can_allow_a_send(secured: Secured) -> None:
    at = Installation(secured.open)
    await at.write_raw(Outgoing(at.topics.allowed_sends, b"+15557654321", b"{}"))
    for role in ("application", "carrier", "match", "operator", "webhooks", "rates", "api"):
        mine = await secured.user(rights_of(role))
        producer = AIOKafkaProducer(**mine.kafka())
        await producer.start()
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(at.topics.allowed_sends, b"{}", key=b"+15557654321")
        await producer.stop()


async def test_only_who_must_writes_to_redis_and_nobody_past_the_prefix(secured: Secured) -> None:
    list_of_0 = f"{secured.open.topic_prefix}{{0}}:recipients"
    refused = [("gate", list_of_0), ("webhooks", list_of_0), ("rates", list_of_0)]
    refused += [(role, "another:{0}:recipients") for role in ("match", "operator", "api")]
    for role, key in refused:
        mine = await secured.user([], redis=role)
        async with Redis.from_url(mine.redis_url) as redis:
            with pytest.raises(NoPermissionError):
                await redis.hdel(key, RECIPIENT)


async def test_applications_and_carriers_work_with_the_rights_listed(secured: Secured) -> None:
    at = Installation(secured.open)
    async with running(secured.open):
        for role, writes, reads in (
            ("carrier", (at.topics.inbound_messages, a_text("M1", "stop")), at.topics.reply_sends),
            (
                "application",
                (at.topics.outbound_messages, a_send("S1")),
                at.topics.message_statuses,
            ),
        ):
            mine = await secured.user(rights_of(role))
            await Installation(mine).write(writes[0], writes[1])
            consumer = AIOKafkaConsumer(
                reads, group_id=f"{role}-1", auto_offset_reset="earliest", **mine.kafka()
            )
            await consumer.start()
            record = await consumer.getone()
            assert RECIPIENT.encode() in record.value
            await consumer.stop()
