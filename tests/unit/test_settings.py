"""Settings that cannot be right: every problem at once, and no password in the message."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from processor import config
from processor.errors import ConfigError
from processor.stores.redis_client import RedisClient


def test_what_contradicts_is_named_beside_what_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_PARTITIONS", "many")
    monkeypatch.setenv("OPTOUT_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("OPTOUT_KAFKA_CAFILE", "missing.pem")
    with pytest.raises(ConfigError) as refused:
        config.load()
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "OPTOUT_PARTITIONS",
        "OPTOUT_KAFKA_USERNAME",
        "OPTOUT_KAFKA_PASSWORD",
        "OPTOUT_KAFKA_CAFILE, _CERTFILE, _KEYFILE",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@host:port/0",
        "redis://:s3cret:port:xx",
        "redis+cluster://:s3cret@host:port",
        "redis+sentinel://:s3cret@host:port/main",
        "redis+sentinel://:s3cret@host:26379/main/zero",
    ],
)
def test_a_redis_url_that_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="OPTOUT_REDIS_URL: is not an address") as refused:
        RedisClient(url, timeout_s=1)
    assert "s3cret" not in str(refused.value)


def test_networks_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTOUT_WEBHOOK_ALLOW_NETWORKS", "10.1.0.0/16, fd00::/8")
    assert config.load().webhook_allow_networks == (
        ip_network("10.1.0.0/16"),
        ip_network("fd00::/8"),
    )


def test_what_is_no_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTOUT_WEBHOOK_ALLOW_NETWORKS", "10.1.0.1/16")
    with pytest.raises(ConfigError, match=r"OPTOUT_WEBHOOK_ALLOW_NETWORKS: .*has host bits set"):
        config.load()


def test_a_watchdog_may_not_bite_where_an_application_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_WATCHDOG_S", "30")
    with pytest.raises(ConfigError, match=r"OPTOUT_WATCHDOG_S: must be above 30"):
        config.load()
    monkeypatch.setenv("OPTOUT_ROLES", "match,gate")
    assert config.load().watchdog_s == 30


def test_an_empty_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTOUT_SECRET_KEYS", "")
    monkeypatch.setenv("OPTOUT_OPERATOR_TOKENS", "")
    assert (config.load().secret_keys, config.load().operator_tokens) == (None, None)


@pytest.mark.parametrize("hours", ["168.5", "8760", "1e9", "inf"])
def test_nothing_is_remembered_longer_than_the_topics_that_tell_of_it_are_kept(
    hours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_DEDUPE_HOURS", hours)
    with pytest.raises(ConfigError) as refused:
        config.load()
    assert refused.value.problems == [
        "OPTOUT_DEDUPE_HOURS: must be at most 168. If Redis is lost, handled ids are read again"
        " from opt-out-notifications.v1 and consent-commands.v1, which keep them for that long"
    ]
    monkeypatch.setenv("OPTOUT_DEDUPE_HOURS", "168")
    assert config.load().dedupe_hours == 168


def test_nobody_but_this_machine_is_listened_to_unless_told_otherwise() -> None:
    settings = config.load()
    assert (settings.api_host, settings.web_host) == ("127.0.0.1", "127.0.0.1")
    assert settings.trusted_proxies == ()


@pytest.mark.parametrize("name", ["OPTOUT_API_CERTFILE", "OPTOUT_API_KEYFILE"])
def test_a_certificate_and_its_key_are_set_together(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "one.pem")
    with pytest.raises(ConfigError, match="OPTOUT_API_CERTFILE, OPTOUT_API_KEYFILE: set both"):
        config.load()


def test_one_client_may_not_have_more_connections_than_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_API_CONNECTIONS", "100")
    with pytest.raises(ConfigError, match="OPTOUT_API_CLIENT_CONNECTIONS: must be at most 100"):
        config.load()


def test_a_short_token_for_metrics_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTOUT_METRICS_TOKEN", "s3cret")
    with pytest.raises(ConfigError, match=r"OPTOUT_METRICS_TOKEN: .*at least 16") as refused:
        config.load()
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("OPTOUT_METRICS_TOKEN", "")
    assert config.load().metrics_token is None
