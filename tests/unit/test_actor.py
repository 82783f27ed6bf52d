"""The actor of a command."""

from __future__ import annotations

import os
import pwd

import pytest

from processor.cli.common import actor


def test_a_command_is_by_the_user_of_the_system() -> None:
    assert actor() == f"cli/{pwd.getpwuid(os.getuid()).pw_name}"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert actor() == "cli/4000000001"
