"""The result of the last audit, beside the states; and how to forget both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from processor.audit.report import Report, Violation
from processor.audit.state import StateRefused

_VERSION = 1
_NAME = "result.json"


def keep(directory: Path, report: Report) -> None:
    """Write a result; a reader sees the old one or the new one."""
    new = directory / f"{_NAME}.new"
    new.write_bytes(orjson.dumps({"version": _VERSION, **as_fields(report)}))
    os.replace(new, directory / _NAME)


def last(directory: Path) -> Report | None:
    """Read the last result; None where no audit has ended.

    Raises:
        StateRefused: the file is damaged or of another version.
    """
    path = directory / _NAME
    try:
        fields = orjson.loads(path.read_bytes())
        if fields["version"] != _VERSION:
            raise StateRefused(f"{path}: version {fields['version']} is unknown; audit again")
        violations = tuple(Violation(**one) for one in fields["violations"])
        return Report(fields["counts"], violations, fields["until_ms"])
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise StateRefused(f"{path}: the file is damaged; run `optout audit` again") from error


def forget(directory: Path) -> None:
    """Remove the result and all states, and nothing else."""
    for pattern in ("partition-*.sqlite*", "services.sqlite*", f"{_NAME}*", "snapshots.json*"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


def as_fields(report: Report) -> Mapping[str, object]:
    """Make the values of JSON."""
    violations = [
        {"kind": one.kind, "where": one.where, "what": one.what} for one in report.violations
    ]
    return {"counts": report.counts, "violations": violations, "until_ms": report.until_ms}
