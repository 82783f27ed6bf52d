"""The clock of one process, to be stepped while it runs, where libfaketime is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_LIBRARIES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def libfaketime() -> Path | None:
    """The library, as Debian's package `faketime` installs it."""
    found = [path for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    return found[0] if found else None


class Clock:
    """What a process started with ``command`` takes for the time of day; nothing else is faked."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    def step(self, by_s: int) -> None:
        """Be this much ahead of the real time, or behind it."""
        self._file.write_text(f"{by_s:+d}\n")

    @property
    def command(self) -> Sequence[str]:
        """The prefix of the process's own command."""
        library = libfaketime()
        if library is None:
            return ()
        return (
            "env",
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            # Else a wait by the monotonic clock ends at once: whoever waits for a busy lock spins,
            # Python's threads among them, and a rebalance takes both cores for seconds.
            "FAKETIME_FORCE_MONOTONIC_FIX=0",
            "FAKETIME_CACHE_DURATION=1",
            "NO_FAKE_STAT=1",
        )
