"""`optout up` as a process: it is started, read and stopped as a person would."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from processor.config import Settings
from tests.processes import Process, environment, started

UP = (sys.executable, "-m", "processor", "up", "--seconds", "10")
LAST_WORDS = "blocks list\n"
DEADLINE_S = 240.0


def variables(settings: Settings, state: Path) -> dict[str, str]:
    return environment(settings) | {"XDG_STATE_HOME": str(state)}


def word_after(said: str, before: str) -> str:
    return said.partition(before)[2].split()[0]


@asynccontextmanager
async def upped(
    given: Mapping[str, str], *options: str, signum: int = signal.SIGINT
) -> AsyncIterator[Process]:
    """`optout up` once it has said everything; a signal ends it and its processes, with 0."""
    async with started((*UP, *options), **given) as up:
        try:
            await up.says(LAST_WORDS, DEADLINE_S)
            yield up
        finally:
            code = await up.ends(signum)
        assert code == 0, up.said


def url_of(said: str) -> str:
    """The API's address."""
    return word_after(said, "1. the console\n").removesuffix("/console")


def login(said: str, user: str) -> str:
    """The token of a user."""
    return word_after(said, f"sign in as {user} with ")
