"""A secret key for this machine, for people who try the project without setting a key."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE = (
    Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    / "optout"
    / "secret-key"
)
"""Outside the checkout and the servers' data, so that the key outlives both."""


def of_this_machine() -> str:
    """Read the key in ``FILE``, made the first time; only its owner can read the file."""
    if not FILE.exists():
        FILE.parent.mkdir(parents=True, exist_ok=True)
        new = FILE.with_name(f"{FILE.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32))
        new.rename(FILE)
    return FILE.read_text().strip()
