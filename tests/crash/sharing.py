"""Workers that share an installation's partitions, and whether each of these is worked."""

from __future__ import annotations

from itertools import chain

from processor.config import Settings
from processor.worker.runtime import Runtime
from tests.clinic import a_send, a_text
from tests.installation import Installation, until
from tests.victim import numbers_in

DEADLINE_S = 40.0  # less than the longest time-out of Redis


def patient(settings: Settings) -> Settings:
    """Settings with a session time-out that a worker on a busy machine does not reach."""
    return settings.model_copy(update={"session_timeout_s": 60.0})


async def everybody_is_heard(at: Installation, *, first: int = 0) -> None:
    """In every partition, a STOP is confirmed and a later send refused.

    Args:
        at: the installation.
        first: numbers are chosen from here on; they must be new each time.
    """
    partitions = at.settings.partitions
    numbers = [next(numbers_in(one, partitions, start=first)) for one in range(partitions)]
    refused = len(await at.values(at.topics.message_statuses))
    replies = len(await at.values(at.topics.reply_sends))
    await at.texts(*(a_text(f"M{one[1:]}", "stop", **{"from": one}) for one in numbers))
    await at.wait_for(at.topics.reply_sends, replies + partitions)
    await at.sends(*(a_send(f"S{one[1:]}", to=one) for one in numbers))
    await at.wait_for(at.topics.message_statuses, refused + partitions)


async def shared(*runtimes: Runtime) -> None:
    """Wait until each worker has some of every group's partitions, and each partition one owner."""

    async def is_shared() -> bool:
        for role in runtimes[0].lanes:
            owned = [[state.partition for state in one.states()[role]] for one in runtimes]
            partitions = list(range(runtimes[0].settings.partitions))
            if not all(owned) or sorted(chain(*owned)) != partitions:
                return False
        return True

    await until(is_shared, "shared partitions", DEADLINE_S)


async def ready(*runtimes: Runtime) -> None:
    """Wait until these workers are ready."""

    async def is_ready() -> bool:
        return not any(one.unready() for one in runtimes)

    await until(is_ready, "ready worker")
