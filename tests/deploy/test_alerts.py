"""Prometheus reads the alerts, and they fire when they should: by its own `promtool`."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.deploy.conftest import ROOT

pytestmark = pytest.mark.needs_more
_FOLDER = ROOT / "deploy" / "observability"
_UNPACKED = ROOT / ".cache" / "prometheus"


@pytest.fixture(scope="session")
def promtool() -> str:
    """The command; where it is missing, it is unpacked from Debian's package, so nothing starts."""
    if found := shutil.which("promtool"):
        return found
    if not (_UNPACKED / "usr").exists():
        if not shutil.which("apt-get"):
            pytest.skip("promtool is missing; it comes with Prometheus")
        _UNPACKED.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-q", "update"], check=False)  # as root only
        subprocess.run(["apt-get", "-q", "download", "prometheus"], cwd=_UNPACKED, check=True)
        [package] = _UNPACKED.glob("*.deb")
        subprocess.run(["dpkg", "-x", package, _UNPACKED], check=True)
    return str(_UNPACKED / "usr" / "bin" / "promtool")


@pytest.mark.parametrize(
    "command", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")]
)
def test_prometheus_accepts_the_alerts_and_their_tests(
    promtool: str, command: tuple[str, ...]
) -> None:
    ran = subprocess.run(
        [promtool, *command], cwd=_FOLDER, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
