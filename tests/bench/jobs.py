"""Each process is a worker; this has its job, its answer, and how it is started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

Role = Literal["passthrough", "match", "gate", "one_service", "many_services", "faust"]
ROLES: tuple[Role, ...] = get_args(Role)  # the services' two are match lanes
READY = b"ready\n"
_READY_S = 60.0
_MEASURED_S = 600.0


class Broken(Exception):
    """A worker ended badly, or its outputs do not add up."""


@dataclass(frozen=True, slots=True)
class Job:
    """The job of a worker."""

    role: Role
    prefix: str  # of its own installation: group, outputs, and the block list that match writes
    source_prefix: str  # of the one that holds load, services, and the block list a gate reads
    records: int  # how many there are to read; 0: work until SIGTERM
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """A worker's report on its run, without the start."""

    records: int
    seconds: float  # from the first record read to the last batch committed
    cpu_seconds: float  # of the process, meanwhile
    batches: int
    peak_rss_mb: float
    services_s: float = 0.0  # until the configuration was loaded
    services_rss_mb: float = 0.0  # growth of the process meanwhile

    @property
    def per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds


async def measure(job: Job, checkout: Path | None = None) -> Measured:
    """Run a worker to its end.

    Args:
        job: what it does.
        checkout: of another version, with its `.venv`, whose worker runs; None: this one's.

    Raises:
        Broken: it failed, or took longer than ten minutes.
    """
    async with _process(job, checkout) as process:
        try:
            answer, _ = await asyncio.wait_for(process.communicate(), _MEASURED_S)
        except TimeoutError:
            raise Broken(f"{job.role}: not done after {_MEASURED_S:.0f} s") from None
    if process.returncode != 0:
        raise Broken(f"{job.role}: the worker ended with {process.returncode}")
    *report, measured = answer.decode().splitlines()
    if job.profile:
        print("\n".join(report).removeprefix(READY.decode()))
    return Measured(**orjson.loads(measured))


async def prepare(asked: Mapping[str, Any], checkout: Path) -> dict[str, dict[str, int]]:
    """Have another version prepare its runs; what each load must come to, see `other_version`.

    Raises:
        Broken: it cannot.
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
    """A worker that is running on every partition, until the block ends.

    Raises:
        Broken: it was not there within a minute.
    """
    async with _process(job) as process:
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _READY_S)
        except TimeoutError:
            line = b""
        if line != READY:
            raise Broken(f"{job.role}: not ready within {_READY_S:.0f} s")
        yield


@asynccontextmanager
async def _process(job: Job, checkout: Path | None = None) -> AsyncIterator[Process]:
    python = str(checkout / ".venv/bin/python") if checkout else sys.executable
    command = (python, "-m", "tests.bench.worker", orjson.dumps(asdict(job)).decode())
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=checkout)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()
