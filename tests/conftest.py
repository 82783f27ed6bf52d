"""Servers and installations for tests that need real servers; which tests run in parallel.

Three tiers. `make unit` runs the first tier: tests/unit, tests/property and tests/field, which
need no server. `make test` adds tests that need one broker and one Redis, several at a time.
`make test-all` adds the tests that are marked ``needs_more``. Tests that are named run one by one.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 - its plugin's own late import crashes Python 3.11's parser
import pytest

from deploy.local import stack
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests import examples  # noqa: F401 - how long hypothesis looks

IN_CI = bool(os.environ.get("CI"))
SERVERS = ("OPTOUT_KAFKA_BOOTSTRAP", "OPTOUT_REDIS_URL")
AT_ONCE = 4  # processes, which mostly wait
DATABASES = 16  # of a Redis
FIRST_TIER = tuple(Path(__file__).parent / name for name in ("unit", "property", "field"))
FIRST_TIER_S = 60.0  # for each test; pyproject.toml has the others' limit
NEEDS_MORE_S = 1_800.0  # servers are built and started, faults last minutes
MARKED_BY_FIXTURE = ("servers", "browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that the Makefile passes."""
    parser.addoption(
        "--part",
        choices=["one-of-each", "needs-more"],
        help="run only the tests that need one broker and one Redis, or only the others; "
        "nothing is left out where tests are chosen by path, -k or -m",
    )


def _part(config: pytest.Config) -> str | None:
    """The half to run; None if tests are named."""
    if hasattr(config, "workerinput"):  # one of several processes, which gets all files
        part: str | None = config.workerinput["part"]
        return part
    named = config.args_source is config.ArgsSource.ARGS
    chosen = named or config.option.keyword or config.option.markexpr
    return None if chosen else config.getoption("part")


def pytest_configure_node(node: Any) -> None:
    """Pass the half to run on to a process."""
    node.workerinput["part"] = _part(node.config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the first half in parallel, each file in one process, unless -n says otherwise.

    The other half runs one by one: its tests start servers, and measure response times.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # otherwise each process would start more processes
    if config.option.numprocesses is None and _part(config) == "one-of-each":
        config.option.numprocesses = AT_ONCE
        config.option.dist = "loadfile"


def pytest_configure(config: pytest.Config) -> None:
    """Give each process its own database, and check which tests start servers."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    url = os.environ.get("OPTOUT_REDIS_URL", "")
    if worker and url.endswith("/0"):
        number = int(worker.removeprefix("gw")) % DATABASES
        os.environ["OPTOUT_REDIS_URL"] = f"{url.removesuffix('/0')}/{number}"
    stack.Server.launch = _launch  # type: ignore[assignment, method-assign]


_real_launch = stack.Server.launch
_running: pytest.Item | None = None


def _launch(server: stack.Server) -> None:
    """Start a server only for a test that is marked for it, or a test may run without a server."""
    if _running and not _running.get_closest_marker("needs_more"):
        pytest.fail(f"{_running.nodeid} starts a server: mark it needs_more")
    _real_launch(server)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note the test whose fixtures and body run."""
    global _running
    _running = item


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test by what it needs, limit its time, and leave out the other half."""
    limited = config.getoption("timeout") is not None  # on the command line
    for item in items:
        _mark_by_fixtures(item)
        if not limited and item.get_closest_marker("timeout") is None:
            _limit(item)
    if (part := _part(config)) is None:
        return
    needs_more = part == "needs-more"
    halves: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        halves[item.get_closest_marker("needs_more") is not None].append(item)
    config.hook.pytest_deselected(items=halves[not needs_more])
    items[:] = halves[needs_more]


def _mark_by_fixtures(item: pytest.Item) -> None:
    """Mark a test whose fixtures start or use a server or a browser.

    Raises:
        UsageError: it is of the first tier, which `make unit` runs without either.
    """
    needed = set(MARKED_BY_FIXTURE).intersection(getattr(item, "fixturenames", ()))
    for name in needed:
        item.add_marker(name)
    if needed and _is_of_the_first_tier(item):
        raise pytest.UsageError(f"{item.nodeid} needs more than tests/unit has: move it")


def _limit(item: pytest.Item) -> None:
    """Limit a test's time by its tier; pyproject.toml has the limit of all the others."""
    if _is_of_the_first_tier(item):
        item.add_marker(pytest.mark.timeout(FIRST_TIER_S))
    elif item.get_closest_marker("needs_more"):
        item.add_marker(pytest.mark.timeout(NEEDS_MORE_S))


def _is_of_the_first_tier(item: pytest.Item) -> bool:
    return any(folder in item.path.parents for folder in FIRST_TIER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a skipped test counts as failed."""
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
    """A fresh installation that no other test uses."""
    async with an_installation() as made:
        yield made


@asynccontextmanager
async def an_installation() -> AsyncIterator[Settings]:
    """The settings of an unused installation; its topics are created, and deleted at the end.

    Each partition costs the broker open files, and those of all tests would exceed its limit.
    """
    made = Settings(
        topic_prefix=f"t{uuid.uuid4().hex[:12]}.",
        partitions=4,
        session_timeout_s=2,
        roles=("match", "gate"),  # no webhooks, which call applications outside
    )
    await topic_admin.create(made)
    try:
        yield made
    finally:
        async with topic_admin._admin(made) as admin:
            # Further installations that the test made have its prefix, too.
            ours = [name for name in await admin.list_topics() if made.topic_prefix in name]
            await admin.delete_topics(ours)
