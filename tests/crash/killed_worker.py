"""A worker that signals itself at steps of the lane: `… killed_worker STEP[,STEP…] SIGNAL`.

The environment names its installation, as for `optout worker`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.transaction import EndTxnRequest

from processor import config
from processor.worker.runtime import Runtime


def tell_of_commits(at_step: Callable[[str], None]) -> Callable[[str], None]:
    """Add a step: the commit was sent to the broker, which has not answered."""
    sent = AIOKafkaConnection.send
    is_of_a_batch = False

    def tell(step: str) -> None:
        nonlocal is_of_a_batch
        is_of_a_batch = step == "commit"
        at_step(step)

    def send(self: Any, request: Any, expect_response: bool = True) -> Any:
        answer = sent(self, request, expect_response)
        if is_of_a_batch and isinstance(request, EndTxnRequest):
            at_step("committing")
        return answer

    AIOKafkaConnection.send = send
    return tell


async def main(steps: list[str], sign: signal.Signals) -> None:
    """Run the lanes; the first lane to reach the next of the steps signals the process."""

    def at_step(step: str) -> None:
        if steps and step == steps[0]:
            del steps[0]
            os.kill(os.getpid(), sign)

    runtime = Runtime(config.load(), tell_of_commits(at_step))
    await runtime.wait_for_servers()
    runtime.start()
    await runtime.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].split(","), signal.Signals[sys.argv[2]]))
