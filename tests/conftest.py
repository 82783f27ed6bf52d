"""Servers and installations for tests that need the real ones."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager

import hypothesis  # noqa: F401 - its plugin's own late import crashes Python 3.11's parser
import pytest

from processor.config import Settings
from processor.kafka import topic_admin

IN_CI = bool(os.environ.get("CI"))
SERVERS = ("OPTOUT_KAFKA_BOOTSTRAP", "OPTOUT_REDIS_URL")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI allows no skip: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def servers() -> None:
    """A broker and a Redis, as `make test` starts them."""
    missing = [name for name in SERVERS if name not in os.environ]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: run `make test`, or name your own servers")


@pytest.fixture
async def settings(servers: None) -> AsyncIterator[Settings]:
    """An installation of its own: nothing is shared with another test."""
    async with an_installation() as made:
        yield made


@asynccontextmanager
async def an_installation() -> AsyncIterator[Settings]:
    """The settings of an installation that nobody has used, its topics made, and gone at the end.

    A partition costs the broker open files: those of all tests would be more than it may have.
    """
    made = Settings(
        topic_prefix=f"t{uuid.uuid4().hex[:12]}.",
        partitions=4,
        session_timeout_s=2,
        roles=("match", "gate"),  # webhooks ask applications out there
    )
    await topic_admin.create(made)
    try:
        yield made
    finally:
        async with topic_admin._admin(made) as admin:
            # Those of other installations that the test made carry its prefix, too.
            ours = [name for name in await admin.list_topics() if made.topic_prefix in name]
            await admin.delete_topics(ours)
