"""Start a process for each worker: its job, its results, and how it is started."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from tests.bench.programs import READY, Broken, answer_of, program, wait_ready

Role = Literal["passthrough", "match", "gate", "one_service", "many_services", "faust"]
ROLES: tuple[Role, ...] = get_args(Role)  # the two for services are match lanes
_READY_S = 60.0
_MEASURED_S = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """The job of one worker."""

    role: Role
    prefix: str  # of its installation: group, outputs, the list that match writes
    source_prefix: str  # of the load's: input, services, the list that a gate reads
    records: int  # how many to read; 0: work until SIGTERM
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one worker's run, without start-up."""

    records: int
    seconds: float  # from the first record read to the last batch committed
    cpu_seconds: float  # of the process in this time
    batches: int
    peak_rss_mb: float
    services_s: float = 0.0  # until the configuration was loaded
    services_rss_mb: float = 0.0  # growth of the process in this time

    @property
    def per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds


async def measure(job: Job, checkout: Path | None = None) -> Measured:
    """Run a worker to its end.

    Args:
        job: of the worker.
        checkout: of another version, with its `.venv`, whose worker runs; None: this version.

    Raises:
        Broken: it failed, or took longer than ten minutes.
    """
    async with _worker(job, checkout) as process:
        *report, measured = await answer_of(process, f"{job.role}: the worker", _MEASURED_S)
    if job.profile:
        print("\n".join(report).removeprefix(READY.decode()))
    return Measured(**orjson.loads(measured))


async def prepare(asked: Mapping[str, Any], checkout: Path) -> dict[str, dict[str, int]]:
    """Let another version prepare its runs; the required results by load, see `other_version`.

    Raises:
        Broken: it failed.
    """
    script = Path(__file__).with_name("other_version.py")
    process = await asyncio.create_subprocess_exec(
        str(checkout / ".venv/bin/python"),
        str(script),
        orjson.dumps(asked).decode(),
        stdout=PIPE,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    answer, _ = await process.communicate()
    if process.returncode != 0:
        raise Broken(f"{checkout}: its load could not be made")
    found: dict[str, dict[str, int]] = orjson.loads(answer.splitlines()[-1])
    return found


@asynccontextmanager
async def live(job: Job) -> AsyncIterator[None]:
    """A worker that runs on every partition, until the block ends.

    Raises:
        Broken: it was not ready within a minute.
    """
    async with _worker(job) as process:
        await wait_ready(process, job.role, _READY_S)
        yield


def _worker(job: Job, checkout: Path | None = None) -> AbstractAsyncContextManager[Process]:
    python = str(checkout / ".venv/bin/python") if checkout else sys.executable
    said = orjson.dumps(asdict(job)).decode()
    return program(python, "-m", "tests.bench.worker", said, cwd=checkout)
