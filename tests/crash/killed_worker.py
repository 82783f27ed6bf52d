"""A worker that kills itself at a step of the lane protocol: `… killed_worker STEP`.

The environment says which installation it is of, as for `optout worker`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from processor import config
from processor.app import Runtime


async def main(fatal_step: str) -> None:
    """Run the lanes until one of them comes to the step."""

    def at_step(step: str) -> None:
        if step == fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)

    runtime = Runtime(config.load(), at_step)
    await runtime.wait_for_servers()
    await asyncio.gather(
        runtime.services.follow(), *(lanes.run() for lanes in runtime.lanes.values())
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
