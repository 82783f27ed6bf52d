"""Start the programs that are measured, and end them."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

READY = b"ready\n"
_END_S = 30.0


class Broken(Exception):
    """A program failed, or its outputs do not add up."""


@asynccontextmanager
async def program(*command: str, cwd: Path | None = None) -> AsyncIterator[Process]:
    """Run a program until the block ends; its output can be read."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=cwd)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def wait_ready(process: Process, name: str, within_s: float) -> None:
    """Wait for the line by which a program says that it is ready.

    Raises:
        Broken: it said something else, or nothing in time.
    """
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), within_s)
    except TimeoutError:
        line = b""
    if line != READY:
        raise Broken(f"{name}: not ready within {within_s:.0f} s")


async def answer_of(process: Process, name: str, within_s: float) -> list[str]:
    """Wait until a program has ended well; the lines of its output.

    Raises:
        Broken: it failed, or took too long.
    """
    try:
        answer, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        raise Broken(f"{name}: not done after {within_s:.0f} s") from None
    if process.returncode != 0:
        raise Broken(f"{name}: it ended with {process.returncode}")
    return answer.decode().splitlines()
