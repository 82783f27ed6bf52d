"""Settings that contradict each other, or say something impossible, are named."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from processor import config
from processor.errors import ConfigError


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
