"""Runs the checks in their order; each has a time limit, and reports its progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from processor.config import Settings
from processor.doctor.findings import Finding, Result, State
from processor.errors import ConfigError, RetryableError
from processor.stores.redis_client import RedisClient

Role = Literal["match", "gate", "webhooks", "carriers", "rates", "api", "operator", "topics"]


@dataclass(slots=True)
class Examination:
    """The installation under examination, and what the running check has found.

    Args:
        settings: checked.
        role: this process has its rights, and so may read its topics.
        redis: a client, which connects when it is used.
        show: called with the progress of the running check, in words; for a terminal.
    """

    settings: Settings
    role: Role
    redis: RedisClient
    show: Callable[[str], None] = lambda words: None
    findings: list[Finding] = field(default_factory=list)
    progress: str = ""  # as last reported

    def report(self, words: str) -> None:
        """Say how far the running check is."""
        self.progress = words
        self.show(words)

    def wrong(self, what: str, remedy: str = "") -> None:
        """Note something that is wrong."""
        self.findings.append(Finding(what, remedy))

    def note(self, what: str, remedy: str = "") -> None:
        """Note something that is worth knowing."""
        self.findings.append(Finding(what, remedy, is_wrong=False))


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: for people and programs.
        look: examines, notes findings, and returns the figures that show that all is well.
        remedy: the action if a server does not answer, or not in time.
        needs: the names of checks that must be well before.
        roles: their rights suffice; empty: those of every role.
    """

    name: str
    look: Callable[[Examination], Awaitable[str]]
    remedy: str
    needs: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()


async def examine(
    at: Examination, checks: Sequence[Check], *, limit_s: float
) -> AsyncIterator[Result]:
    """Run the checks that the role may run, and yield the result of each.

    Args:
        at: the installation.
        checks: in their order.
        limit_s: for each check; findings until then count.
    """
    failed: set[str] = set()
    for check in checks:
        if check.roles and at.role not in check.roles:
            continue
        if missed := sorted(check.needs & failed):
            result = Result(check.name, State.SKIPPED, f"needs {', '.join(missed)}", (), 0)
        else:
            result = await _run(at, check, limit_s)
        if result.state is not State.OK:
            failed.add(check.name)
        yield result


async def _run(at: Examination, check: Check, limit_s: float) -> Result:
    began, fact = time.monotonic(), ""
    at.findings = []
    at.report(check.name)
    try:
        async with asyncio.timeout(limit_s):
            fact = await check.look(at)
    except TimeoutError:
        far = f" ({at.progress})" if at.progress != check.name else ""
        at.wrong(f"was not done within {limit_s:g} s{far}", f"{check.remedy}; or raise --limit")
    except ConfigError as error:
        for problem in error.problems:
            at.wrong(problem)
    except RetryableError as error:
        at.wrong(str(error), check.remedy)
    took_ms = round(1000 * (time.monotonic() - began))
    state = State.WRONG if any(one.is_wrong for one in at.findings) else State.OK
    return Result(check.name, state, fact, tuple(at.findings), took_ms)
