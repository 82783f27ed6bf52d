"""Read the environment into a frozen ``Settings``; check everything first, report all problems."""

from __future__ import annotations

import re
import tomllib
from base64 import b64decode
from importlib.resources import files
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from processor import certificates
from processor.core.messages import Scope
from processor.errors import ConfigError
from processor.webhooks.addresses import Network

Role = Literal["match", "gate", "webhooks", "rates"]
ROLES: tuple[Role, ...] = ("match", "gate", "webhooks", "rates")
LOOPBACK = "127.0.0.1"
_KEY_BYTES = 32
_LEAST_TOKEN = 16  # characters
_OPERATOR_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_MAKE_A_KEY = "`openssl rand -hex 32` makes one"
_REQUEST_S = 10.0
_HANDLED = ("opt-out-notifications.v1", "consent-commands.v1")  # they record what was handled
_TOPICS = tomllib.loads(files("schemas").joinpath("topics.toml").read_text())
_KEPT_HOURS = 24 * min(int(_TOPICS[name]["retention_days"]) for name in _HANDLED)


class Settings(BaseSettings):
    """Every setting; its environment variable is ``OPTOUT_`` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix="OPTOUT_", frozen=True, hide_input_in_errors=True)

    kafka_bootstrap: Annotated[str, Field(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")] = (
        "127.0.0.1:9092"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_cafile: str | None = None  # PEM; the system's authorities if absent
    kafka_certfile: str | None = None  # PEM, for TLS client authentication
    kafka_keyfile: str | None = None

    redis_url: Annotated[
        str, Field(pattern=r"^(rediss?|rediss?\+cluster|rediss?\+sentinel)://.+")
    ] = "redis://127.0.0.1:6379/0"
    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0

    redis_min_replicas: Annotated[int, Field(ge=0, le=10)] = 0  # of a STOP before its reply
    gate_max_staleness_s: Annotated[float, Field(ge=2)] | None = None  # the owner's heartbeat: 1 s

    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = "optout."
    event_source: Annotated[str, Field(pattern=r"^[A-Za-z][!-~]{0,254}$")] | None = None  # a URI
    partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    roles: Annotated[tuple[Role, ...], NoDecode] = ROLES
    instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = None
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 10.0  # until a worker counts as dead
    block_scope: Scope = Scope.ACCOUNT
    dedupe_hours: Annotated[float, Field(gt=0, json_schema_extra={"maximum": _KEPT_HOURS})] = 24.0

    webhook_attempts: Annotated[int, Field(ge=1, le=100)] = 15
    webhook_first_delay_s: Annotated[float, Field(gt=0, le=3600)] = 5.0  # in four steps up to
    webhook_longest_delay_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    webhook_connect_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0  # of a whole request
    webhook_concurrency: Annotated[int, Field(ge=1, le=1_000)] = 16  # requests to one endpoint
    webhook_account_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 128  # of one account
    webhook_worker_concurrency: Annotated[int, Field(ge=2, le=100_000)] = 1_000  # of this process
    webhook_circuit_failures: Annotated[int, Field(ge=1)] = 10  # consecutive, then a pause
    webhook_circuit_s: Annotated[float, Field(gt=0, le=3600)] = 30.0  # length of the pause
    webhook_allow_networks: Annotated[tuple[Network, ...], NoDecode] = ()  # although not public

    operator_tokens: SecretStr | None = None  # `name:token,…`; they may disable services (R5)
    secret_keys: SecretStr | None = None  # of 32 bytes each; the first seals tokens, all open them
    metrics_token: SecretStr | None = None  # for /metrics and /opt-out-rates

    api_host: str = LOOPBACK  # another address to serve other machines
    api_port: Annotated[int, Field(ge=1, le=65535)] = 8080  # else the next free port
    api_certfile: str | None = None  # PEM, with its chain; turns TLS on
    api_keyfile: str | None = None
    api_connections: Annotated[int, Field(ge=10, le=50_000)] = 2_000  # open at once
    api_client_connections: Annotated[int, Field(ge=1, le=50_000)] = 200  # of one address
    api_header_s: Annotated[float, Field(gt=0, le=600)] = 10.0  # limit for a request's headers
    api_keep_alive_s: Annotated[float, Field(gt=0, le=3600)] = 5.0  # between two requests
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()  # their X-Forwarded-* is used
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+$")] | None = None  # in links
    api_max_bytes: Annotated[int, Field(ge=1024)] = 1 << 20  # of a request
    api_import_max_bytes: Annotated[int, Field(ge=1024)] = 1 << 30  # of an imported block list
    api_rate: Annotated[float, Field(ge=0)] = 1_000.0  # of an account's requests a second; 0: none
    api_refuse_blocked: bool = True  # sends without a service, at once, as Twilio does
    message_days: Annotated[float, Field(ge=0, le=400)] = 1.0  # kept in Redis; 0: none
    api_numbers: Literal["any", "granted"] = "any"  # that accounts may record and pool

    # Limits of an account, unless `optout accounts limits` gives it its own limits.
    account_services: Annotated[int, Field(ge=0)] = 1_000
    account_configuration_bytes: Annotated[int, Field(ge=0)] = 10 << 20  # of its services
    account_numbers: Annotated[int, Field(ge=0)] = 10_000
    account_api_keys: Annotated[int, Field(ge=0)] = 20
    account_messages: Annotated[int, Field(ge=0)] = 1_000_000  # in Redis; the oldest are deleted

    web_host: str = LOOPBACK  # of the worker's pages
    web_port: Annotated[int, Field(ge=1, le=65535)] = 6066  # /livez, /readyz; else the next free
    tracing: bool | None = None  # spans; unset: where OTEL_EXPORTER_OTLP_ENDPOINT is set
    watchdog_s: Annotated[float, Field(gt=0)] = 45.0  # a lane stuck for so long moves away
    batch_wait_ms: Annotated[float, Field(ge=0, le=1_000)] = 10.0  # least time between commits
    batch_records: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    fetch_bytes: Annotated[int, Field(ge=65_536)] = 1 << 20  # a partition, a fetch

    @field_validator("secret_keys", "operator_tokens", "metrics_token", mode="before")
    @classmethod
    def _no_secret(cls, given: Any) -> Any:
        return given or None  # Compose sets unset variables to the empty string

    @field_validator("api_certfile", "api_keyfile", mode="before")
    @classmethod
    def _no_file(cls, given: Any) -> Any:
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
    def _split_roles(cls, given: Any) -> Any:
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
    def _networks(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        return tuple(ip_network(one.strip()) for one in given.split(",") if one.strip())

    @field_validator("block_scope", mode="before")
    @classmethod
    def _scope(cls, given: Any) -> Any:
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

    def kafka(self, *, request_s: float = _REQUEST_S) -> dict[str, Any]:
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
    if not settings.roles:
        problems.append(f"OPTOUT_ROLES: empty; name some of {', '.join(ROLES)}, or all")
    if settings.kafka_security_protocol in ("SSL", "SASL_SSL"):
        try:
            settings.kafka()
        except OSError as error:
            problems.append(f"OPTOUT_KAFKA_CAFILE, _CERTFILE, _KEYFILE: {error.strerror or error}")
    return problems
