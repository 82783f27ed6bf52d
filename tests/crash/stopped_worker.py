"""Workers that kill or freeze themselves at a step of the lane."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from processor.config import Role, Settings


@asynccontextmanager
async def worker(
    settings: Settings, step: str, sign: str = "SIGKILL", *, role: Role = "match"
) -> AsyncIterator[Process]:
    """A worker that sends itself a signal when it first reaches a step."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.crash.killed_worker", step, sign),
        env=os.environ
        | {
            "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
            "OPTOUT_PARTITIONS": str(settings.partitions),
            "OPTOUT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
            "OPTOUT_REDIS_URL": settings.redis_url,
            "OPTOUT_ROLES": role,
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def killed(settings: Settings, step: str, *, role: Role = "match") -> None:
    """Run a worker until it has killed itself at a step."""
    async with worker(settings, step, role=role) as process:
        assert await asyncio.wait_for(process.wait(), 60) == -9


async def frozen(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    status = await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)
    return status.rpartition(")")[2].split()[0] == "T"
