"""The console without a browser: its forms are loaded and sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.installation import DEADLINE_S


@asynccontextmanager
async def signed_in(base: str, user: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the console that has signed in."""
    async with httpx.AsyncClient(base_url=base, timeout=DEADLINE_S) as client:
        await send_form(client, "/console/sign-in", user=user, token=token)
        yield client


async def send_form(client: httpx.AsyncClient, path: str, **given: str) -> httpx.Response:
    """Load a page with a form, and submit it with these values."""
    form = await client.get(path)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form.text))
    assert "csrf" in hidden, form.text
    return await client.post(path, data={**hidden, **given})


async def sign_out(client: httpx.AsyncClient) -> None:
    """End the session, as the button on each page does."""
    page = await client.get("/console")
    csrf = re.findall(r'<input type="hidden" name="csrf" value="([^"]*)"', page.text)[0]
    assert (await client.post("/console/sign-out", data={"csrf": csrf})).status_code == 303
