"""A command, then a line of JSON with the most memory of its own process or a child.

The kernel's count of a child begins at the parent's, so each process is asked for its own.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from processor.cli import main

_POLL_S = 0.05


def _tree(process: str) -> Iterator[str]:
    """A process and all below it."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from _tree(child)


def most_kib() -> int:
    """The most memory that a process has had, of those that run now."""
    most = 0
    with suppress(OSError):  # a process has ended meanwhile
        for process in _tree("self"):
            status = Path(f"/proc/{process}/status").read_text()
            if found := re.search(r"VmHWM:\s+(\d+)", status):
                most = max(most, int(found[1]))
    return most


if __name__ == "__main__":
    measured, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_S):
            measured[0] = max(measured[0], most_kib())

    watching = threading.Thread(target=watch)
    watching.start()
    with suppress(SystemExit):  # the result is in the output
        main(standalone_mode=False)
    ended.set()
    watching.join()
    sys.stdout.buffer.write(orjson.dumps({"most_mib": measured[0] / 1024}) + b"\n")
