"""The same path by Twilio's clients for Node.js and Go, and the guide's calls by curl."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson
import pytest

from processor.config import Settings
from tests.api import Api, carrier_says, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT
from tests.installation import DEADLINE_S, Installation, running
from tests.integration.test_flow import a_text

pytestmark = pytest.mark.needs_more

CLIENTS = Path(__file__).parents[1] / "clients"
CACHE = Path(__file__).parents[2] / ".cache" / "clients"
BUILD_S = 900.0


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")


async def run(*command: str, cwd: Path, given: bytes = b"", **environment: str) -> str:
    """The output of a command; the test fails if the command does."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | environment
    )
    out, err = await asyncio.wait_for(process.communicate(given), BUILD_S)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def node() -> tuple[Sequence[str], Path]:
    """The client for Node.js, installed as its lock file says."""
    place = CACHE / "node"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "flow.js"):
        shutil.copy(CLIENTS / "node" / name, place)
    await run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=place)
    return ("node", "flow.js"), place


async def go() -> tuple[Sequence[str], Path]:
    """The client for Go, built with the modules that go.sum names."""
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "go-flow"
    build = ("go", "build", "-mod=readonly", "-o", str(program), ".")
    await run(*build, cwd=CLIENTS / "go", GOTOOLCHAIN="local")
    return (str(program),), CLIENTS / "go"


@pytest.mark.parametrize(
    "client",
    [pytest.param(node, marks=needs("npm")), pytest.param(go, marks=needs("go"))],
    ids=["node", "go"],
)
async def test_twilios_client_sees_stop_21610_start_and_sent(
    settings: Settings, client: Callable[[], Awaitable[tuple[Sequence[str], Path]]]
) -> None:
    command, cwd = await client()
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    at = Installation(settings)
    async with running(settings), serving(settings) as api:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=given_to(api)
        )
        async with asyncio.timeout(2 * DEADLINE_S):
            said = await answer(process, at)
            _, err = await process.communicate()
    assert (said, process.returncode) == (["STOP", "START", "SENT", "OK"], 0), err.decode()


def given_to(api: Api) -> dict[str, str]:
    return os.environ | {
        "OPTOUT_API": api.base,
        "ACCOUNT_SID": api.user,
        "AUTH_TOKEN": api.password,
        "SENDER": LONG_CODE,
        "RECIPIENT": RECIPIENT,
    }


async def answer(process: asyncio.subprocess.Process, at: Installation) -> list[str]:
    """Do what the program asks for, until it ends; what it asked for."""
    assert process.stdout is not None
    assert process.stdin is not None
    asked = []
    while line := await process.stdout.readline():
        asked.append(word := line.decode().strip())
        if word in ("STOP", "START"):
            await at.texts(a_text(f"SM{word}", word))
            await at.wait_for(at.topics.reply_sends, 1 if word == "STOP" else 2)
        elif word == "SENT":
            [send] = await at.wait_for(at.topics.allowed_sends, 1)
            await carrier_says(at, send, "sent")
        else:
            break
        process.stdin.write(b"done\n")
        await process.stdin.drain()
    return asked


@needs("curl")
async def test_the_guides_calls_by_curl(settings: Settings, tmp_path: Path) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        login = ("-u", f"{api.user}:{api.password}")

        async def curl(path: str, form: str) -> dict[str, object]:
            call = ("curl", "-sS", "-X", "POST", f"{api.base}{path}", "--data-urlencode", form)
            body: dict[str, object] = orjson.loads(await run(*call, *login, cwd=tmp_path))
            return body

        service = await curl("/v1/Services", "FriendlyName=My First Messaging Service")
        number = await curl(
            f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json", f"PhoneNumber={LONG_CODE}"
        )
        added = await curl(
            f"/v1/Services/{service['sid']}/PhoneNumbers", f"PhoneNumberSid={number['sid']}"
        )
    assert service["friendly_name"] == "My First Messaging Service"
    assert set(added) == {
        *("sid", "account_sid", "service_sid", "date_created", "date_updated"),
        *("phone_number", "country_code", "capabilities", "url"),
    }
