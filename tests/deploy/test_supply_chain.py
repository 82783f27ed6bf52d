"""The contents of the image: a bill of materials, and advisories about it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy import audit, sbom
from tests.deploy.conftest import ROOT

LOCK = (ROOT / "deploy" / "image.lock").read_text("utf-8")
WRITTEN = (ROOT / "deploy" / "sbom.cdx.json").read_text("utf-8")
BILL = json.loads(WRITTEN)
COMPONENTS = {one["name"]: one for one in BILL["components"]}


def test_the_bill_is_what_the_lock_makes() -> None:
    assert sbom.made() == WRITTEN, "make sbom"


def test_the_bill_is_as_cyclonedx_asks() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(WRITTEN) is None
    assert validator.validate_str(json.dumps(BILL | {"componentz": []})) is not None


def test_the_bill_has_every_locked_package_with_its_version_and_hashes() -> None:
    # The lock is read here in another way than the bill's maker reads it.
    wanted: dict[str, tuple[str, set[str]]] = {}
    name = ""
    for line in LOCK.splitlines():
        if pinned := re.match(r"([a-z0-9-]+)==([^ ;]+)", line):
            name = pinned[1]
            wanted[name] = (pinned[2], set())
        elif line.startswith("    --hash=sha256:"):
            wanted[name][1].add(line.split(":")[1].rstrip(" \\"))
    assert len(wanted) > 70
    assert {
        name: (
            one["version"],
            {
                digest["content"]
                for reference in one["externalReferences"]
                for digest in reference["hashes"]
                if digest["alg"] == "SHA-256"
            },
        )
        for name, one in COMPONENTS.items()
    } == wanted
    assert all(
        one["purl"] == f"pkg:pypi/{name}@{one['version']}" for name, one in COMPONENTS.items()
    )


def test_the_bill_tells_what_is_not_in_the_image() -> None:
    excluded = {name for name, one in COMPONENTS.items() if one["scope"] == "excluded"}
    assert excluded == {"colorama", "setuptools"}


def test_each_package_is_there_for_another() -> None:
    needs = {one["ref"]: one.get("dependsOn", []) for one in BILL["dependencies"]}
    reached, left = set(), ["optout"]
    while left:
        one = left.pop()
        reached.add(one)
        left += [each for each in needs[one] if each not in reached]
    assert reached == {*COMPONENTS, "optout"} - {"setuptools"}
    assert {"aiokafka", "redis", "fastapi"} <= set(needs["optout"])


def test_what_a_source_does_not_know_is_not_taken_for_good() -> None:
    # pip-audit's own words for this are "No known vulnerabilities found", and it ends with 0.
    unknown = {"name": "redis", "skip_reason": "Dependency not found on PyPI"}
    found = audit.audit_of(json.dumps({"dependencies": [unknown], "fixes": []}))
    assert found == audit.Audit(looked_up=(), passed_over=("redis",), found=())
    assert audit.audit_of("") is None
    assert audit.audit_of("Traceback (most recent call last):") is None
    assert audit.audit_of("[]") is None


HASH = "0" * 64


@contextmanager
def an_osv_server(advisories: dict[str, list[dict[str, Any]]], status: int = 200) -> Iterator[str]:
    """A source of advisories by package, that speaks as OSV does."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = json.dumps({"vulns": advisories.get(asked["package"]["name"], [])}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def run(lock: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "deploy/audit.py", *arguments, str(lock)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "some.lock"
    file.write_text(
        f"jinja2==3.1.0 \\\n    --hash=sha256:{HASH}\nredis==8.0.0 \\\n    --hash=sha256:{HASH}\n"
    )
    return file


ADVISORY = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-01-01T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "details": "an attribute escapes the sandbox",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.1.6"}]}],
        }
    ],
}


def test_an_advisory_fails_and_names_what_mends_it(lock: Path) -> None:
    with an_osv_server({"jinja2": [ADVISORY]}) as url:
        done = run(lock, "--osv-url", url)
    assert done.returncode == 1, done.stderr
    assert "2 packages of some.lock looked up" in done.stdout
    assert "jinja2 3.1.0: GHSA-0000-0000-0000, fixed in 3.1.6\n" in done.stdout


def test_without_an_advisory_it_passes_and_says_what_it_asked(lock: Path) -> None:
    with an_osv_server({}) as url:
        done = run(lock, "--osv-url", url, "--strict")
    assert (done.returncode, done.stdout) == (
        0,
        f"2 packages of some.lock looked up at {url}\n",
    )


def test_where_no_source_answers_it_says_that_nothing_was_audited(lock: Path) -> None:
    with an_osv_server({}, status=503) as url:
        passed, strict = (run(lock, "--osv-url", url, *more) for more in ((), ("--strict",)))
    assert (passed.returncode, strict.returncode) == (0, 1)
    assert passed.stdout.startswith("NOT AUDITED: no advisory source answers")
    assert passed.stdout == strict.stdout
