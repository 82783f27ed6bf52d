"""The API as operators run it, a process with uvicorn's own loop: its log and its timeouts.

It needs no broker to start: it waits for one.
"""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import sys
from pathlib import Path

import httpx
import pytest

from tests.edge import FORM, HALF, LAST, NOBODY, Pki, heard
from tests.processes import Process, a_port, started

API = (sys.executable, "-m", "processor", "api")
ALONE = {"OPTOUT_KAFKA_BOOTSTRAP": NOBODY, "OPTOUT_REDIS_URL": f"redis://{NOBODY}/0"}


async def port_of(api: Process) -> int:
    """The address it listens on, as its log says."""
    await api.says("API at ")
    await api.says("api.waits")
    found = re.search(r"API at https?://127\.0\.0\.1:(\d+)", api.said)
    assert found, api.said
    return int(found[1])


async def test_half_sent_requests_silence_and_trickles_end_in_the_process_too() -> None:
    limits = {"OPTOUT_API_HEADER_S": "1", "OPTOUT_API_CLIENT_CONNECTIONS": "600"}
    async with started(API, **ALONE, **limits, OPTOUT_API_PORT=str(a_port())) as api:
        port = await port_of(api)

        async def sent(given: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(given)
            return await heard(reader, writer)

        half, silent, slow, large = await asyncio.gather(
            asyncio.gather(*(sent(HALF) for _ in range(400))),
            sent(b""),
            sent(FORM + b"1000\r\n\r\nsome of it"),
            sent(HALF + b"x" * 100_000),
        )
        assert {one[:13] for one in half} == {b"HTTP/1.1 408 "}
        assert (silent, slow[:13], large[:13]) == (b"", b"HTTP/1.1 408 ", b"HTTP/1.1 431 ")
        assert (await sent(LAST)).startswith(b"HTTP/1.1 200 ")
        assert await api.ends(signal.SIGTERM) == 0
    assert "Traceback" not in api.said


async def test_tls_is_spoken_and_a_handshake_that_does_not_come_ends(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    files = {"OPTOUT_API_CERTFILE": pki.certfile, "OPTOUT_API_KEYFILE": pki.keyfile}
    limits = {"OPTOUT_API_HEADER_S": "3"}  # a busy machine's own handshake takes a second
    async with started(API, **ALONE, **files, **limits, OPTOUT_API_PORT=str(a_port())) as api:
        port = await port_of(api)
        assert f"API at https://127.0.0.1:{port}" in api.said
        async with httpx.AsyncClient(verify=pki.client) as client:
            answer = await client.get(f"https://127.0.0.1:{port}/livez")
            assert answer.status_code == 200
        assert await heard(*await asyncio.open_connection("127.0.0.1", port)) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=pki.client)
        writer.write(HALF)
        assert (await heard(reader, writer)).startswith(b"HTTP/1.1 408 ")
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
        assert await api.ends(signal.SIGTERM) == 0
    assert "Traceback" not in api.said


@pytest.mark.parametrize(
    ("more", "warns"),
    [
        ({}, False),
        ({"OPTOUT_API_HOST": "0.0.0.0"}, True),
        ({"OPTOUT_API_HOST": "0.0.0.0", "OPTOUT_PUBLIC_URL": "https://optout.example"}, False),
    ],
)
async def test_credentials_in_clear_are_warned_of_where_people_and_logs_are(
    more: dict[str, str], warns: bool
) -> None:
    async with started(API, **ALONE, **more, OPTOUT_API_PORT=str(a_port())) as api:
        await port_of(api)
        assert ("\nwarning: OPTOUT_API_HOST is 0.0.0.0" in api.said) is warns
        assert ("api.clear_text why=OPTOUT_API_HOST is 0.0.0.0" in api.said) is warns
