"""A broker and a Redis with users, each with the rights that `deploy/acls.toml` gives to a role."""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import NewTopic
from aiokafka.protocol.admin import CreateAclsRequest
from pydantic import SecretStr
from redis.asyncio import Redis

from deploy import redis_users
from deploy.local import stack
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.installation import until

RIGHTS = tomllib.loads(Path("deploy/acls.toml").read_text())
REDIS_RULES = redis_users.roles()
KINDS = {"topics": 2, "groups": 3, "transactional_ids": 5}  # as the protocol numbers them
LITERAL, PREFIXED = 3, 4
OPERATIONS = {
    **{"Read": 3, "Write": 4, "Create": 5, "Describe": 8},
    **{"DescribeConfigs": 10, "AlterConfigs": 11},
}
ALLOW = 3
USERS = [f"user{number}" for number in range(96)]

# A broker with users; clients of the other port have no name, and may do everything.
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


class Servers(NamedTuple):
    """The addresses of the servers."""

    plain: str
    secure: str
    redis: str
    log: Path  # the broker's


@contextmanager
def servers_with_users(home: Path) -> Iterator[Servers]:
    with ExitStack() as started:
        secure = started.enter_context(stack.free_port(9192))
        logins = " ".join(f'user_{user}="{user}"' for user in USERS)
        properties = SECURED.replace(":SECURE", f":{secure}")
        broker = started.enter_context(stack.kafka(home, properties.replace("LOGINS", logins)))
        redis = started.enter_context(stack.valkey(home))
        yield Servers(broker.address, f"127.0.0.1:{secure}", redis.address, broker.log)


_free_users = iter(USERS)


class Secured:
    """A separate installation on servers with users."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.prefix = f"t{uuid.uuid4().hex[:12]}."
        self.open = Settings(
            kafka_bootstrap=servers.plain,
            redis_url=f"redis://{servers.redis}/0",
            topic_prefix=self.prefix,
            partitions=4,
            session_timeout_s=2,
        )

    async def user(self, rights: Sequence[Right], *, redis: str | None = None) -> Settings:
        """The settings of a new user with these rights on Kafka, and a role's on Redis."""
        name = next(_free_users)
        sign = f"sign-of-{name}"  # this topic becomes visible when the rights are in force
        async with topic_admin._admin(self.open) as admin:
            await admin.create_topics([NewTopic(sign, 1, 1)])
            for acl in [*(_acl(self.prefix, name, right) for right in rights), _sign(name, sign)]:
                answer = await admin._send_to_controller(acl)
                assert answer.creation_responses[0][0] == 0
        mine = self._settings_of(name)
        async with topic_admin._admin(mine) as theirs:

            async def in_force() -> bool:
                return sign in await theirs.list_topics()

            await until(in_force, "rights in force")
        if redis:
            await self._redis_user(name, redis)
            url = f"redis://{name}:{name}@{self.servers.redis}/0"
            return mine.model_copy(update={"redis_url": url})
        return mine

    async def _redis_user(self, name: str, role: str) -> None:
        setting = ["reset", f">{name}", *redis_users.rights(REDIS_RULES[role], self.prefix)]
        async with Redis.from_url(self.open.redis_url) as client:
            assert await client.execute_command("ACL", "SETUSER", name, *setting)  # type: ignore[no-untyped-call]

    def _settings_of(self, name: str) -> Settings:
        return self.open.model_copy(
            update={
                "kafka_bootstrap": self.servers.secure,
                "kafka_security_protocol": "SASL_PLAINTEXT",
                "kafka_sasl_mechanism": "PLAIN",
                "kafka_username": name,
                "kafka_password": SecretStr(name),
            }
        )


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables of settings; those of the servers replace the test run's own."""
    return {
        f"OPTOUT_{name.upper()}": str(
            value.get_secret_value() if isinstance(value, SecretStr) else value
        )
        for name, value in settings.model_dump().items()
        if name in ("kafka_bootstrap", "redis_url") or value != Settings.model_fields[name].default
    }


def _acl(prefix: str, user: str, right: Right) -> CreateAclsRequest:
    pattern = PREFIXED if right.name.endswith("*") else LITERAL
    own = right.kind == "groups" and right.name.startswith(("application-", "carrier-"))
    name = ("" if own else prefix) + right.name.removesuffix("*")
    kind, operation = KINDS[right.kind], OPERATIONS[right.operation]
    return CreateAclsRequest(kind, name, pattern, f"User:{user}", "*", operation, ALLOW)


def _sign(user: str, topic: str) -> CreateAclsRequest:
    return _acl("", user, Right("topics", topic, "Describe"))
