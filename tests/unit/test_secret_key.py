"""The key of a machine for which no key is set."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from processor.cli import secret_key
from processor.config import Settings


def test_it_is_made_once_and_only_its_owner_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "secret-key"
    monkeypatch.setattr(secret_key, "FILE", file)
    key = secret_key.of_this_machine()
    assert secret_key.of_this_machine() == key
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert Settings(secret_keys=SecretStr(key)).sealing_keys() == (bytes.fromhex(key),)
