"""A worker dies with an answered, uncommitted delivery: the repetition has the same token."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from processor.config import Settings
from tests.application import allowing, application
from tests.clinic import CLINIC, a_text, configure
from tests.installation import Installation, running, until

pytestmark = pytest.mark.crash


async def killed(settings: Settings, step: str) -> None:
    """Run webhooks until the worker has killed itself at a step."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.crash.killed_worker", step, "SIGKILL"),
        env=os.environ
        | {
            "OPTOUT_TOPIC_PREFIX": settings.topic_prefix,
            "OPTOUT_PARTITIONS": str(settings.partitions),
            "OPTOUT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
            "OPTOUT_ROLES": "webhooks",
            "OPTOUT_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
        },
    )
    try:
        assert await asyncio.wait_for(process.wait(), 60) == -9
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_r28_what_was_answered_and_not_committed_is_repeated_with_the_same_token(
    settings: Settings,
) -> None:
    at = Installation(allowing(settings, "match"))
    async with application() as app:
        await configure(settings, CLINIC | {"inbound_request_url": app.url("/inbound")})
        async with running(at.settings):
            await at.texts(a_text("M1", "hi"), a_text("M2", "halt"), a_text("M3", "bye"))
            await at.wait_for(at.topics.webhook_deliveries, 3)
        await killed(at.settings, "answered")
        await killed(at.settings, "answered")
        async with running(allowing(settings, "webhooks")):

            async def told_all() -> bool:
                return len({one.message_sid for one in app.told}) == 3

            await until(told_all, "all three told")
            await at.wait_for_no_lag("webhooks")
    by_message = {
        sid: [one for one in app.told if one.message_sid == sid] for sid in ("M1", "M2", "M3")
    }
    assert len(by_message["M1"]) == 3
    for told in by_message.values():
        assert len({one.headers["I-Twilio-Idempotency-Token"] for one in told}) == 1
        assert all(one.fields == told[0].fields for one in told)
