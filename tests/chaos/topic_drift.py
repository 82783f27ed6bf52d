"""A topic's setting is changed: it is reported, a worker acts on it, and it is corrected."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor.config import Settings
from processor.kafka.topics.topic_plan import BY_PRODUCER, TIMESTAMPS, Consequence
from processor.wire.topics import Topics
from tests.installation import until
from tests.integration.test_topics import set_configs
from tests.integration.test_worker_process import Process, started

_OPTOUT = (sys.executable, "-m", "processor")
_REFUSED = 2  # exit code
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Drift:
    """A setting as it must not be, and what a worker that is started then does."""

    topic: str
    setting: str
    value: str
    consequence: Consequence

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.value}"


def drifts(prefix: str, *, replicated: bool) -> Sequence[Drift]:
    """The settings that can drift, none of which harms records within seconds."""
    topics = Topics.under(prefix)
    refuse, warn, wait = Consequence.REFUSE, Consequence.WARN, Consequence.WAIT
    found = [
        Drift(topics.block_list, "cleanup.policy", "delete", refuse),
        Drift(topics.inbound_messages, "retention.ms", str(_HOUR_MS), refuse),
        Drift(topics.allowed_sends, "max.message.bytes", "100000", refuse),
        Drift(topics.block_changes, "unclean.leader.election.enable", "true", warn),
        # Its records come from one clock: what a worker's says decides nothing meanwhile.
        Drift(topics.outbound_messages, TIMESTAMPS, BY_PRODUCER, wait),
    ]
    if replicated:
        found.append(Drift(topics.block_list, "min.insync.replicas", "1", warn))
    return found


async def drift(
    settings: Settings, environment: Mapping[str, str], one: Drift, hold_s: float
) -> None:
    """Alter a setting, see that `topics check` and a new worker say so, and mend it.

    Args:
        settings: of the installation, by ways that are never cut.
        environment: the same for a process.
        one: the setting to change.
        hold_s: how long it stays so, once all have said so.

    Raises:
        AssertionError: the error was not reported, or was not corrected.
    """
    await set_configs(settings, {one.topic: {one.setting: one.value}})
    try:

        async def is_named() -> bool:
            code, said = await _run("topics", "check", **environment)
            return code == 1 and str(one) in said

        await until(is_named, f"`topics check` that names {one}")
        async with started((*_OPTOUT, "worker"), **environment) as worker:
            await worker.says(str(one))
            await _ends(worker, one)
        await asyncio.sleep(hold_s)
    finally:

        async def is_mended() -> bool:
            await _run("topics", "create", **environment)
            code, _ = await _run("topics", "check", **environment)
            return code == 0

        await until(is_mended, f"`topics create` that mends {one}")


async def _ends(worker: Process, one: Drift) -> None:
    if one.consequence is Consequence.REFUSE:
        code = await worker.ends()
        assert code == _REFUSED, f"a worker started though {one}"
    elif one.consequence is Consequence.WAIT:
        assert "lane.taken" not in worker.said, f"a worker did not wait though {one}"
        await worker.ends(signal.SIGTERM)
    else:
        await worker.says("lane.taken")
        await worker.ends(signal.SIGTERM)


async def _run(*arguments: str, **environment: str) -> tuple[int, str]:
    async with started((*_OPTOUT, *arguments), **environment) as process:
        code = await process.ends()
    return code, process.said
