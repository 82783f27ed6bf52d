"""Helm, from where it is or from Go's registry, and what it makes of the chart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "optout"
HELM = "v3.19.0"
KUBERNETES = "1.31.0"  # whose features are there to be rendered for

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def helm() -> str:
    """The command; built once, some two minutes, where there is none."""
    if found := shutil.which("helm"):
        return found
    folder = ROOT / ".cache" / f"helm-{HELM}"
    if not (folder / "helm").exists():
        if not shutil.which("go"):
            pytest.skip("neither helm nor Go is here; on Debian: sudo apt-get install -y golang")
        subprocess.run(
            ["go", "install", f"helm.sh/helm/v3/cmd/helm@{HELM}"],
            env={**os.environ, "GOBIN": str(folder)},
            check=True,
        )
    return str(folder / "helm")


def template(
    helm: str, arguments: Sequence[str], *, chart: Path = CHART
) -> subprocess.CompletedProcess[str]:
    """Render a chart with `helm template` as release `here`, with values given as `a.b=c`."""
    values = [part for one in arguments for part in ("--set-json", one)]
    return subprocess.run(
        [helm, "template", "here", str(chart), "--kube-version", KUBERNETES, *values],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def render(helm: str) -> Render:
    """Renders the chart with values; its manifests, hooks and tests too."""
    known: dict[tuple[str, ...], list[Manifest]] = {}

    def made(*values: str) -> list[Manifest]:
        if values not in known:
            done = template(helm, values)
            assert done.returncode == 0, done.stderr
            known[values] = [one for one in yaml.safe_load_all(done.stdout) if one]
        return known[values]

    return made
