"""The peer in Java: how it is built, started and measured."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from processor.config import Settings
from processor.wire.topics import Topics
from tests.bench.jobs import Measured
from tests.bench.programs import Broken, answer_of, program, wait_ready

HERE = Path(__file__).parent
_BUILT = HERE.parents[2] / ".cache" / "peers"
_READY_S = 120.0  # a gate reads its copy of the list first
_MEASURED_S = 600.0
_NAME = "Kafka Streams"
_SETTINGS_OF_TUNED = {"commit.interval.ms": "10", "producer.linger.ms": "0"}

PeerRole = Literal["match", "gate"]
OUTPUTS: Mapping[PeerRole, tuple[str, ...]] = {
    "match": ("reply_sends", "opt_out_notifications", "block_changes", "dead_letters"),
    "gate": ("allowed_sends", "message_statuses", "dead_letters"),
}
_SOURCES = {"match": "inbound_messages", "gate": "outbound_messages"}
# Two cores and little that lives long: a collector without threads and barriers takes least CPU.
_HEAPS: Mapping[PeerRole, str] = {"match": "1g", "gate": "2g"}


@dataclass(frozen=True, slots=True)
class PeerJob:
    """The job of one Java process."""

    role: PeerRole
    place: Settings  # of the installation that it writes to
    source_prefix: str  # of the installation that it reads
    list_prefix: str  # of the installation whose `block-list` a gate reads
    records: int  # how many to read; 0: work until SIGTERM
    tuned: bool

    @property
    def application_id(self) -> str:
        """Also the consumer group."""
        return f"{self.place.topic_prefix}{self.role}"

    @property
    def source(self) -> str:
        """The full name of the topic that it reads."""
        return str(getattr(Topics.under(self.source_prefix), _SOURCES[self.role]))

    def as_json(self, state_dir: str) -> str:
        """The argument of the Java program."""
        topics = Topics.under(self.place.topic_prefix)
        named = {name: getattr(topics, name) for name in OUTPUTS[self.role]}
        named["source"] = self.source
        named["block_list"] = Topics.under(self.list_prefix).block_list
        return orjson.dumps(
            {
                "role": self.role,
                "application_id": self.application_id,
                "bootstrap": self.place.kafka_bootstrap,
                "state_dir": state_dir,
                "topics": named,
                "records": self.records,
                "settings": _SETTINGS_OF_TUNED if self.tuned else {},
            }
        ).decode()


@dataclass(frozen=True, slots=True)
class PeerMeasured:
    """A run, and the CPU time of its last quarter, when the JIT is warm."""

    whole: Measured
    warm_cpu_seconds: float


def build() -> None:
    """Compile the program, and fetch its libraries the first time.

    Raises:
        Broken: Java or Maven is missing, or the build failed.
    """
    for tool in ("java", "javac", "mvn"):
        if not shutil.which(tool):
            raise Broken(
                f"{tool} is missing; on Debian: sudo apt-get install -y default-jdk-headless maven"
            )
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), f"-Dout={_BUILT}", "compile"]
    if not (_BUILT / "jars").exists():
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={_BUILT / 'jars'}"]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise Broken(f"the build of {HERE / 'pom.xml'} failed")


def versions() -> dict[str, str]:
    """The versions of Java and of the libraries."""
    banner = subprocess.getoutput("java -version")
    java = re.search(r'version "([^"]+)"', banner)
    pom = (HERE / "pom.xml").read_text()
    found = dict(re.findall(r"<(kafka|jackson)\.version>(.+)</", pom))
    return {
        "java": java[1] if java else "unknown",
        "Kafka Streams": found["kafka"],
        "Jackson": found["jackson"],
    }


def jvm_flags(role: PeerRole) -> tuple[str, ...]:
    """The flags of Java: its collector, and a heap of a fixed size."""
    heap = _HEAPS[role]
    return ("-XX:+UseSerialGC", f"-Xms{heap}", f"-Xmx{heap}")


async def measure(job: PeerJob) -> PeerMeasured:
    """Run a program to its end.

    Raises:
        Broken: it failed, or took longer than ten minutes.
    """
    async with _process(job) as process:
        lines = await answer_of(process, _NAME, _MEASURED_S)
    figures: Mapping[str, float] = orjson.loads(lines[-1])
    whole = Measured(
        records=int(figures["records"]),
        seconds=figures["seconds"],
        cpu_seconds=figures["cpu_seconds"],
        batches=0,
        peak_rss_mb=figures["peak_rss_mb"],
    )
    return PeerMeasured(whole, figures["warm_cpu_seconds"])


@asynccontextmanager
async def live(job: PeerJob) -> AsyncIterator[None]:
    """A program that runs until the block ends.

    Raises:
        Broken: it was not ready in time.
    """
    async with _process(job) as process:
        await wait_ready(process, _NAME, _READY_S)
        yield


@asynccontextmanager
async def _process(job: PeerJob) -> AsyncIterator[Process]:
    classes = f"{_BUILT / 'classes'}:{_BUILT / 'jars'}/*"
    with tempfile.TemporaryDirectory() as state_dir:
        command = ("java", *jvm_flags(job.role), "-cp", classes, "optout.peers.Main")
        async with program(*command, job.as_json(state_dir)) as process:
            yield process
