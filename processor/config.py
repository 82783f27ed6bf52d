"""Read the environment into a frozen ``Settings``; check everything first, report all problems."""

from __future__ import annotations

import re
import ssl
import tomllib
from base64 import b64decode
from importlib.resources import files
from ipaddress import ip_network
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from processor import certificates
from processor.core.messages import Scope
from processor.errors import ConfigError
from processor.webhooks.addresses import Network

Role = Literal["match", "gate", "webhooks", "carriers", "rates", "audit"]
ROLES: tuple[Role, ...] = ("match", "gate", "webhooks", "carriers", "rates")
LOOPBACK = "127.0.0.1"
_KEY_BYTES = 32
_LEAST_TOKEN = 16  # characters
_OPERATOR_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_MAKE_A_KEY = "`openssl rand -hex 32` makes one"
_REQUEST_S = 10.0
_HANDLED = ("opt-out-notifications.v1", "consent-commands.v1")  # they record what was handled
_TOPICS = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
_KEPT_HOURS = 24 * min(int(_TOPICS[name]["retention_days"]) for name in _HANDLED)


class KafkaOptions(TypedDict):
    """The keyword arguments that every Kafka client takes, by aiokafka's names."""

    bootstrap_servers: str
    request_timeout_ms: int
    security_protocol: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str
    sasl_plain_username: str | None
    sasl_plain_password: str | None


class Settings(BaseSettings):
    """Every setting; the environment variable is the name in capitals, ``OPTOUT_`` before it.

    The docstrings below are the text of `deploy/settings.md`, which `optout settings` prints.
    """

    model_config = SettingsConfigDict(
        env_prefix="OPTOUT_",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    kafka_bootstrap: Annotated[str, Field(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")] = (
        "127.0.0.1:9092"
    )
    """Brokers as `host:port`, separated by commas."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to connect to the brokers. The SASL protocols need a user and a password."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the user logs in."""
    kafka_username: str | None = None
    """The Kafka user of this process. Give each role its own."""
    kafka_password: SecretStr | None = None
    """The password of that user."""
    kafka_cafile: str | None = None
    """PEM file of the authorities that signed the brokers' certificates. Not set: the system's
    authorities. The three TLS files are loaded again when they change."""
    kafka_certfile: str | None = None
    """PEM file of the client certificate, for TLS client authentication."""
    kafka_keyfile: str | None = None
    """PEM file of the key of that certificate."""

    redis_url: Annotated[
        str, Field(pattern=r"^(rediss?|rediss?\+cluster|rediss?\+sentinel)://.+")
    ] = "redis://127.0.0.1:6379/0"
    """Redis 7 or Valkey. `rediss://` speaks TLS. A Cluster is `redis+cluster://host:port,…`, and
    Sentinel is `redis+sentinel://host:port,…/master`."""
    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Time-out of a connection and of each answer."""
    redis_min_replicas: Annotated[int, Field(ge=0, le=10)] = 0
    """Replicas that must have a STOP before it is confirmed. The STOP then outlives any failover.
    Redis must refuse writes without replicas: `min-replicas-to-write` 1 or more,
    `min-replicas-max-lag` 10 or less."""
    gate_max_staleness_s: Annotated[float, Field(ge=2)] | None = None
    """The gate also waits if the block list's owner has sent no heartbeat for this long. This
    protects against a cut-off old master that still answers, at the cost of availability. Owners
    send a heartbeat each second. Not set: off."""

    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = "optout."
    """Comes before the name of every topic and every Redis key."""
    event_source: Annotated[str, Field(pattern=r"^[A-Za-z][!-~]{0,254}$")] | None = None
    """The URI that events name as their source. Not set: `urn:optout:` and the topic prefix
    without its last dot."""
    partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Partitions of every topic that is keyed by recipient. Another number is a move to new topics
    (`optout topics move`)."""
    roles: Annotated[tuple[Role, ...], NoDecode] = ROLES
    """The work of a worker. `all` means every role but `audit`."""
    instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = None
    """Makes the worker a static member of its groups. Each worker needs an id of its own."""
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    """How long a dead worker keeps its partitions. Brokers take 6 to 1800 unless set otherwise."""
    block_scope: Scope = Scope.ACCOUNT
    """A STOP stops sends of the whole account, of the service or of one sender."""
    dedupe_hours: Annotated[float, Field(gt=0, json_schema_extra={"maximum": _KEPT_HOURS})] = 24.0
    """How long a handled message or command is remembered. The most is the retention of
    notifications and commands."""

    webhook_attempts: Annotated[int, Field(ge=1, le=100)] = 15
    """Tries of a delivery before it becomes a dead letter."""
    webhook_first_delay_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Delay before the first retry. Retries have four delays in equal ratios: by default 5 s,
    45 s, 7 min and 1 h, in all 6.4 h."""
    webhook_longest_delay_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """Longest delay between two tries."""
    webhook_connect_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Time-out of a connection to an application."""
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    """Time-out of a whole request to an application."""
    webhook_concurrency: Annotated[int, Field(ge=1, le=1_000)] = 16
    """Requests at once to one endpoint, from one worker."""
    webhook_account_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 128
    """Requests at once to all endpoints of one account, from one worker."""
    webhook_worker_concurrency: Annotated[int, Field(ge=2, le=100_000)] = 1_000
    """Requests at once to all endpoints, from one worker; at most a quarter of its file
    descriptors."""
    webhook_circuit_failures: Annotated[int, Field(ge=1)] = 10
    """Failures in a row after which an endpoint's circuit opens."""
    webhook_circuit_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long an open circuit keeps requests from the endpoint."""
    webhook_allow_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks such as `10.1.0.0/16` that webhooks may reach although they are not public."""

    operator_tokens: SecretStr | None = None
    """Operators, as `jane:token,…`. Jane logs in as `operator/jane`, acts on any account and may
    run `optout services disable` (R5). A token without a name belongs to the user `operator`.
    Tokens have at least 16 characters."""
    secret_keys: SecretStr | None = None
    """Keys of 32 bytes in hex or base64, separated by commas. The first seals the accounts' tokens,
    which sign webhooks; all of them open tokens."""
    metrics_token: SecretStr | None = None
    """Readers of `/metrics` and `/opt-out-rates` send it as `Authorization: Bearer …`; at least 16
    characters. Not set: the API shows metrics, and a worker shows rates, only if it listens on
    127.0.0.1."""

    api_host: str = LOOPBACK
    """Address that `optout api` listens on. The default reaches this machine only."""
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """Port of the API. If it is taken, the next free port."""
    api_certfile: str | None = None
    """PEM file of the API's certificate and its chain. With it the API speaks TLS. Both files are
    loaded again when they change."""
    api_keyfile: str | None = None
    """PEM file of the key of that certificate."""
    api_connections: Annotated[int, Field(ge=10, le=50_000)] = 2_000
    """Connections open at once."""
    api_client_connections: Annotated[int, Field(ge=1, le=50_000)] = 200
    """Connections open at once from one address. An IPv6 network of 64 bits counts as one
    address."""
    api_header_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Time in which a request's headers must arrive. A body may be slower than 1 KiB a second for
    20 s."""
    api_keep_alive_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """How long a connection may stay idle between two requests."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks such as `10.1.0.0/16` of proxies. Their `X-Forwarded-For`, `-Proto` and `-Host`
    count; those of others are dropped."""
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")] | None = None
    """The beginning of links in answers. Not set: as the client asked."""
    api_max_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """Size of a request."""
    api_import_max_bytes: Annotated[int, Field(ge=1024)] = 1 << 30
    """Size of a block list sent to Import, which is read line by line."""
    api_rate: Annotated[float, Field(ge=0)] = 1_000.0
    """Requests a second of an account, in each process. Entries that a request reads count
    as well. 0 means no limit."""
    api_refuse_blocked: bool = True
    """A message without a service to a blocked recipient is 400, 21610 at once, as Twilio does it.
    `false`: it becomes `failed` later, as with a service."""
    message_days: Annotated[float, Field(ge=0, le=400)] = 1.0
    """How long the API knows a message; it is kept in Redis. 0 means not at all."""
    api_numbers: Literal["any", "granted"] = "any"
    """Numbers that accounts may record and put into pools: any that no other account has, or only
    those that `optout numbers grant` gave them."""

    carriers_host: str = LOOPBACK
    """Address that `optout carriers` listens on. The default reaches this machine only. Connections
    have the limits and the TLS files of the API."""
    carriers_port: Annotated[int, Field(ge=1, le=65535)] = 8090
    """Port of `optout carriers`. If it is taken, the next free port."""
    carriers_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")] | None = None
    """The beginning of the URLs that providers call, such as `https://sms.example.com`. Signatures
    are checked against it, and providers report statuses there. Not set: signatures are checked
    against the URL as requested, and no statuses are asked for."""
    carriers_max_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 4 << 20
    """Size of a provider's request."""
    carriers_answer_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long Kafka may take to store a request before the provider gets 503."""
    carrier_attempts: Annotated[int, Field(ge=1, le=100)] = 12
    """Tries to hand a message over before it fails."""
    carrier_first_delay_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """Delay before the first retry. Retries have four delays in equal ratios."""
    carrier_longest_delay_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    """Longest delay between two tries."""
    carrier_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    """Time-out of a request to a provider."""
    carrier_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests at once to one carrier, from one worker."""

    account_services: Annotated[int, Field(ge=0)] = 1_000
    """Messaging services of an account."""
    account_configuration_bytes: Annotated[int, Field(ge=0)] = 10 << 20
    """Size of an account's services as stored."""
    account_numbers: Annotated[int, Field(ge=0)] = 10_000
    """Numbers in an account's records and pools."""
    account_api_keys: Annotated[int, Field(ge=0)] = 20
    """API keys of an account."""
    account_messages: Annotated[int, Field(ge=0)] = 1_000_000
    """Messages of an account that the API knows. The oldest go."""

    audit_directory: str | None = None
    """Directory where audits keep their state, for example `/var/lib/optout/audit`. The next audit
    goes on where the last one ended. Not set: each audit begins at the start of the topics."""
    audit_delay_s: Annotated[float, Field(ge=0, le=86_400)] = 3_600.0
    """How far the role audit stays behind match and gate."""
    audit_every_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Time from one audit of the role audit to the next."""
    audit_processes: Annotated[int, Field(ge=1, le=256)] = 2
    """Processes of one audit."""

    web_host: str = LOOPBACK
    """Address of the worker's pages: health, metrics and rates."""
    web_port: Annotated[int, Field(ge=1, le=65535)] = 6066
    """Port of the worker's pages. If it is taken, the next free port."""
    tracing: bool | None = None
    """OpenTelemetry spans; they need `pip install 'optout[tracing]'`. Not set: on if
    `OTEL_EXPORTER_OTLP_ENDPOINT` is set."""
    watchdog_s: Annotated[float, Field(gt=0)] = 45.0
    """If a lane does not work for this long although Kafka and Redis answer, the worker leaves its
    groups and exits. Another worker takes its partitions at once."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1_000)] = 5.0
    """Least time between two transactions of a role's lanes in a process."""
    batch_records: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    """Records of a batch, at most."""
    fetch_bytes: Annotated[int, Field(ge=65_536)] = 1 << 20
    """Bytes of one fetch from one partition, at most."""

    @field_validator("secret_keys", "operator_tokens", "metrics_token", mode="before")
    @classmethod
    def _no_secret(cls, given: object) -> object:
        return given or None  # Compose sets unset variables to the empty string

    @field_validator("api_certfile", "api_keyfile", "audit_directory", mode="before")
    @classmethod
    def _no_file(cls, given: object) -> object:
        return given or None

    @field_validator("secret_keys")
    @classmethod
    def _are_keys(cls, given: SecretStr | None) -> SecretStr | None:
        for place, text in enumerate(_parts(given), 1):
            key = _key_of(text)
            if key is None:
                raise ValueError(f"key {place} must be 32 bytes in hex or base64; {_MAKE_A_KEY}")
            if len(set(key)) == 1:
                raise ValueError(f"key {place} is one byte 32 times, not a secret; {_MAKE_A_KEY}")
        return given

    @field_validator("operator_tokens")
    @classmethod
    def _are_operators(cls, given: SecretStr | None) -> SecretStr | None:
        parts = _parts(given)
        names = [name for name, _ in map(_operator_of, parts)]
        for place, (name, token) in enumerate(map(_operator_of, parts), 1):
            # The name may be a misplaced token, so neither is repeated in the error.
            if not _OPERATOR_NAME.fullmatch(name):
                raise ValueError(f"entry {place}: a name has up to 32 letters, digits and . _ -")
            if len(token) < _LEAST_TOKEN:
                raise ValueError(
                    f"entry {place}: the token has fewer than {_LEAST_TOKEN} characters;"
                    " `openssl rand -hex 16` makes one"
                )
            if names.index(name) != place - 1:
                raise ValueError(
                    f"entry {place}: the name is used twice; by default it is operator"
                )
        return given

    @field_validator("roles", mode="before")
    @classmethod
    def _split_roles(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        names = tuple(name.strip() for name in given.split(",") if name.strip())
        return ROLES if names == ("all",) else names

    @field_validator("metrics_token")
    @classmethod
    def _is_long(cls, given: SecretStr | None) -> SecretStr | None:
        if given is not None and len(given.get_secret_value()) < _LEAST_TOKEN:
            raise ValueError("must have at least 16 characters; `openssl rand -hex 16` makes one")
        return given

    @field_validator("webhook_allow_networks", "trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(ip_network(one.strip()) for one in given.split(",") if one.strip())

    @field_validator("block_scope", mode="before")
    @classmethod
    def _scope(cls, given: object) -> object:
        return given.strip().lower() if isinstance(given, str) else given

    def source(self) -> str:
        """The source that emitted events name, as a URI."""
        return self.event_source or f"urn:optout:{self.topic_prefix.rstrip('._-') or 'default'}"

    def sealing_keys(self) -> tuple[bytes, ...]:
        """The keys of accounts' tokens, possibly none: the first seals, all of them open."""
        return tuple(key for text in _parts(self.secret_keys) if (key := _key_of(text)))

    def operators(self) -> dict[str, str]:
        """The operators' user names, ``operator/<name>`` or ``operator``, and their tokens."""
        named = map(_operator_of, _parts(self.operator_tokens))
        return {"operator" + f"/{name}" * (name != "operator"): token for name, token in named}

    def kafka(self, *, request_s: float = _REQUEST_S) -> KafkaOptions:
        """The keyword arguments for every Kafka client.

        Args:
            request_s: a broker must answer within it, or its connection is closed.
        """
        tls = self.kafka_security_protocol in ("SSL", "SASL_SSL")
        return {
            "bootstrap_servers": self.kafka_bootstrap,
            "request_timeout_ms": round(1000 * request_s),
            "security_protocol": self.kafka_security_protocol,
            "ssl_context": (
                certificates.context_of(self.kafka_cafile, self.kafka_certfile, self.kafka_keyfile)
                if tls
                else None
            ),
            "sasl_mechanism": self.kafka_sasl_mechanism,
            "sasl_plain_username": self.kafka_username,
            "sasl_plain_password": (
                self.kafka_password.get_secret_value() if self.kafka_password else None
            ),
        }


def _parts(given: SecretStr | None) -> list[str]:
    """The parts of a comma-separated list."""
    text = given.get_secret_value() if given else ""
    return [part.strip() for part in text.split(",") if part.strip()]


def _operator_of(text: str) -> tuple[str, str]:
    """Name and token of ``name:token``; a token alone belongs to ``operator``."""
    name, colon, token = text.partition(":")
    return (name, token) if colon else ("operator", text)


def _key_of(text: str) -> bytes | None:
    """The 32 bytes that a text encodes in hex or base64, or None."""
    for decode in (bytes.fromhex, lambda given: b64decode(given, validate=True)):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == _KEY_BYTES:
            return key
    return None


def load(**given: Any) -> Settings:
    """Read the environment; arguments override it.

    Raises:
        ConfigError: lists every problem, each with its variable.
    """
    problems: list[str] = []
    try:
        settings = Settings(**given)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        problems = [f"OPTOUT_{str(one['loc'][0]).upper()}: {one['msg']}" for one in wrong]
        # Check the other settings as if these were unset.
        fields = {str(one["loc"][0]) for one in wrong}
        usual = {name: Settings.model_fields[name].default for name in fields}
        settings = Settings(**(given | usual))
    problems += _contradictions(settings)
    if problems:
        raise ConfigError(problems)
    return settings


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.kafka_security_protocol.startswith("SASL_"):
        problems += [
            f"OPTOUT_KAFKA_{name.upper()}: needed for {settings.kafka_security_protocol}"
            for name in ("username", "password")
            if getattr(settings, f"kafka_{name}") is None
        ]
    longest_s = 2 * settings.webhook_timeout_s  # a request to the application, then to its fallback
    if "webhooks" in settings.roles and settings.watchdog_s <= longest_s:
        problems.append(
            f"OPTOUT_WATCHDOG_S: must be above {longest_s:g}, twice OPTOUT_WEBHOOK_TIMEOUT_S,"
            " or a slow application ends the worker"
        )
    if "carriers" in settings.roles and settings.watchdog_s <= 2 * settings.carrier_timeout_s:
        problems.append(
            f"OPTOUT_WATCHDOG_S: must be above {2 * settings.carrier_timeout_s:g}, twice"
            " OPTOUT_CARRIER_TIMEOUT_S, or a slow provider ends the worker"
        )
    if settings.dedupe_hours > _KEPT_HOURS:
        problems.append(
            f"OPTOUT_DEDUPE_HOURS: must be at most {_KEPT_HOURS}. If Redis is lost, handled ids are"
            f" read again from {' and '.join(_HANDLED)}, which keep them for that long"
        )
    if (settings.api_certfile is None) != (settings.api_keyfile is None):
        problems.append("OPTOUT_API_CERTFILE, OPTOUT_API_KEYFILE: set both, or none")
    if settings.api_client_connections > settings.api_connections:
        problems.append(
            f"OPTOUT_API_CLIENT_CONNECTIONS: must be at most {settings.api_connections},"
            " OPTOUT_API_CONNECTIONS"
        )
    if "audit" in settings.roles and settings.audit_directory is None:
        problems.append(
            "OPTOUT_AUDIT_DIRECTORY: the role audit needs it, for example /var/lib/optout/audit"
        )
    if not settings.roles:
        problems.append(f"OPTOUT_ROLES: empty; name some of {', '.join(ROLES)}, audit, or all")
    if settings.kafka_security_protocol in ("SSL", "SASL_SSL"):
        try:
            settings.kafka()
        except OSError as error:
            problems.append(f"OPTOUT_KAFKA_CAFILE, _CERTFILE, _KEYFILE: {error.strerror or error}")
    return problems
