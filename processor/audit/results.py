"""The files of a directory beside the states: the last result, the snapshots, a lock."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from processor.audit.options import Snapshot
from processor.audit.report import Report, Violation
from processor.audit.state import StateRefused

_VERSION = 2
_NAME, _SNAPSHOTS = "result.json", "snapshots.json"


@contextmanager
def alone_in(directory: Path | None) -> Iterator[None]:
    """Make the directory, and keep other audits out of it.

    Raises:
        StateRefused: another audit works there, or it cannot be made.
    """
    if directory is None:
        yield
        return
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "lock").open("w")
    except OSError as error:
        raise StateRefused(f"{directory}: {error.strerror}; see OPTOUT_AUDIT_DIRECTORY") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateRefused(
                f"{directory}: another audit works there; wait for it, or print its last result"
                " with --last"
            ) from None
        yield


def keep_snapshots(directory: Path, snapshots: Sequence[Snapshot]) -> None:
    """Write the snapshots up to which will be audited, oldest first."""
    fields = [
        {
            "at_ms": one.at_ms,
            "offsets": {
                topic: {str(number): at for number, at in its.items()}
                for topic, its in one.offsets.items()
            },
        }
        for one in snapshots
    ]
    _replace(directory / _SNAPSHOTS, {"version": _VERSION, "snapshots": fields})


def snapshots(directory: Path) -> list[Snapshot]:
    """Read the snapshots; none where the file is missing, damaged or of another version."""
    try:
        fields = orjson.loads((directory / _SNAPSHOTS).read_bytes())
        return [
            Snapshot(
                one["at_ms"],
                {
                    topic: {int(number): at for number, at in its.items()}
                    for topic, its in one["offsets"].items()
                },
            )
            for one in fields["snapshots"]
            if fields["version"] == _VERSION
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # new snapshots come soon


def _replace(path: Path, fields: Mapping[str, object]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(orjson.dumps(fields))
    new.replace(path)


def keep(directory: Path, report: Report) -> None:
    """Write a result; a reader sees the old one or the new one."""
    _replace(directory / _NAME, {"version": _VERSION, **as_fields(report)})


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
    for pattern in ("partition-*.sqlite*", "services.sqlite*", f"{_NAME}*", f"{_SNAPSHOTS}*"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


def as_fields(report: Report) -> Mapping[str, object]:
    """Make the values of JSON."""
    violations = [
        {"kind": one.kind, "where": one.where, "what": one.what} for one in report.violations
    ]
    return {"counts": report.counts, "violations": violations, "until_ms": report.until_ms}
