"""The image and its demo: pinned, with few rights, and built from the checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
LINES = DOCKERFILE.read_text("utf-8").replace("\\\n", " ").splitlines()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
PINNED = re.compile(r"^([a-z0-9-]+)==([^ ;]+)(?: ; (.+?))? \\$", re.MULTILINE)
LOCKS = ("requirements.lock", "image.lock", "test.lock")


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.split(" ")[0] == name]


def packages(lock: str) -> set[tuple[str, str]]:
    text = (ROOT / "deploy" / lock).read_text("utf-8")
    return {(name, version) for name, version, _ in PINNED.findall(text)}


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM python\nRUN cd /tmp && sudo pip install x\n")
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert {"DL3003", "DL3004", "DL3006"} <= set(re.findall(r"DL\d{4}", done.stdout))


def test_the_base_is_pinned_by_digest_and_from_no_named_registry() -> None:
    [base] = [one for one in instructions("ARG") if one.startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base)
    assert [one.split(" ")[0] for one in instructions("FROM")] == ["${BASE}", "${BASE}"]


def test_the_demos_images_have_a_version_and_can_be_named_by_digest() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    others = {image for image in images if image != "optout"}
    assert len(others) == 2
    for image in others:
        assert re.fullmatch(r"\$\{(KAFKA|VALKEY)_IMAGE:-[a-z]+/[a-z]+:\d+\.\d[0-9.]*\}", image)
    assert {
        tuple(service["build"]["args"])
        for service in COMPOSE["services"].values()
        if "build" in service
    } == {("BASE",)}


def test_the_demo_runs_every_program_that_serves() -> None:
    commands = [one["command"] for one in COMPOSE["services"].values() if one["image"] == "optout"]
    assert commands == [["topics", "create"], ["worker"], ["api"], ["carriers"]]


def test_the_image_has_its_bill_of_materials() -> None:
    [install] = [line for line in instructions("RUN") if "sbom.cdx.json" in line]
    assert "/opt/optout/share/sbom.cdx.json" in install
    assert [line for line in instructions("COPY") if "deploy/sbom.cdx.json" in line]


def test_it_runs_as_the_chart_says_it_does() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("HEALTHCHECK") == ["NONE"]
    assert instructions("ENTRYPOINT") == ['["optout"]']


def test_what_is_copied_is_let_through_and_there() -> None:
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_has_what_was_tested_and_nothing_for_tests() -> None:
    tested, shipped, unit = (packages(lock) for lock in LOCKS)
    assert shipped <= tested
    assert unit <= tested
    assert {"faust-streaming", "aiokafka", "redis", "setuptools"} <= {name for name, _ in shipped}
    assert {"pytest", "mypy", "playwright"}.isdisjoint(name for name, _ in shipped)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_by_hash(lock: str) -> None:
    text = (ROOT / "deploy" / lock).read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_the_demo_waits_for_what_it_needs() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert how["condition"] in ("service_healthy", "service_completed_successfully")
            assert not healthy or "healthcheck" in services[needed]
    assert {
        service["build"]["dockerfile"] for service in services.values() if "build" in service
    } == {"deploy/Dockerfile"}
