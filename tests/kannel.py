"""Kannel from Debian: bearerbox, smsbox, and a phone, its fakesmsc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.local import stack
from tests.carriers import SECRETS

_PACKAGES = ("kannel", "kannel-extras", "libmariadb3", "libpcre3", "libhiredis0.14", "libct4")
_CACHE = stack.ROOT / ".cache" / "kannel"
_FAKESMSC = "usr/lib/kannel/test/fakesmsc"
_GOT = re.compile(r"[Gg]ot message \d+: <(\S+) (\S+) \S+ ([^>]*)>")
_ADMIN = "admin"
_CONFIGURATION = """
group = core
admin-port = {admin}
admin-password = {password}
smsbox-port = {box}
box-allow-ip = 127.0.0.1
store-type = spool
store-location = "{home}/spool"
store-dump-freq = 1

group = smsc
smsc = fake
smsc-id = FAKE
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
http-request-retry = 1000
http-queue-delay = 1

group = sms-service
keyword = default
catch-all = yes
max-messages = 0
get-url = "{url}?secret={secret}&id=%I&from=%p&to=%P&text=%b&coding=%c&charset=%C&time=%T"

group = sendsms-user
username = optout
password = "{sendsms_password}"
max-messages = 10
concatenation = true
"""


def root() -> Path:
    """The folder that has Kannel's files: the system's, or Debian's packages unpacked."""
    if shutil.which("bearerbox") and Path("/", _FAKESMSC).exists():
        return Path("/")
    unpacked = _CACHE / "root"
    if not (unpacked / _FAKESMSC).exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        fetched = shutil.which("apt-get") and subprocess.run(
            ["apt-get", "download", *_PACKAGES], cwd=_CACHE, capture_output=True, check=False
        )
        if not fetched or fetched.returncode:
            pytest.skip("Kannel is missing: sudo apt-get install -y kannel kannel-extras")
        for package in _CACHE.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, unpacked], check=True)
    return unpacked


def _command(name: str, *arguments: str) -> list[str]:
    folders = (root() / "usr/lib/x86_64-linux-gnu", root() / "lib/x86_64-linux-gnu")
    libraries = ":".join(map(str, folders))
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(root() / name), *arguments]


@dataclass
class Phone:
    """A phone at the SMSC: it sends one text after another, and keeps the texts that it gets."""

    port: int
    number: str
    received: list[tuple[str, str]] = field(default_factory=list)  # sender and text
    said: str = ""
    _process: Process | None = None
    _reading: asyncio.Task[None] | None = None

    async def text(self, to: str, body: str) -> None:
        """Send a text."""
        await self.off()
        # Its arguments: sender, receiver, kind, text.
        line = f"{self.number} {to} text {body}"
        self._process = await asyncio.create_subprocess_exec(
            *_command(
                _FAKESMSC, "-H", "127.0.0.1", "-r", str(self.port), "-m", "1", "-i", "0", line
            ),
            stdout=PIPE,
            stderr=STDOUT,
            env=os.environ,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            text = line.decode(errors="replace")
            self.said += text
            if found := _GOT.search(text):
                self.received.append((found[1], found[3]))

    async def off(self) -> None:
        """Switch it off: texts to it wait at the gateway."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading


@dataclass
class Kannel:
    """A gateway with one SMSC; both boxes may be killed and started again."""

    bearerbox: stack.Server
    smsbox: stack.Server
    sendsms: str
    spool: Path  # bearerbox's store
    phone: Phone


@asynccontextmanager
async def kannel(home: Path, url: str, number: str) -> AsyncIterator[Kannel]:
    """Run Kannel.

    Args:
        home: for its files.
        url: of the carrier's route.
        number: of the phone.
    """
    (home / "spool").mkdir(parents=True)
    with ExitStack() as held:
        ports = {
            name: held.enter_context(stack.free_port(23_000))
            for name in ("admin", "box", "smsc", "sendsms")
        }
        file = home / "kannel.conf"
        file.write_text(
            _CONFIGURATION.format(
                **ports,
                home=home,
                url=url,
                password=_ADMIN,
                secret=quote(SECRETS["kannel"]["secret"]),
                sendsms_password=SECRETS["kannel"]["password"],
            )
        )
        asked = f"GET /status.txt?password={_ADMIN} HTTP/1.1\r\nHost: kannel\r\n\r\n".encode()
        bearerbox = stack.Server(
            ports["admin"],
            home / "bearerbox.log",
            _command("usr/sbin/bearerbox", "-v", "1", str(file)),
            asked,
            b"HTTP/1.",
        )
        smsbox = stack.Server(
            ports["sendsms"],
            home / "smsbox.log",
            _command("usr/sbin/smsbox", "-v", "1", str(file)),
            b"GET /cgi-bin/sendsms HTTP/1.1\r\nHost: kannel\r\n\r\n",
            b"HTTP/1.",
        )
        held.enter_context(stack.running(bearerbox))
        held.enter_context(stack.running(smsbox))
        phone = Phone(ports["smsc"], number)
        try:
            address = f"http://127.0.0.1:{ports['sendsms']}/cgi-bin/sendsms"
            yield Kannel(bearerbox, smsbox, address, home / "spool", phone)
        finally:
            await phone.off()
