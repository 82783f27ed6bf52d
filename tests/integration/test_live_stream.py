"""The stream of the Live page as a browser reads it: its start and its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import Edit, edit_of_account
from processor.kafka.topics.configuration_writer import configuration
from tests.api import Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, OPERATOR_TOKEN, TOKEN
from tests.forms import signed_in
from tests.installation import DEADLINE_S, until
from tests.processes import environment, started

_API = (sys.executable, "-m", "processor", "api")


@asynccontextmanager
async def streaming(base: str, user: str, token: str) -> AsyncIterator[httpx.Response]:
    """The stream of a user who signed in."""
    async with (
        signed_in(base, user, token) as client,
        client.stream("GET", "/console/live/events") as stream,
    ):
        yield stream


async def _until(lines: AsyncIterator[str], wanted: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        async for line in lines:
            if line == wanted:
                return
    raise AssertionError(f"the stream ended before {wanted!r}")


async def test_a_new_token_ends_a_stream_and_nobody_gets_one_without_a_session(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api, streaming(api.base, ACCOUNT, TOKEN) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "default-src 'self'" in stream.headers["content-security-policy"]
        lines = stream.aiter_lines()
        await _until(lines, "event: begin")
        async with configuration(settings) as stored:

            def rotate() -> list[Edit]:
                before = stored.accounts.get(ACCOUNT)
                return [edit_of_account(before, new_account(settings, ACCOUNT, "b" * 32, "An"))]

            await stored.update(rotate, actor="test")
        await _until(lines, "event: ended")
        async with asyncio.timeout(DEADLINE_S):
            assert "event: figures" not in [line async for line in lines]
        strangers = await api.ask("GET", "/console/live/events")
        assert "event: ended" in strangers.text
        assert "event: begin" not in strangers.text


async def test_sigterm_ends_streams_and_waits_for_none(settings: Settings) -> None:
    settings = with_secrets(settings)
    mine = environment(settings) | {"OPTOUT_OPERATOR_TOKENS": OPERATOR_TOKEN}
    async with started(_API, **mine) as process:
        await process.says("API at http://")
        base = process.said.partition("API at ")[2].split()[0]

        async def ready() -> bool:
            try:
                asked = await Api(base, None, "operator", OPERATOR_TOKEN).ask("GET", "/readyz")
            except httpx.HTTPError:
                return False
            return asked.status_code == 200

        await until(ready, "API that is ready")
        async with streaming(base, "operator", OPERATOR_TOKEN) as stream:
            lines = stream.aiter_lines()
            await _until(lines, "event: begin")
            assert await process.ends(signal.SIGTERM) == 0
            assert "event: ended" not in [line async for line in lines]
    assert "graceful shutdown exceeded" not in process.said
    assert "Traceback" not in process.said
