"""Commands in processes of their own: how they are started, and their output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from processor.config import Settings
from tests.installation import DEADLINE_S, until

BUILD_S = 900.0
OPTOUT = (sys.executable, "-m", "processor", "worker")


async def run(*command: str, cwd: Path, given: bytes = b"", **environment: str) -> str:
    """The output of a command; fails where the command fails."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | environment
    )
    out, err = await asyncio.wait_for(process.communicate(given), BUILD_S)
    assert process.returncode == 0, err.decode()
    return out.decode()


class Process:
    """A started worker, and its output so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def read(self) -> None:
        """Read what it says until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.said += line.decode()

    async def says(self, words: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it has said something."""

        async def has_said() -> bool:
            return words in self.said

        try:
            await until(has_said, f"{words!r}", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error} in {self.said}") from None

    async def ends(self, signum: int | None = None) -> int:
        """Its exit code, perhaps after a signal."""
        if signum is not None:
            self.process.send_signal(signum)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)


@asynccontextmanager
async def started(command: tuple[str, ...], **environment: str) -> AsyncIterator[Process]:
    """A process, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    worker = Process(process)
    reading = asyncio.create_task(worker.read())
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make a worker part of an installation."""
    return {
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_PARTITIONS": str(settings.partitions),
    }


def a_port() -> int:
    """A free port that the system does not give to a connection before a worker listens there."""
    for port in random.sample(range(28_000, 32_768), 4_768):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
