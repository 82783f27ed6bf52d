"""Which process has the other end of a connection on this machine, as Linux lists it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_INODE = 9  # of the columns of /proc/net/tcp


def owner_of(port: int, to_port: int, processes: Iterable[int]) -> int | None:
    """Find the process that connected from a port of 127.0.0.1 to another port.

    Args:
        port: the client's.
        to_port: the server's.
        processes: process ids to look at.
    """
    inode = _inode_of(port, to_port)
    return next((pid for pid in processes if inode and _has(pid, f"socket:[{inode}]")), None)


def _inode_of(port: int, to_port: int) -> str | None:
    ends = f"0100007F:{port:04X}", f"0100007F:{to_port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1], fields[2]) == ends:
            return fields[_INODE]
    return None


def _has(pid: int, socket: str) -> bool:
    try:
        files = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False  # it ended
    for file in files:
        try:
            if os.readlink(f"/proc/{pid}/fd/{file}") == socket:
                return True
        except OSError:
            continue  # it was closed meanwhile
    return False
