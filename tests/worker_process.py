"""Workers as operators run them: separate processes, observed from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from deploy.local import stack
from processor.config import Settings
from tests.installation import until

DEADLINE_S = 120.0
_HOLD_S = 3.0
_LOOK_S = 0.25
_ASK_S = 2.0
_COMPILES_AGAIN = "PYTHONDONTWRITEBYTECODE"
_ROOT = Path(__file__).resolve().parents[1]
_PORT = re.compile(r"web +\| http://localhost:(\d+)/")
_TAKEN = re.compile(r"^(\S+)Z .*lane\.taken group=\S*(match|gate) partition=(\d+) ", re.MULTILINE)
_WORKS = re.compile(r'^optout_lane_works{partition="(\d+)",role="(\w+)"} 1\.0$', re.MULTILINE)

Place = tuple[str, int]
"""A role and one of its partitions."""


@dataclass(frozen=True, slots=True)
class Take:
    """A lane that started working, by the worker's own log."""

    at_ms: int
    place: Place
    log: Path  # of the process


@dataclass(frozen=True, slots=True)
class Version:
    """A checkout, and the Python that runs it."""

    root: Path
    python: str

    async def run(self, settings: Settings, *arguments: str) -> None:
        """Run `optout` to its end.

        Raises:
            RuntimeError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            *(self.python, "-m", "processor", *arguments),
            cwd=self.root,
            env=_environment(settings, self),
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        if await process.wait():
            raise RuntimeError(f"{self.root}: optout {' '.join(arguments)} failed")


OURS = Version(_ROOT, sys.executable)


@contextmanager
def version(named: str) -> Iterator[Version]:
    """Another version: a checkout's folder, or a commit of this repository.

    A commit is checked out into a temporary folder, and runs in this checkout's Python.
    """
    if Path(named).is_dir():
        root = Path(named).resolve()
        python = root / ".venv/bin/python"
        yield Version(root, str(python) if python.exists() else sys.executable)
        return
    with tempfile.TemporaryDirectory() as directory:
        stack.run(["git", "-C", str(_ROOT), "archive", "-o", f"{directory}/all.tar", named])
        stack.run(["tar", "-xf", f"{directory}/all.tar", "-C", directory])
        yield Version(Path(directory), sys.executable)


def _environment(settings: Settings, version: Version) -> dict[str, str]:
    # An installed worker does not compile its modules at each start.
    inherited = {name: value for name, value in os.environ.items() if name != _COMPILES_AGAIN}
    return inherited | {
        "OPTOUT_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "OPTOUT_REDIS_URL": settings.redis_url,
        "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
        "OPTOUT_PARTITIONS": str(settings.partitions),
        "OPTOUT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
        "OPTOUT_ROLES": "match,gate",
        "PYTHONPATH": str(version.root),
    }


class WorkerProcess:
    """A worker that may be started repeatedly.

    Args:
        settings: of the installation.
        log: path of its log; the number of the start is appended to the name.
        instance_id: makes it a static member.
        version: the code that it runs.
        revived: whether it is restarted when it ends by itself, as an orchestrator would do;
            otherwise the test fails.
    """

    def __init__(
        self,
        settings: Settings,
        log: Path,
        instance_id: str | None = None,
        version: Version = OURS,
        *,
        revived: bool = False,
    ) -> None:
        self.ended_ms: list[int] = []  # when it was found ended by itself
        self._log = log
        self._logs: list[Path] = []
        self._version = version
        self._revived = revived
        self._environment = _environment(settings, version)
        if instance_id:
            self._environment["OPTOUT_INSTANCE_ID"] = instance_id
        self._process: Process | None = None

    async def launch(self) -> None:
        """Start it, and wait for nothing."""
        self._logs.append(self._log.with_name(f"{self._log.name}.{len(self._logs)}"))
        with self._logs[-1].open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *stack.tied_to_this_process("KILL", (self._version.python, "-m", "processor")),
                "worker",
                cwd=self._version.root,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    async def start(self) -> None:
        """Start it, and wait until it is ready and works for both roles."""
        await self.launch()

        async def works() -> bool:
            return await self.is_ready() and {role for role, _ in await self.works_at()} == {
                "match",
                "gate",
            }

        await until(works, "worker that works", DEADLINE_S)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """Stop it like an orchestrator: SIGTERM, and wait."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # a frozen process does not get SIGTERM
            await asyncio.wait_for(self._process.wait(), DEADLINE_S)

    async def kill(self) -> None:
        """Send SIGKILL, and wait."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    def takes(self) -> list[Take]:
        """The partitions that the lanes of all its processes took, in order."""
        return [
            Take(_ms(at), (role, int(partition)), log)
            for log in self._logs
            for at, role, partition in _TAKEN.findall(log.read_text())
        ]

    async def is_ready(self) -> bool:
        """Whether it reports that it is ready; False if it does not answer."""
        return await self._page("readyz") is not None

    async def works_at(self) -> set[Place]:
        """The places of its working lanes; empty if it does not answer."""
        page = await self._page("metrics") or ""
        return {(role, int(partition)) for partition, role in _WORKS.findall(page)}

    async def _page(self, name: str) -> str | None:
        assert self._process is not None
        said = self._logs[-1].read_text()
        if self._process.returncode is not None:
            assert self._revived, said[-2000:]
            self.ended_ms.append(time.time_ns() // 1_000_000)
            await self.launch()
            return None
        if not (port := _PORT.search(said)):
            return None
        timeout = aiohttp.ClientTimeout(_ASK_S)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{port[1]}/{name}") as answer,
            ):
                return await answer.text() if answer.ok else None
        return None


@asynccontextmanager
async def stopped_at_the_end(workers: Sequence[WorkerProcess]) -> AsyncIterator[None]:
    """Stop all of them, however the block ends."""
    try:
        yield
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))


async def settled(workers: Sequence[WorkerProcess], settings: Settings) -> None:
    """Wait until, for a while, one worker has each partition and each worker has partitions.

    Args:
        workers: all members of the groups; none may be frozen.
        settings: of the installation.
    """
    places = {(role, one) for role in ("match", "gate") for one in range(settings.partitions)}
    loop = asyncio.get_running_loop()
    since: float | None = None

    async def long_enough() -> bool:
        nonlocal since
        works = await asyncio.gather(*(worker.works_at() for worker in workers))
        each = all({role for role, _ in one} == {"match", "gate"} for one in works)
        if not each or Counter(place for one in works for place in one) != Counter(places):
            since = None
            return False
        since = since or loop.time()
        await asyncio.sleep(_LOOK_S)
        return loop.time() - since >= _HOLD_S

    await until(long_enough, "owner of every partition", DEADLINE_S)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
