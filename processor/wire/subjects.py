"""The subject of each record of a history, by which an index finds it again."""

from __future__ import annotations

import orjson

from processor.errors import RecordError
from processor.wire.record_index import About


def of_block_change(key: bytes | None, value: bytes | None) -> About:
    """The recipient's subscriber key, and the account.

    Raises:
        RecordError: where it is not a change.
    """
    try:
        return About((key or b"").decode(), _account_of(value))
    except UnicodeDecodeError:
        raise RecordError("key: not UTF-8") from None


def of_configuration_change(key: bytes | None, value: bytes | None) -> About:
    """The account.

    Raises:
        RecordError: where it is not a change.
    """
    return About(_account_of(value))


def _account_of(value: bytes | None) -> str:
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        raise RecordError("not JSON") from None
    account_sid = fields.get("account_sid") if isinstance(fields, dict) else None
    if not isinstance(account_sid, str):
        raise RecordError("account_sid: must be a string")
    return account_sid
