"""Commands, as a person would give them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner, Result

from processor.cli import main
from processor.config import Settings

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def optout(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Gives a command to this installation, in a thread of its own, as it has its own loop."""
    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("OPTOUT_PARTITIONS", str(settings.partitions))

    async def give(*arguments: str, given: str | None = None, code: int = 0) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, main, arguments, input=given)
        assert result.exit_code == code, result.output + str(result.exception)
        return result

    return give
