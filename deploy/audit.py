"""Ask advisory sources about the locked packages with pip-audit; report if none answers.

    python deploy/audit.py [--osv-url URL] [--strict] [LOCK]

LOCK is `deploy/requirements.lock`, which includes the image's packages. The exit code is 1 if an
advisory is found, or, with --strict, if a package was not looked up; else 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

LOCK = Path(__file__).resolve().parent / "requirements.lock"
TIMEOUT_S = 300


class Audit(NamedTuple):
    """A source's answer. pip-audit skips packages that it does not know, and reports success."""

    looked_up: tuple[str, ...]
    passed_over: tuple[str, ...]
    found: tuple[str, ...]  # package, version, advisory and fixed versions


def audit_of(answer: str) -> Audit | None:
    """Read pip-audit's JSON; None if it is not JSON, as when the source does not answer."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return Audit(
        looked_up=tuple(one["name"] for one in packages if "skip_reason" not in one),
        passed_over=tuple(one["name"] for one in packages if "skip_reason" in one),
        found=tuple(
            f"{one['name']} {one['version']}: {advisory['id']}, fixed in "
            f"{', '.join(advisory['fix_versions']) or 'no version yet'}"
            for one in packages
            for advisory in one.get("vulns", ())
        ),
    )


def ask(source: Sequence[str], lock: Path) -> Audit | None:
    """Ask one source; None if it does not answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *source]
    command += ["--require-hashes", "--disable-pip", "--format=json", "--progress-spinner=off"]
    command += ["--desc=off", "--timeout=10"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    audit = audit_of(done.stdout)
    return audit if audit and audit.looked_up else None


def main() -> int:
    """Ask the sources in order until one answers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lock", nargs="?", type=Path, default=LOCK)
    parser.add_argument("--osv-url", help="ask this OSV server and no other source")
    parser.add_argument("--strict", action="store_true", help="fail if a package was not looked up")
    given = parser.parse_args()
    sources = {"OSV": ["--vulnerability-service=osv"], "PyPI": ["--vulnerability-service=pypi"]}
    if given.osv_url:
        sources = {given.osv_url: ["--vulnerability-service=osv", f"--osv-url={given.osv_url}"]}
    answers = ((name, ask(options, given.lock)) for name, options in sources.items())
    name, audit = next(((name, one) for name, one in answers if one), ("", None))
    if audit is None:
        print(
            f"NOT AUDITED: no advisory source answers ({', '.join(sources)}). The packages of "
            f"{given.lock.name} are unchecked; run this where a source can be reached."
        )
        return int(given.strict)
    print(f"{len(audit.looked_up)} packages of {given.lock.name} looked up at {name}")
    if audit.passed_over:
        print(f"NOT AUDITED, as {name} does not know them: {', '.join(audit.passed_over)}")
    for advisory in audit.found:
        print(advisory)
    return int(bool(audit.found) or (given.strict and bool(audit.passed_over)))


if __name__ == "__main__":
    sys.exit(main())
