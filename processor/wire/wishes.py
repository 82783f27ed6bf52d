"""Whether rows of an import want different things for one person (R33)."""

from __future__ import annotations

from hashlib import blake2b

from processor.json_types import JsonObject

_MOST = 200_000  # persons that are remembered, some 150 bytes each
_WHOSE = ("account_sid", "channel_group", "recipient", "scope", "messaging_service_sid", "sender")


class Wishes:
    """Remembers the wish of each row: to block a person in a place, or to unblock.

    Where two rows differ, the block stays: an unblock behind it is left out, and an unblock before
    it is followed by the block.

    Args:
        most: how many persons are remembered.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._rows: dict[
            bytes, int
        ] = {}  # digest of person and place to the row; negative: unblocks
        self._forgot_a_block = False

    def difference(self, row: int, command: JsonObject) -> str | None:
        """Why a row differs from one before it; None where it does not.

        Args:
            row: its number, from 1.
            command: that it became, with its recipient's subscriber key.
        """
        said = "\0".join(str(command.get(name) or "") for name in _WHOSE)
        key, blocks = blake2b(said.encode(), digest_size=8).digest(), bool(command["blocked"])
        before = self._rows.get(key)
        if before is None:
            return self._new(key, row, blocks=blocks)
        if (before > 0) is blocks:
            return None
        if blocks:
            self._rows[key] = row
            return (
                f"row {-before} unblocks the same recipient: this row was taken, remove the other"
            )
        return f"row {before} blocks the same recipient: this row was left out, remove one of them"

    def _new(self, key: bytes, row: int, *, blocks: bool) -> str | None:
        if len(self._rows) < self._most:
            self._rows[key] = row if blocks else -row
            return None
        if blocks:
            self._forgot_a_block = True
            return None
        if self._forgot_a_block:
            return f"unblocks in a file of over {self._most:,} rows: put it into a file of its own"
        return None
