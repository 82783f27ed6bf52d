"""Commands, as a person would give them; and what is logged meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from processor import logs
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


@pytest.fixture
def written() -> Iterator[list[str]]:
    """All log lines of all loggers, at any level, as they would be written."""
    lines: list[str] = []
    formatter = logs.FieldsFormatter()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter.format(record))

    handler, root = Keep(), logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", *logs.CONFIG["loggers"])}
    root.addHandler(handler)
    for name in levels:
        logging.getLogger(name).setLevel(
            logs.CONFIG["loggers"].get(name, {}).get("level", logs.CONFIG["root"]["level"])
        )
    yield lines
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
